"""Hinge: the SLiC loss on log-ratios to the reference.

Zhao et al. 2023 (SLiC-HF), arXiv:2305.10425, rank likelihoods by a hinge; Liu et al. 2023 (RSO), arXiv:2309.06657
("hinge-norm"), put log-ratios to the reference in their place, which is the loss here::

    h = [log pi(w|x) - log pi(l|x)] - [log pi_ref(w|x) - log pi_ref(l|x)]
    L = max(0, 1 - beta * h)

A pair whose margin exceeds 1 / beta has no gradient.

Known differences from SLiC-HF: its margin delta is a setting and its likelihoods are not divided by the reference's;
it adds a cross-entropy to a target as the regulariser, of which there is none here. None from TRL's ``hinge`` on the
same tokens. Everything else as in ``methods/dpo.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned, preferences, reference, supervised_start
from methods._train.fine_tuning import FineTuning
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.settings import Optimisation, PreferenceOptimisation

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.pairs.logprobs import PairLogprobs


def hinge_loss(policy: PairLogprobs, reference: PairLogprobs, beta: float) -> Tensor:
    """Return the loss of each pair. Shape: (pairs,)."""
    return (1 - beta * policy.margin_over(reference)).clamp_min(0)


class TrainHinge(FineTuning):
    """Hinge training."""

    KIND: ClassVar[str] = "train/hinge"
    VERSION: ClassVar[int] = 3

    reference: ReferenceLogprobs
    beta: PositiveFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs

        train_on_pairs(self, io, self.reference, lambda policy, reference: hinge_loss(policy, reference, self.beta))


class Hinge(PreferenceOptimisation, Method):
    """SLiC's hinge loss on log-ratios (arXiv:2305.10425, arXiv:2309.06657): pairs far enough apart are left alone.

    ``beta``: the margin asked for is 1 / beta nats. ``start`` as for dpo.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences."""
        start = supervised_start(given, self.start)
        return fine_tuned(TrainHinge, self, given, start, preferences(given), reference=reference(given, start))
