"""rDPO: robust DPO, unbiased under a known share of wrong labels.

Chowdhury, Kini and Natarajan 2024, arXiv:2403.00409 (the loss named "robust" in TRL). With DPO's h
(arXiv:2305.18290, equation 7)::

    L = [ - (1 - e) log sigmoid(beta * h) + e log sigmoid(-beta * h) ] / (1 - 2 e)

Its expectation over labels flipped with probability e equals DPO's loss on the true labels, so its minimiser is
DPO's; cDPO's is not. The loss of a single pair is not bounded below: a long training on few pairs can run away.

Known differences: none from TRL's ``robust`` on the same tokens. Everything else as in ``methods/dpo.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat

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

FlipRate = Annotated[float, Field(ge=0, lt=0.5)]


def rdpo_loss(policy: PairLogprobs, reference: PairLogprobs, beta: float, flip_rate: float) -> Tensor:
    """Return the loss of each pair. Shape: (pairs,)."""
    from torch.nn.functional import logsigmoid

    h = policy.margin_over(reference)
    as_labelled, as_flipped = -logsigmoid(beta * h), -logsigmoid(-beta * h)
    return ((1 - flip_rate) * as_labelled - flip_rate * as_flipped) / (1 - 2 * flip_rate)


class TrainRDPO(FineTuning):
    """Robust DPO training."""

    KIND: ClassVar[str] = "train/rdpo"
    VERSION: ClassVar[int] = 3

    reference: ReferenceLogprobs
    beta: PositiveFloat
    flip_rate: FlipRate

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs

        def loss(policy: PairLogprobs, reference: PairLogprobs) -> Tensor:
            return rdpo_loss(policy, reference, self.beta, self.flip_rate)

        train_on_pairs(self, io, self.reference, loss)


class RDPO(PreferenceOptimisation, Method):
    """Robust DPO (arXiv:2403.00409): DPO made unbiased for a known share of flipped labels.

    ``flip_rate``: the share of labels that are wrong, which must be known (0.1 is a usual figure for human
    labels, not a value of the paper). ``beta`` and ``start`` as for dpo.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    flip_rate: FlipRate = 0.1
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences."""
        start = supervised_start(given, self.start)
        return fine_tuned(TrainRDPO, self, given, start, preferences(given), reference=reference(given, start))
