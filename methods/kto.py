"""KTO: Kahneman-Tversky optimisation, from responses that are good or bad each on its own.

Ethayarajh et al. 2024, arXiv:2402.01306, equation 8. With r = log pi(y|x) - log pi_ref(y|x)::

    v = desirable_weight   * sigmoid(beta * (r - z))   for a desirable response
    v = undesirable_weight * sigmoid(beta * (z - r))   for an undesirable one
    L = weight of the response - v
    z = max(0, mean over the batch of log pi(y'|x) - log pi_ref(y'|x)),  y' a response to another prompt

z estimates KL(pi || pi_ref) and has no gradient. Pairs are taken apart: the chosen response is desirable and the
rejected one undesirable, so a batch of n pairs holds 2 n responses, half of each kind.

Known differences. y' is the response of the next row with another prompt, in the order of the data, chosen and
rejected in turn, so that the reference can be scored once; the authors' code and TRL shift by one within a batch.
z is the mean over the whole optimiser batch however it is split (theirs: of a micro-batch, averaged over devices).
Both responses of a pair stand in the same batch; in the authors' code they are shuffled apart. Data with `completion`
and `label` are taken as they are: every response stands alone, and the batch has as many of a kind as the shuffled data
gives it. Where good and bad ones are not equally many, the weights are to make up for it: the paper advises that
desirable_weight times the number of good ones be 1 to 4/3 of undesirable_weight times the number of bad ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned, labelled_responses, preferences_without_margins, reference, supervised_start
from methods._train.fine_tuning import FineTuning
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.settings import Optimisation, PreferenceOptimisation

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.pairs.logprobs import PairLogprobs


def kto_losses(policy: PairLogprobs, reference: PairLogprobs, z: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Return the losses of the desirable and the undesirable responses at weight 1 (equation 8). Shapes: (pairs,)."""
    desirable = desirable_loss(policy.chosen - reference.chosen, z, beta)
    return desirable, undesirable_loss(policy.rejected - reference.rejected, z, beta)


def desirable_loss(ratio: Tensor, z: Tensor, beta: float) -> Tensor:
    """Return the loss of good responses, of which ``ratio`` is log pi - log pi_ref (equation 8). Shape: that of it."""
    return 1 - (beta * (ratio - z)).sigmoid()


def undesirable_loss(ratio: Tensor, z: Tensor, beta: float) -> Tensor:
    """Return the same of bad responses."""
    return 1 - (beta * (z - ratio)).sigmoid()


class TrainKTO(FineTuning):
    """KTO training."""

    KIND: ClassVar[str] = "train/kto"
    VERSION: ClassVar[int] = 3

    reference: ReferenceLogprobs
    mismatched: ReferenceLogprobs
    beta: PositiveFloat
    desirable_weight: PositiveFloat
    undesirable_weight: PositiveFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train_unpaired import train_unpaired

        def loss(policy: PairLogprobs, reference: PairLogprobs, z: Tensor) -> Tensor:
            desirable, undesirable = kto_losses(policy, reference, z, self.beta)
            return (self.desirable_weight * desirable + self.undesirable_weight * undesirable) / 2

        train_unpaired(self, io, self.reference, self.mismatched, loss)


class TrainLabelledKTO(FineTuning):
    """KTO training on responses that are labelled each on its own."""

    KIND: ClassVar[str] = "train/kto_labelled"
    VERSION: ClassVar[int] = 1

    reference: ReferenceLogprobs
    mismatched: ReferenceLogprobs
    beta: PositiveFloat
    desirable_weight: PositiveFloat
    undesirable_weight: PositiveFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train_unpaired import train_labelled

        def loss(ratio: Tensor, good: Tensor, z: Tensor) -> Tensor:
            desirable = self.desirable_weight * desirable_loss(ratio, z, self.beta)
            undesirable = self.undesirable_weight * undesirable_loss(ratio, z, self.beta)
            return desirable.where(good, undesirable)

        train_labelled(self, io, self.reference, self.mismatched, loss)


class KTO(PreferenceOptimisation, Method):
    """Kahneman-Tversky optimisation (arXiv:2402.01306): responses are desirable or not, each on its own.

    ``beta`` as for dpo. ``desirable_weight`` and ``undesirable_weight`` (lambda in the paper, 1 for balanced data)
    weigh gains and losses. It learns from pairs, or from responses with a label each. ``start``: the settings of the
    supervised fine-tuning before it.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    desirable_weight: PositiveFloat = 1.0
    undesirable_weight: PositiveFloat = 1.0
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences taken apart, or on responses with labels."""
        start = supervised_start(given, self.start)
        labelled = labelled_responses(given)
        return fine_tuned(
            TrainKTO if labelled is None else TrainLabelledKTO,
            self,
            given,
            start,
            preferences_without_margins(given) if labelled is None else labelled,
            reference=reference(given, start),
            mismatched=reference(given, start, responses="mismatched"),
        )
