"""REINFORCE with a value baseline: the reinforcement learning of the RLAIF paper.

Lee et al. 2023, arXiv:2309.00267, appendix A.3 ("a modified version of A2C for language models"); Williams 1992. With
gamma = 1, for responses at temperature 0.9::

    Z_t = (1 - beta) score - beta * sum over k >= t of (log pi_old(y_k) - log pi_ref(y_k))
    L   = mean over responses of sum_t -(Z_t - V_t) log pi(y_t)  +  value_coefficient * L_V
    L_V = mean over responses of sum_t (Z_t - V_t)^2

V_t is the value before the token, without gradient in the first line. The objective is
E[(1 - beta) score - beta KL(pi || pi_ref)], so the optimum is pi_ref exp((1 - beta) score / beta) / Z.

Known differences. The paper does not say where the KL divergence enters; here each token pays its own, and a token's
return holds what is paid from it on. AdamW instead of Adafactor. Nothing corrects for a policy that has moved away from
the one that drew the responses, so more than one optimiser step per update is biased; the default is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned_on_reward
from methods._train.on_policy.objective import Advantages, MicroBatch, Objective
from methods._train.on_policy.reward_optimisation import Critic, RewardOptimisation, Share, TrainOnReward

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.on_policy.rollouts import Rollouts


def returns_to_go(scores: Tensor, kl: Tensor, beta: float) -> Tensor:
    """Return Z, from the scores (R,) and what each token differs from the reference, ``kl`` (R, T). Shape: (R, T)."""
    later = kl.flip(-1).cumsum(-1).flip(-1)
    return (1 - beta) * scores[:, None] - beta * later


class TrainREINFORCE(TrainOnReward):
    """REINFORCE training; the fields are those of ``REINFORCE``."""

    KIND: ClassVar[str] = "train/reinforce"
    VERSION: ClassVar[int] = 3

    beta: Share
    value_coefficient: NonNegativeFloat
    critic: Critic

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.on_policy.train import train_on_reward

        objective = Objective(
            advantages_of=self.advantages_of,
            policy_loss=self.policy_loss,
            kl_coefficient=self.beta,
            value_loss=self.value_loss,
            value_coefficient=self.value_coefficient,
            critic=self.critic,
        )
        train_on_reward(self, io, objective)

    def advantages_of(self, rollouts: Rollouts, kl_coefficient: float) -> Advantages:
        """Return what each token brought beyond its value, and the returns."""
        returns = returns_to_go(rollouts.scores, rollouts.logprobs - rollouts.reference, kl_coefficient) * rollouts.mask
        return Advantages((returns - rollouts.values) * rollouts.mask, returns, rollouts.mask)

    def policy_loss(self, batch: MicroBatch, _kl_coefficient: float) -> Tensor:
        """Return the micro-batch's share of the mean over responses of the sum over tokens."""
        return -(batch.advantages * batch.new * batch.mask).sum() / batch.whole.responses

    def value_loss(self, batch: MicroBatch, values: Tensor) -> Tensor:
        """Return the micro-batch's share of the mean over responses of the sum over tokens."""
        return ((values - batch.returns).square() * batch.mask).sum() / batch.whole.responses


class REINFORCE(RewardOptimisation, Method):
    """REINFORCE with a value baseline (arXiv:2309.00267, appendix A.3), as RLAIF was trained.

    The paper's: ``lr`` 1e-5, 128 responses per update, ``temperature`` 0.9, ``beta`` 0.05 (which also takes the reward
    by 1 - beta). ``critic`` and ``value_coefficient`` as for ppo; the paper gives no coefficient, 0.1 is PPO's.
    """

    lr: PositiveFloat = 1e-5
    prompts_per_update: PositiveInt = 128
    batch_size: PositiveInt = 128
    temperature: PositiveFloat = 0.9
    beta: Share = 0.05
    value_coefficient: NonNegativeFloat = 0.1
    critic: Critic = "separate"

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the reward."""
        return fine_tuned_on_reward(TrainREINFORCE, self, given)
