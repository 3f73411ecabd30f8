"""Tasks of lm-eval in a comparison file."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from bench.core.files import digest_of_folder
from bench.pipeline.plan import make_plan
from tests.config.conftest import RIGHT

TASKS = "  tasks:\n    - ./task.py\n"


def write(folder: Path, entry: str) -> Path:
    path = folder / "comparison.yaml"
    path.write_text(RIGHT.replace(TASKS, TASKS + f"    - {entry}\n"), encoding="utf-8")
    return path


def test_it_is_read_and_planned(place: Path) -> None:
    comparison = load_comparison(write(place, "{lm_eval: atlas_facts, limit: 20, num_fewshot: 0, prompt: chat}"))
    (task,) = comparison.evaluation.benchmarks
    assert (task.name, task.limit, task.num_fewshot, task.prompt) == ("atlas_facts", 20, 0, "chat")
    assert task.harness == version("lm_eval")
    assert task.folder is not None and task.digest == digest_of_folder(Path(task.folder))
    assert len(comparison.evaluation.tasks) == 2
    plan = make_plan(comparison)
    assert len(plan.of("lm_eval")) == 3 * 2
    assert {cell.stage.key for cell in plan.of("lm_eval")} <= plan.stages.keys()
    assert {cell.stage.seed for cell in plan.of("lm_eval")} == {0, 1}
    assert all(key in plan.labels() for key in plan.stages)


def test_a_folder_of_its_own_and_those_of_lm_eval(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "ours.yaml").write_text("task: ours\n", encoding="utf-8")
    (own,) = load_comparison(write(place, "{lm_eval: ours, folder: mine}")).evaluation.benchmarks
    assert own.folder == str((place / "mine").resolve()) and own.digest
    (theirs,) = load_comparison(write(place, "{lm_eval: hellaswag}")).evaluation.benchmarks
    assert theirs.folder is None and theirs.digest is None


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{lm_eval: 3}", "must be the name of a task of lm-eval, not 3"),
        ("{lm_eval: atlas_facts, limit: 0}", "limit"),
        ("{lm_eval: atlas_facts, promt: chat}", "unknown key 'promt'. Did you mean"),
        ("{lm_eval: atlas_facts, prompt: talk}", "must be 'text' or 'chat', not 'talk'"),
        ("{lm_eval: ours, folder: nowhere}", "no such folder"),
    ],
)
def test_what_is_wrong_is_told(place: Path, entry: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_comparison(write(place, entry))
    assert told in str(error.value)


def test_answers_are_needed_by_what_looks_at_them(place: Path) -> None:
    text = RIGHT.replace(
        TASKS + "    - task: ./file_task.py\n      path: prompts.txt\n", "  tasks:\n    - {lm_eval: atlas_facts}\n"
    )
    (place / "comparison.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="win_rate looks at answers"):
        load_comparison(place / "comparison.yaml")
