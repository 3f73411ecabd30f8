"""``evaluate.factuality``: what it reads, what it plans, and every wrong thing with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.checker import PagesFile, WorldPages
from bench.core.errors import ConfigError
from bench.evaluation.measurements.factuality.verification import CheckClaims
from bench.pipeline.plan import make_plan
from tests.config.conftest import RIGHT, write_rows

PAGES = (
    "{tasks: [questions], extractor: ./extractor.py, verifier: {verifier: ./verifier.py, strictness: 0.9}, "
    "knowledge: {path: pages.jsonl, retriever: ./retriever.py, passages: 2, words: 9}, gamma: 4}"
)
WORLD = "{tasks: [checkable], extractor: task, verifier: exact, knowledge: {world: ./world.py}}"


def write(folder: Path, entry: str) -> Path:
    write_rows(folder / "pages.jsonl", {"title": "a", "text": "b"})
    text = RIGHT.replace("    - ./task.py\n", "    - ./task.py\n    - ./checked.py\n")
    path = folder / "comparison.yaml"
    path.write_text(text.replace("  contrasts:\n", f"  factuality: {entry}\n  contrasts:\n"), encoding="utf-8")
    return path


def test_pages_are_read_and_planned(place: Path) -> None:
    comparison = load_comparison(write(place, PAGES))
    found = comparison.evaluation.factuality
    assert found is not None
    assert found.knowledge is not None
    assert isinstance(found.knowledge.source, PagesFile)
    assert (found.tasks, found.gamma, found.knowledge.passages, found.knowledge.words) == (("questions",), 4.0, 2, 9)
    plan = make_plan(comparison)
    assert len(plan.of("factuality")) == 3 * 2
    assert {cell.stage.key for cell in plan.of("factuality")} <= plan.stages.keys()
    kinds = [stage.KIND for stage in plan.stages.values()]
    # One index for all; claims and passages once per generation (the arms of this file share their policies).
    assert kinds.count("index_passages") == 1
    assert (
        kinds.count("retrieve_passages")
        == kinds.count("extract_claims")
        == len({cell.stage.key for cell in plan.of("factuality")})
    )
    named = plan.labels()
    assert all(key in named for key in plan.stages)
    assert "seed" in named[plan.of("factuality")[0].stage.claims.key]


def test_a_task_that_knows_needs_no_pages(place: Path) -> None:
    comparison = load_comparison(write(place, WORLD))
    found = comparison.evaluation.factuality
    assert found is not None
    assert found.knowledge is None
    assert found.gamma == 10
    plan = make_plan(comparison)
    assert {cell.task.NAME for cell in plan.of("factuality")} == {"checkable"}
    assert all(cell.stage.passages is None for cell in plan.of("factuality"))


def test_a_world_may_be_pages(place: Path) -> None:
    entry = WORLD.replace("verifier: exact", "verifier: ./verifier.py").replace(
        "world: ./world.py", "world: ./world.py, retriever: bm25"
    )
    found = load_comparison(write(place, entry)).evaluation.factuality
    assert found is not None
    assert found.knowledge is not None
    assert isinstance(found.knowledge.source, WorldPages)


def test_without_it_nothing_is_checked(place: Path) -> None:
    (place / "comparison.yaml").write_text(RIGHT, encoding="utf-8")
    plan = make_plan(load_comparison(place))
    assert plan.of("factuality") == ()
    assert not any(isinstance(stage, CheckClaims) for stage in plan.stages.values())


@pytest.mark.parametrize(
    ("entry", "key", "told"),
    [
        ("[x]", "", "must be a mapping"),
        ("{extractor: sentences}", ".verifier", "is missing"),
        (WORLD.replace("tasks", "task"), ".task", "Did you mean 'tasks'?"),
        (WORLD.replace("[checkable]", "[checkabel]"), ".tasks.0", "Did you mean 'checkable'?"),
        (WORLD.replace("[checkable]", "[checkable, checkable]"), ".tasks.1", "stands twice"),
        (WORLD.replace("[checkable]", "[3]"), ".tasks.0", "must be the name of a task of this file, not 3"),
        (WORLD.replace("[checkable]", "[]"), ".tasks", "this list is empty"),
        (WORLD.replace("extractor: task", "extractor: sentence"), ".extractor", "Did you mean 'sentences'?"),
        (WORLD.replace("extractor: task", "extractor: {extractor: sentences, x: 1}"), ".extractor.x", "unknown key"),
        (WORLD.replace("extractor: task", "extractor: atomic"), ".extractor.policy", "is missing"),
        (WORLD.replace("verifier: exact", "verifier: exakt"), ".verifier", "Did you mean 'exact'?"),
        (PAGES.replace("./extractor.py", "task"), ".extractor", "does not know the claims of a response"),
        (
            "{tasks: [questions], extractor: sentences, verifier: exact}",
            ".verifier",
            "does not know what is true",
        ),
        (WORLD.replace("./world.py", "atlas"), ".knowledge.world", "task checkable is not about this world"),
        (WORLD.replace("{world: ./world.py}", "{world: {world: ./world.py, noise: 3}}"), ".knowledge.world",
         "not about this world"),
        (WORLD.replace("./world.py", "atlsa"), ".knowledge.world", "Did you mean 'atlas'?"),
        (WORLD.replace("world: ./world.py", "world: ./world.py, words: 3"), ".knowledge.words", "retrieves nothing"),
        (WORLD.replace("world: ./world.py", "path: pages.jsonl"), ".knowledge.path", "reads no pages"),
        (WORLD.replace("world: ./world.py", ""), ".knowledge", "exactly one of path and world, and has none"),
        (PAGES.replace("path: pages.jsonl", "path: pages.jsonl, world: atlas"), ".knowledge", "path and world"),
        (PAGES.replace("pages.jsonl", "page.jsonl"), ".knowledge.path", "no such file"),
        (PAGES.replace("pages.jsonl", "prompts.txt"), ".knowledge.path", "the format '.txt' is not known"),
        (PAGES.replace("pages.jsonl", "3"), ".knowledge.path", "must be text, not 3"),
        (PAGES.replace("words: 9", "words: 0"), ".knowledge.words", "greater than 0"),
        (PAGES.replace("passages: 2", "pasages: 2"), ".knowledge.pasages", "Did you mean 'passages'?"),
        (PAGES.replace("./retriever.py", "bm52"), ".knowledge.retriever", "Did you mean 'bm25'?"),
        (PAGES.replace("./retriever.py", "dense"), ".knowledge.retriever.path", "is missing"),
        (PAGES.replace("./retriever.py", "{retriever: dense, path: none}"), ".knowledge.retriever.path", "no such"),
        (PAGES.replace("strictness: 0.9", "strictness: high"), ".verifier.strictness", "must be"),
        (PAGES.replace("gamma: 4", "gamma: -1"), ".gamma", "greater than or equal to 0"),
        ("{extractor: sentences, verifier: ./verifier.py}", ".knowledge", "is missing: the verifier 'stub_verifier'"),
    ],
)  # fmt: skip
def test_one_wrong_thing(place: Path, entry: str, key: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_comparison(write(place, entry))
    (problem,) = error.value.problems
    line = next(
        n for n, text in enumerate((place / "comparison.yaml").read_text().split("\n"), 1) if "factuality" in text
    )
    assert problem.where.split(" ") == [f"comparison.yaml:{line}", f"evaluate.factuality{key}"]
    assert told in str(error.value)


def test_the_gate_knows_the_metrics_of_claims(place: Path) -> None:
    path = write(place, WORLD)
    criterion = "  - {metric: factual_error_rate, method: tuned, versus: floor, not_worse_by: 0.02}\n"
    path.write_text(path.read_text() + criterion, encoding="utf-8")
    assert load_comparison(path).gate[-1].metric == "factual_error_rate"
    path.write_text(path.read_text().replace("0.02}", "0.02, task: questions}"), encoding="utf-8")
    with pytest.raises(ConfigError, match="no task of this file has the metric 'factual_error_rate'"):
        load_comparison(path)


def test_answers_are_needed(place: Path) -> None:
    tasks = "    - ./task.py\n    - ./checked.py\n    - task: ./file_task.py\n      path: prompts.txt\n"
    path = write(place, WORLD)
    path.write_text(path.read_text().replace(tasks, "    - {lm_eval: atlas_facts}\n"), encoding="utf-8")
    with pytest.raises(ConfigError, match="factuality looks at answers"):
        load_comparison(path)
