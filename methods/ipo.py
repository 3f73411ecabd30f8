"""IPO: identity preference optimisation, a squared loss on the margin.

Azar et al. 2023, arXiv:2310.12036, equation 17, with tau named ``beta`` as in DPO::

    h = [log pi(w|x) - log pi(l|x)] - [log pi_ref(w|x) - log pi_ref(l|x)]
    L = (h - 1 / (2 beta))^2

On deterministic preferences DPO drives h to infinity; here it has the target 1 / (2 beta). For preferences that are
a distribution p, the minimiser has log pi*/pi_ref = p(y) / beta up to a constant, where p(y) is the mean probability
that y is preferred to a response drawn like the data's; with two responses, h = (p(w > l) - 1/2) / beta.

Known differences: released codes disagree on h, and their results cannot be compared. The DPO reference code takes
sums over tokens, as the equation says: ``likelihood: sum``, the default here. TRL divides each log-ratio by the
response's tokens, and reports that the paper's authors did so: ``likelihood: mean``. The target is then per token,
so ``beta`` must be larger by about the length of a response. Everything else as in ``methods/dpo.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

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

LikelihoodReduction = Literal["sum", "mean"]


def ipo_loss(policy: PairLogprobs, reference: PairLogprobs, beta: float, likelihood: LikelihoodReduction) -> Tensor:
    """Return the loss of each pair (equation 17). Shape: (pairs,)."""
    if likelihood == "mean":
        policy, reference = policy.per_token(), reference.per_token()
    return (policy.margin_over(reference) - 1 / (2 * beta)) ** 2


class TrainIPO(FineTuning):
    """IPO training."""

    KIND: ClassVar[str] = "train/ipo"
    VERSION: ClassVar[int] = 3

    reference: ReferenceLogprobs
    beta: PositiveFloat
    likelihood: LikelihoodReduction

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs

        def loss(policy: PairLogprobs, reference: PairLogprobs) -> Tensor:
            return ipo_loss(policy, reference, self.beta, self.likelihood)

        train_on_pairs(self, io, self.reference, loss)


class IPO(PreferenceOptimisation, Method):
    """Identity preference optimisation (arXiv:2310.12036): a squared loss with a finite target for the margin.

    ``beta``: the target margin is 1 / (2 beta) nats. ``likelihood``: of a whole response (``sum``) or per token
    (``mean``). ``start`` as for dpo.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    likelihood: LikelihoodReduction = "sum"
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences."""
        start = supervised_start(given, self.start)
        return fine_tuned(TrainIPO, self, given, start, preferences(given), reference=reference(given, start))
