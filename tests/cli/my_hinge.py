"""A hinge loss on the preference margin."""

from typing import ClassVar

from pydantic import PositiveFloat

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods import (
    FineTuning,
    Optimisation,
    PreferenceOptimisation,
    ReferenceLogprobs,
    fine_tuned,
    preferences,
    reference,
    supervised_start,
)


class TrainMyHinge(FineTuning):
    KIND: ClassVar[str] = "train/my_hinge"
    VERSION: ClassVar[int] = 1

    reference: ReferenceLogprobs
    beta: PositiveFloat

    def run(self, io: StageIO) -> None:
        from methods import train_on_pairs

        def loss(policy, reference):
            return (1 - self.beta * policy.margin_over(reference)).clamp_min(0)  # (pairs,)

        train_on_pairs(self, io, self.reference, loss)


class MyHinge(PreferenceOptimisation, Method):
    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        start = supervised_start(given, self.start)
        return fine_tuned(TrainMyHinge, self, given, start, preferences(given), reference=reference(given, start))
