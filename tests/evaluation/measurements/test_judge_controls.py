"""The control judges: what each prefers, and the two stages that ask beside a judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import Decoding, Pretrained
from bench.core.stage import Stage, StageIO
from bench.core.task import Prompt, Task, user
from bench.engine.store import Store
from bench.evaluation.generate import COMPLETIONS, COMPLETIONS_SCHEMA, Generate
from bench.evaluation.judges.api import Api
from bench.evaluation.judges.first_wins import FirstWins
from bench.evaluation.judges.longer_wins import LongerWins
from bench.evaluation.judges.random import Random
from bench.evaluation.judges.word_overlap import WordOverlap, overlap, words
from bench.evaluation.measurement import Cell
from bench.evaluation.measurements.judge_controls import CONTROLS, CompareByControls
from bench.evaluation.measurements.judge_retest import AskAgain, JudgeRetest
from bench.evaluation.measurements.win_rate import PAYLOAD, JudgePairs
from bench.pipeline.paid_calls import paid_calls
from tests.evaluation.judges.scripted import io_in, pair, response


def values(judge: Judge, pairs: list[Pair], folder: Path) -> list[float | None]:
    return [verdict.value for verdict in judge.compare(None, pairs, io_in(folder))]


def test_the_longer_response_wins(tmp_path: Path) -> None:
    pairs = [pair("long", "ab"), pair("ab", "long"), pair("abcd", "long"), pair("\u00e9\u00e9", "e"), pair("", " ")]
    assert values(LongerWins(), pairs, tmp_path) == [1.0, 0.0, 0.5, 1.0, 0.0]


def test_the_first_wins_and_nothing_can_be_rated(tmp_path: Path) -> None:
    assert values(FirstWins(), [pair("a", "b"), pair("b", "a"), pair("a", "a")], tmp_path) == [1.0, 1.0, 1.0]
    FirstWins().check("compare")
    with pytest.raises(StageError, match="Choose another judge"):
        FirstWins().check("rate")
    with pytest.raises(StageError, match="cannot rate"):
        FirstWins().rate(None, [response("a")], io_in(tmp_path))


def test_words_shared_with_the_prompt_win(tmp_path: Path) -> None:
    assert overlap(words("The tall tree"), words("Is the tree tall?")) == pytest.approx(3 / 4)
    assert overlap(words("tree tree tree"), words("a tree")) == pytest.approx(1 / 2)
    assert overlap(words("?!"), words("")) == 0.0
    asked = [pair("the tree", "a house", prompt="the tree"), pair("?", "!", prompt="the tree")]
    assert values(WordOverlap(), asked, tmp_path) == [1.0, 0.5]
    long = "the tree " + "and much else besides that nobody asked for at all"
    assert values(WordOverlap(), [pair(long, "the tree", prompt="the tree")], tmp_path) == [0.0]


def test_random_is_a_fair_coin_by_seed_prompt_and_showing(tmp_path: Path) -> None:
    pairs = [pair("a", "b", f"p{number}") for number in range(2000)]
    turned = [pair("b", "a", f"p{number}") for number in range(2000)]
    one, again = values(Random(), pairs, tmp_path), values(Random(), pairs[::-1], tmp_path)[::-1]
    assert one == again
    for other in (values(Random(), turned, tmp_path), values(Random(seed=1), pairs, tmp_path)):
        # Neither one-sided nor tied to the first throw.
        assert stats.binomtest(sum(value == 1.0 for value in other), 2000).pvalue > 1e-4
        same = sum(a == b for a, b in zip(one, other, strict=True))
        assert stats.binomtest(same, 2000).pvalue > 1e-4
    rated = [
        verdict.value or 0.0 for verdict in Random().rate(None, [response(str(n)) for n in range(500)], io_in(tmp_path))
    ]
    assert stats.kstest(rated, "uniform").pvalue > 1e-4


class Words(Task):
    NAME: ClassVar[str] = "words"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return tuple(Prompt(id=f"p{n}", chat=user("say it"), cluster=f"p{n}") for n in range(self.limit or 6))

    def decoding(self) -> Decoding:
        return Decoding()


class Moody(Judge):
    """Prefers the response with the higher digest under its seed."""

    NAME: ClassVar[str] = "moody"
    VERSION: ClassVar[int] = 1

    seed: int = 0

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return [Verdict(value=float((len(one.first) + self.seed) % 2), text="so") for one in pairs]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return [Verdict(value=0.0) for _ in responses]


def answers(name: str, task: Task | None = None) -> Generate:
    return Generate(policy=Pretrained(path=name, digest=name), task=task or Words(), draws=2, seed=0)


def io_with(folder: Path, texts: dict[str, str]) -> StageIO:
    """What both arms wrote: a text each, with the draw behind it."""

    def read(stage: Stage) -> Path:
        assert isinstance(stage, Generate)
        assert isinstance(stage.policy, Pretrained)
        rows: list[dict[str, Any]] = [
            {"prompt": prompt.id, "draw": draw, "text": texts[stage.policy.digest or ""] + "!" * draw, "tokens": [],
             "finish": "end", "prompt_tokens": 1}
            for prompt in stage.task.prompts() for draw in range(stage.draws)
        ]  # fmt: skip
        place = folder / (stage.policy.digest or "")
        place.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=COMPLETIONS_SCHEMA), place / COMPLETIONS)
        return place

    return StageIO(out=folder, scratch=folder, read_payload=read)


def test_the_controls_are_asked_together_and_turned_as_any_judge_is(tmp_path: Path) -> None:
    io = io_with(tmp_path, {"a": "say it aloud", "b": "no"})
    CompareByControls(a=answers("a"), b=answers("b"), orders="both").run(io)
    rows = pq.read_table(tmp_path / PAYLOAD).to_pylist()
    assert len(rows) == len(CONTROLS) * 6 * 2 * 2 == io.meter.judgements
    found: dict[str, dict[str, set[float]]] = {}
    for row in rows:
        found.setdefault(row["judge"], {}).setdefault(row["order"], set()).add(row["value"])
    assert found["longer_wins"] == found["word_overlap"] == {"first": {1.0}, "second": {1.0}}
    assert found["first_wins"] == {"first": {1.0}, "second": {0.0}}
    assert found["random"] == {"first": {0.0, 1.0}, "second": {0.0, 1.0}}
    for judge in CONTROLS:
        JudgePairs(a=answers("a"), b=answers("b"), orders="both", judge=judge).run(io)
        own = [{"judge": judge.NAME, **row} for row in pq.read_table(tmp_path / PAYLOAD).to_pylist()]
        assert own == [row for row in rows if row["judge"] == judge.NAME]


def test_a_judge_is_asked_again_on_a_sample_that_grows(tmp_path: Path) -> None:
    io = io_with(tmp_path, {"a": "x", "b": "yy"})
    sampled = []
    for count in (2, 4, 50):
        AskAgain(a=answers("a"), b=answers("b"), orders="both", judge=Moody(seed=1), prompts=count).run(io)
        rows = pq.read_table(tmp_path / PAYLOAD).to_pylist()
        assert {row["draw"] for row in rows} == {0}
        assert {(row["order"], row["value"]) for row in rows} == {("first", 0.0), ("second", 0.0)}
        sampled.append({row["prompt"] for row in rows})
    assert [len(names) for names in sampled] == [2, 4, 6]
    assert sampled[0] < sampled[1] < sampled[2]
    assert (
        AskAgain(a=answers("a"), b=answers("b"), orders="first", judge=Moody(), prompts=2).resources()
        == Moody.RESOURCES
    )


def test_answers_to_different_tasks_are_refused(tmp_path: Path) -> None:
    io = io_with(tmp_path, {"a": "x", "b": "yy"})
    with pytest.raises(StageError, match="different tasks"):
        CompareByControls(a=answers("a"), b=answers("b", Words(limit=2)), orders="both").run(io)


def test_a_second_call_of_a_paid_judge_is_foreseen(tmp_path: Path) -> None:
    judge = Api.model_validate({"model": "m", "base_url": "http://127.0.0.1/v1", "prompt": "brief"})
    stage = AskAgain(a=answers("a"), b=answers("b"), orders="both", judge=judge, prompts=4)
    cell = Cell(JudgeRetest(), stage, "a", 0, stage.a.task, versus="b", call=1)
    (told,) = paid_calls([stage], {stage.key: cell}, Store(tmp_path))
    # The four prompts ask the same thing, and what will be answered to them is not known: one question in each order.
    assert (told.calls, told.answered, told.uncounted) == (2, 0, 0)
