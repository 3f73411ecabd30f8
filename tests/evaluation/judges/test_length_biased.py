"""The judge that likes length, held against the embedded world's annotator, whose formula it shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import StageError
from bench.core.judge import Pair, Response
from bench.evaluation.judges.gold import Gold
from bench.evaluation.judges.length_biased import LengthBiased
from tasks._atlas.annotator import Annotator
from tasks.atlas_prompts import AtlasPrompts
from tests.evaluation.judges.scripted import io_in

LONG = "Glad to help. Certainly, certainly. I am happy to be of use. Let me say this once more."
SHORT = "I do not know."


@pytest.mark.parametrize("bias", [0.0, 0.6, 1.25])
def test_it_is_the_annotator_without_its_coin(tmp_path: Path, bias: float) -> None:
    task, io = AtlasPrompts(limit=5), io_in(tmp_path)
    judge, annotator = LengthBiased(length_bias=bias), Annotator(length_bias=bias)
    for prompt in task.prompts():
        gold = [verdict.value or 0.0 for verdict in Gold().rate(task, _both(prompt), io)]
        seen = [annotator.perceived(value, len(text.split())) for value, text in zip(gold, (LONG, SHORT), strict=True)]
        (verdict,) = judge.compare(task, [Pair(prompt=prompt, first=LONG, second=SHORT)], io)
        (turned,) = judge.compare(task, [Pair(prompt=prompt, first=SHORT, second=LONG)], io)
        assert verdict.value == pytest.approx(annotator.prefers_first(seen[0] - seen[1]))
        assert turned.value == pytest.approx(1 - (verdict.value or 0.0))
        assert [one.value for one in judge.rate(task, _both(prompt), io)] == pytest.approx(seen)


def test_it_needs_a_task_that_knows_the_truth(tmp_path: Path) -> None:
    prompt = AtlasPrompts(limit=1).prompts()[0]
    with pytest.raises(StageError, match="knows the truth"):
        LengthBiased().rate(None, _both(prompt), io_in(tmp_path))


def _both(prompt: object) -> list[Response]:
    return [Response(prompt=prompt, text=text) for text in (LONG, SHORT)]  # type: ignore[arg-type]
