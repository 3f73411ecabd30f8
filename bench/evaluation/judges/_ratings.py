"""How a judge that rates compares: by the ratings of both responses."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.judge import Judge, Pair, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task


def rated_pairs(judge: Judge, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[tuple[Verdict, Verdict]]:
    """Return the judge's ratings of both responses of each pair, from one call."""
    asked = [response for pair in pairs for response in pair.responses()]
    ratings = judge.rate(task, asked, io)
    return list(zip(ratings[::2], ratings[1::2], strict=True))


def verdict_on_ratings(first: Verdict, second: Verdict) -> Verdict:
    """Return the comparison that two ratings imply; a missing rating makes it undefined, with the reason."""
    if first.value is None or second.value is None:
        worst = first if first.value is None else second
        return Verdict(value=None, status=worst.status, text=worst.text)
    value = 0.5 if first.value == second.value else float(first.value > second.value)
    return Verdict(value=value, text=f"first {first.value:.6g}, second {second.value:.6g}")
