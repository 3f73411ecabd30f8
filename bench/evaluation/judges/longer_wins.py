"""A control judge: the longer response wins, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings


class LongerWins(Judge):
    """Prefers the response with more characters; equal lengths are a tie.

    A control: what it explains of another judge's verdicts may be length and nothing else (docs/judges.md). Characters
    are Unicode code points, as AlpacaEval counts them (Dubois et al. 2024, arXiv:2404.04475).
    """

    NAME: ClassVar[str] = "longer_wins"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response is longer, 0 where shorter, 0.5 where as long."""
        return [verdict_on_ratings(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the number of characters of each response."""
        return [Verdict(value=float(len(one.text))) for one in responses]
