"""Rewards that are asked for numbers: judges, files, mixes, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from bench.core.datasets import Reply
from bench.core.errors import DataError, StageError
from bench.core.frozen import digest_of_file
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.reward import FileReward, JudgeReward, MixedReward, ModelReward, Part
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task, user
from bench.models.rewards import open_reward
from tests.fakes import Number

PROMPTS = [Prompt(id=f"p{number}", chat=user(text), cluster="c") for number, text in enumerate(["one", "two", "three"])]
RESPONSES = ["a", "bb", "ccc"]
ASKING = Number(value=1, journal="j")


class Length(Judge):
    """Rates a response by its letters; one of ``silent`` letters gets no rating, the first ``lost`` no verdict."""

    NAME: ClassVar[str] = "length"
    VERSION: ClassVar[int] = 1

    silent: int = 0
    lost: int = 0

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        raise NotImplementedError

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [
            Verdict(value=None, status="unparsed", text="no number")
            if len(one.text) == self.silent
            else Verdict(value=len(one.text))
            for one in responses[self.lost :]
        ]


@pytest.fixture
def io(tmp_path: Path) -> StageIO:
    return StageIO(out=tmp_path, scratch=tmp_path, read_payload=lambda _stage: tmp_path)


def file_reward(folder: Path, body: str) -> FileReward:
    path = folder / "reward.py"
    path.write_text(f"import math\n\ndef reward(prompts, responses):\n    {body}\n", encoding="utf-8")
    return FileReward(path=str(path), digest=digest_of_file(path))


def test_judges_files_and_mixes(tmp_path: Path, io: StageIO) -> None:
    judge = JudgeReward(judge=Length())
    file = file_reward(tmp_path, "return [len(p) for p in prompts]")
    assert open_reward(judge, io).of(PROMPTS, [Reply(one) for one in RESPONSES]) == [1.0, 2.0, 3.0]
    assert io.meter.judgements == 3
    assert open_reward(file, io).of(PROMPTS, [Reply(one) for one in RESPONSES]) == [3.0, 3.0, 5.0]
    mix = MixedReward(parts=(Part(reward=judge, weight=0.5), Part(reward=file, weight=-1.0)))
    assert open_reward(mix, io).of(PROMPTS, [Reply(one) for one in RESPONSES]) == [-2.5, -2.0, -3.5]
    assert open_reward(mix, io).of([], []) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('tone')", r"test/number .*reward\(\) in .*reward.py raised KeyError: 'tone'.*'p0'"),
        ("return [1.0, math.nan, 2.0]", r"gave nan for a response to prompt 'p1'.*finite"),
        ("return [1.0, 2.0, math.inf]", r"gave inf for a response to prompt 'p2'"),
        ("return [1.0, 2.0]", r"returned 2 numbers for 3 responses.*'p0'.*in order"),
        ("return ['1.0', 2.0, 3.0]", r"gave '1.0' for a response to prompt 'p0'"),
        ("return [1.0, None, 3.0]", r"gave None for a response to prompt 'p1'"),
        ("return 3.0", r"returned 3.0, wanted a list of numbers"),
    ],
)
def test_a_wrong_function_is_told(tmp_path: Path, io: StageIO, body: str, message: str) -> None:
    reward = open_reward(file_reward(tmp_path, body), io, asked_by=ASKING)
    with pytest.raises(StageError, match=message):
        reward.of(PROMPTS, [Reply(one) for one in RESPONSES])


def test_a_missing_rating_is_told(io: StageIO) -> None:
    reward = open_reward(JudgeReward(judge=Length(silent=2)), io, asked_by=ASKING)
    with pytest.raises(StageError, match=r"test/number .*judge length.*prompt 'p1' \(unparsed: no number\)"):
        reward.of(PROMPTS, [Reply(one) for one in RESPONSES])


def test_a_judge_that_leaves_questions_out_is_told(io: StageIO) -> None:
    reward = open_reward(JudgeReward(judge=Length(lost=1)), io, asked_by=ASKING)
    with pytest.raises(StageError, match=r"test/number .*judge length returned 2 verdicts on 3 questions"):
        reward.of(PROMPTS, [Reply(one) for one in RESPONSES])


def test_a_changed_file_is_refused(tmp_path: Path, io: StageIO) -> None:
    file = file_reward(tmp_path, "return [0.0] * len(prompts)")
    (tmp_path / "reward.py").write_text("reward = 3\n", encoding="utf-8")
    with pytest.raises(DataError, match="has changed"):
        open_reward(file, io)
    with pytest.raises(StageError, match="defines no function"):
        open_reward(file.model_copy(update={"digest": digest_of_file(tmp_path / "reward.py")}), io)
    (tmp_path / "reward.py").unlink()
    with pytest.raises(StageError, match="no such file"):
        open_reward(file, io)


def test_a_reward_model_needs_its_stage(io: StageIO) -> None:
    with pytest.raises(StageError, match="no stage trains it"):
        open_reward(ModelReward(), io)
