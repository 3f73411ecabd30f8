"""A control judge: a random verdict for every presentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import NonNegativeInt

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.generate import row_seed

# `row_seed` gives 63 bits.
SEEDS = 2.0**63


class Random(Judge):
    """Prefers either response with probability one half.

    A control: what an audit says of a judge that reads nothing. The verdict is a function of (``seed``, the prompt,
    both texts in the order shown): another order is another draw, so that half of its verdicts flip, to either side.
    """

    NAME: ClassVar[str] = "random"
    VERSION: ClassVar[int] = 1

    seed: NonNegativeInt = 0

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 or 0, with probability one half each."""
        return [
            Verdict(value=float(_uniform(self.seed, pair.prompt.id, pair.first, pair.second) < 0.5)) for pair in pairs
        ]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return a number of [0, 1) for each response, by its prompt and text."""
        return [Verdict(value=_uniform(self.seed, one.prompt.id, one.text)) for one in responses]


def _uniform(seed: int, *texts: str) -> float:
    """Return a number of [0, 1) that depends on the seed and the texts, and on nothing else."""
    return row_seed(seed, "\x1f".join(texts), 0) / SEEDS
