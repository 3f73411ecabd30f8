"""What run.json and the report say of a method's settings: nothing of where files lie on the machine that ran it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bench.config.comparison import Arm
from bench.config.load import load_comparison
from bench.core.frozen import digest_of_file, load_file
from bench.core.method import Lora
from bench.core.reward import FileReward, JudgeReward, MixedReward, Part
from bench.evaluation.judges import lexicon
from bench.evaluation.judges.first_wins import FirstWins
from bench.evaluation.judges.lexicon import Lexicon
from bench.pipeline.describe import described
from bench.pipeline.summarise import with_defaults
from methods import dpo, ppo, rlaif
from tests.awaiting import AWAITING
from tests.core.test_committed_keys import DATA, ROOT, needs_data
from tests.fakes import Number

SUMMARIES = [path for path in sorted((ROOT / "results").glob("*/run.json")) if path.parent.name not in AWAITING]


def test_files_are_told_by_name(tmp_path: Path) -> None:
    judge = Lexicon(path=str(tmp_path / "words.txt"), digest="d")
    file = FileReward(path=str(tmp_path / "liked.py"), digest="e")
    mixed = ppo.PPO(reward=MixedReward(parts=(Part(reward=file), Part(reward=JudgeReward(judge=judge), weight=2.0))))
    labelled = rlaif.RLAIF(labeller=judge, then=dpo.DPO(beta=0.3))
    told = json.dumps([described(mixed), described(labelled)])
    assert str(tmp_path) not in told
    first, second = described(mixed)["reward"]["parts"]
    assert first == {"reward": {"kind": "file", "path": "liked.py", "digest": "e"}, "weight": 1.0}
    assert (second["reward"]["judge"]["path"], second["weight"]) == ("words.txt", 2.0)
    assert described(labelled)["then"]["beta"] == 0.3


def test_a_class_from_a_file_is_told_by_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "my_judge.py"
    shutil.copy(lexicon.__file__, file)
    judge = load_file(file).Lexicon(path=str(tmp_path / "words.txt"), digest=digest_of_file(file))
    told = described(rlaif.RLAIF(labeller=judge))["labeller"]
    assert (told["is"], told["path"]) == ("my_judge.py:Lexicon", "words.txt")


def test_a_class_of_ours_is_told_by_its_name_and_not_by_its_module() -> None:
    labelled = described(rlaif.RLAIF(labeller=FirstWins(), then=dpo.DPO()))
    assert (labelled["labeller"]["is"], labelled["then"]["is"]) == ("first_wins", "methods.dpo:DPO")
    assert described(Number(value=1, journal="none"))["is"] == Number.KIND


@pytest.mark.parametrize("summary", SUMMARIES, ids=[path.parent.name for path in SUMMARIES])
def test_committed_runs_hold_what_is_told_today(summary: Path) -> None:
    if needs_data(summary.parent) and not DATA.is_dir():
        pytest.skip(f"{summary.parent.name} is loaded with files below {DATA}, which are not here")
    text = summary.read_text(encoding="utf-8")
    assert not re.search(r"\bbench\.\w+\.", text)
    told = {arm.name: with_defaults(arm) for arm in load_comparison(summary.parent).arms}
    assert json.loads(json.dumps(told)) == {name: arm["fields"] for name, arm in json.loads(text)["arms"].items()}


def test_settings_without_files_are_as_they_are() -> None:
    assert described(Lora(rank=4)) == Lora(rank=4).model_dump(mode="json")


def test_what_learns_from_labels_by_default_is_told_with_its_rates() -> None:
    arm = Arm(name="rlaif", method=rlaif.RLAIF(), lora=None, replicate=None)
    told = with_defaults(arm)["then"]
    assert (told["is"], told["lr"], told["reward_model"]["lr"]) == (
        "methods.ppo:PPO",
        "3e-06 (default)",
        "3e-06 (default)",
    )
