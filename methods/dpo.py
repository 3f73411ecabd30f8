"""DPO: direct preference optimisation.

Rafailov et al. 2023, arXiv:2305.18290, equation 7. With w the chosen and l the rejected response::

    h = [log pi(w|x) - log pi(l|x)] - [log pi_ref(w|x) - log pi_ref(l|x)]
    L = - log sigmoid(beta * h)

Log-probabilities are SUMS over the response's tokens, the end token included; with means, beta would have to be
larger by about the response's length. The minimiser, for preferences that follow Bradley-Terry with reward r, is
pi* = pi_ref * exp(r / beta) / Z. The reference is the policy that training starts from.

Known differences. From the authors' code: AdamW on a cosine schedule instead of RMSprop after 150 steps of warm-up;
a beginning token where the tokenizer has one; a too long prompt loses its beginning. From TRL: the loss of ``sigmoid``
is the same on the same tokens; the reference's log-probabilities come from a stage of their own.
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


def dpo_loss(policy: PairLogprobs, reference: PairLogprobs, beta: float) -> Tensor:
    """Return the loss of each pair (equation 7). Shape: (pairs,)."""
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * policy.margin_over(reference))


class TrainDPO(FineTuning):
    """DPO training."""

    KIND: ClassVar[str] = "train/dpo"
    VERSION: ClassVar[int] = 3

    reference: ReferenceLogprobs
    beta: PositiveFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs

        train_on_pairs(self, io, self.reference, lambda policy, reference: dpo_loss(policy, reference, self.beta))


class DPO(PreferenceOptimisation, Method):
    """Direct preference optimisation (arXiv:2305.18290): a classification loss on pairs, no reward model.

    ``beta``: the KL penalty coefficient (0.1 in the paper, 0.5 there for TL;DR). ``start``: the settings of the
    supervised fine-tuning before it.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences."""
        start = supervised_start(given, self.start)
        return fine_tuned(TrainDPO, self, given, start, preferences(given), reference=reference(given, start))
