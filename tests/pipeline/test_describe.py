"""What run.json and the report say of a method's settings: nothing of where files lie on the machine that ran it."""

import json
import shutil
from pathlib import Path

from bench.core.frozen import digest_of_file, load_file
from bench.core.method import Lora
from bench.core.reward import FileReward, JudgeReward, MixedReward, Part
from bench.evaluation.judges import lexicon
from bench.evaluation.judges.lexicon import Lexicon
from bench.pipeline.describe import described
from methods import dpo, ppo, rlaif


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


def test_settings_without_files_are_as_they_are() -> None:
    assert described(Lora(rank=4)) == Lora(rank=4).model_dump(mode="json")
