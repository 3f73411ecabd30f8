"""cDPO: conservative DPO, for labels of which a known share is wrong.

Mitchell 2023, "A note on DPO with noisy preferences and relationship to IPO" (https://ericmitchell.ai/cdpo.pdf);
``label_smoothing`` in the DPO reference code. With DPO's h (arXiv:2305.18290, equation 7)::

    L = - (1 - e) log sigmoid(beta * h) - e log sigmoid(-beta * h)

e is the share of pairs whose label is flipped. Unlike DPO's, this loss has its minimum at a finite margin,
h = log((1 - e) / e) / beta, so training stops pushing a pair apart there.

Known differences: TRL 1.16 ignores ``label_smoothing`` for its ``sigmoid`` loss, so it has no cDPO; older versions
had. Everything else as in ``methods/dpo.py``.
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


def cdpo_loss(policy: PairLogprobs, reference: PairLogprobs, beta: float, flip_rate: float) -> Tensor:
    """Return the loss of each pair. Shape: (pairs,)."""
    from torch.nn.functional import logsigmoid

    h = policy.margin_over(reference)
    return -(1 - flip_rate) * logsigmoid(beta * h) - flip_rate * logsigmoid(-beta * h)


class TrainCDPO(FineTuning):
    """Conservative DPO training."""

    KIND: ClassVar[str] = "train/cdpo"
    VERSION: ClassVar[int] = 3

    reference: ReferenceLogprobs
    beta: PositiveFloat
    flip_rate: FlipRate

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs

        def loss(policy: PairLogprobs, reference: PairLogprobs) -> Tensor:
            return cdpo_loss(policy, reference, self.beta, self.flip_rate)

        train_on_pairs(self, io, self.reference, loss)


class CDPO(PreferenceOptimisation, Method):
    """Conservative DPO: DPO with smoothed labels, for noisy preferences.

    ``flip_rate``: the share of labels taken to be wrong (0.1 is a usual figure for human labels). ``beta`` and
    ``start`` as for dpo.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    flip_rate: FlipRate = 0.1
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences."""
        start = supervised_start(given, self.start)
        return fine_tuned(TrainCDPO, self, given, start, preferences(given), reference=reference(given, start))
