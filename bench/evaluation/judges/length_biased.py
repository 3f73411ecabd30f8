"""A judge that knows the truth and likes length: what a length control should undo, with the truth beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings
from bench.evaluation.judges.gold import Gold

WORDS_PER_UNIT = 10.0


class LengthBiased(Judge):
    """The gold utility plus a liking for length, given as the probability of preferring the first response.

    With u the task's true utility and w the number of words::

        perceived = u + length_bias * w / 10
        P(first) = (1 - e) s + e (1 - s),   s = 1 / (1 + exp(-beta (perceived_1 - perceived_2))),   e = label_noise

    the Bradley-Terry annotator of the embedded world (``tasks/_atlas/annotator.py``) whose coin is not thrown, as a
    model's probability of a verdict. ``length_bias``: what ten more words are worth, in units of utility.
    """

    NAME: ClassVar[str] = "length_biased"
    VERSION: ClassVar[int] = 1

    beta: Annotated[float, Field(gt=0)] = 4.0
    label_noise: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    length_bias: float = 0.6

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return the probability with which the first response is preferred; both orders add up to 1."""
        return [self._verdict(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the utility as this judge perceives it; raises StageError without a task that knows the truth."""
        return [
            truth
            if truth.value is None
            else Verdict(value=truth.value + self.length_bias * len(one.text.split()) / WORDS_PER_UNIT)
            for one, truth in zip(responses, Gold().rate(task, responses, io), strict=True)
        ]

    def _verdict(self, first: Verdict, second: Verdict) -> Verdict:
        if first.value is None or second.value is None:
            return verdict_on_ratings(first, second)
        careful = 0.5 * (1.0 + math.tanh(0.5 * self.beta * (first.value - second.value)))
        value = (1.0 - self.label_noise) * careful + self.label_noise * (1.0 - careful)
        return Verdict(value=value, text=f"perceived: first {first.value:.6g}, second {second.value:.6g}")
