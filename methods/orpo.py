"""ORPO: odds-ratio preference optimisation, from the base in one training, without a reference.

Hong, Lee and Thorne 2024, arXiv:2403.07691, equations 6 and 7. With P(y|x) the geometric mean of the token
probabilities of a response, log P(y|x) = log pi(y|x) / |y|::

    odds(y|x) = P(y|x) / (1 - P(y|x))
    L = - log P(w|x) - weight * log sigmoid( log odds(w|x) - log odds(l|x) )

The first term is supervised fine-tuning on the chosen responses, so training starts from the base.

Known differences: the first term is averaged per pair, as the equation says; TRL averages it over the tokens of a
batch and scores prompt tokens in it too. The authors use lr 5e-6 to 8e-6 and weight 0.1 to 0.25 for models of 2 to 7
billion parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned, preferences
from methods._train.fine_tuning import FineTuning
from methods._train.settings import PreferenceOptimisation

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.pairs.logprobs import PairLogprobs

# log P is kept this far below 0: the odds of a response that is certain in float32 are infinite.
CERTAIN = -1e-7


def log_odds(log_probability: Tensor) -> Tensor:
    """Return log(P / (1 - P)) of log P. Shape: that of the input. -expm1 keeps the digits of 1 - P near P = 1."""
    bounded = log_probability.clamp_max(CERTAIN)
    return bounded - (-bounded.expm1()).log()


def orpo_loss(policy: PairLogprobs, weight: float) -> Tensor:
    """Return the loss of each pair (equation 6). Shape: (pairs,)."""
    from torch.nn.functional import logsigmoid

    mean = policy.per_token()
    return -mean.chosen - weight * logsigmoid(log_odds(mean.chosen) - log_odds(mean.rejected))


class TrainORPO(FineTuning):
    """ORPO training."""

    KIND: ClassVar[str] = "train/orpo"
    VERSION: ClassVar[int] = 3

    weight: PositiveFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs_alone

        train_on_pairs_alone(self, io, lambda policy: orpo_loss(policy, self.weight))


class ORPO(PreferenceOptimisation, Method):
    """Odds-ratio preference optimisation (arXiv:2403.07691): imitation and preference in one training of the base.

    ``weight``: of the odds-ratio term (lambda in the paper, 0.1).
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    weight: PositiveFloat = 0.1

    def policy(self, given: Given) -> PolicySpec:
        """Return the base, tuned on the preferences."""
        return fine_tuned(TrainORPO, self, given, given.base, preferences(given))
