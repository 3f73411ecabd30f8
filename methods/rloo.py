"""RLOO: REINFORCE with the other responses to the same prompt as the baseline.

Kool, van Hoof and Welling 2019, "Buy 4 REINFORCE samples, get a baseline for free!"; for language models Ahmadian et
al. 2024, arXiv:2402.14740, section 3.3. A whole response is one action. With k responses y_i to a prompt::

    R_i = score_i - beta (log pi_old(y_i) - log pi_ref(y_i))
    A_i = R_i - mean over j != i of R_j
    L   = mean_i max(-A_i r_i, -A_i clip(r_i, 1 - c, 1 + c)),   r_i = pi(y_i) / pi_old(y_i)

At the first step after drawing every r_i is 1, and the gradient is that of the paper's estimator, -A_i log pi(y_i).
Its optimum is that of PPO, pi_ref exp(score / beta) / Z. No critic is needed.

Known differences. The paper takes one step per batch and does not clip; with one pass and one optimiser step per update
this is its loss, and with more the ratio of whole responses is clipped, as in TRL's RLOO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned_on_reward
from methods._train.on_policy.objective import Advantages, MicroBatch, Objective
from methods._train.on_policy.reward_optimisation import RewardOptimisation, TrainOnReward

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.on_policy.rollouts import Rollouts


def left_out_advantages(rewards: Tensor, samples: int) -> Tensor:
    """Return each reward minus the mean of the others of its prompt (``samples`` in a row). Shape: (R,)."""
    grouped = rewards.view(-1, samples)
    others = (grouped.sum(-1, keepdim=True) - grouped) / (samples - 1)
    return (grouped - others).flatten()


def response_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return the loss of each response; log-probabilities are summed over tokens. Shapes: (r,)."""
    import torch

    ratio = (new - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


class TrainRLOO(TrainOnReward):
    """RLOO training; the fields are those of ``RLOO``."""

    KIND: ClassVar[str] = "train/rloo"
    VERSION: ClassVar[int] = 2

    beta: NonNegativeFloat
    clip: PositiveFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.on_policy.train import train_on_reward

        objective = Objective(
            advantages_of=self.advantages_of, policy_loss=self.policy_loss, kl_coefficient=self.beta, clip=self.clip
        )
        train_on_reward(self, io, objective)

    def advantages_of(self, rollouts: Rollouts, kl_coefficient: float) -> Advantages:
        """Return the advantage of each response, at every one of its tokens."""
        import torch

        found = left_out_advantages(rollouts.scores - kl_coefficient * rollouts.kl(), rollouts.samples)
        return Advantages(
            found[:, None] * rollouts.mask, torch.zeros_like(rollouts.values), torch.zeros_like(rollouts.mask)
        )

    def policy_loss(self, batch: MicroBatch, _kl_coefficient: float) -> Tensor:
        """Return the micro-batch's share of the mean over responses."""
        losses = response_loss(batch.new.sum(-1), batch.old.sum(-1), batch.advantages[:, 0], self.clip)
        return losses.sum() / batch.whole.responses


class RLOO(RewardOptimisation, Method):
    """REINFORCE leave-one-out (arXiv:2402.14740): the other samples of a prompt are the baseline, there is no critic.

    ``samples`` per prompt: 4 (2 and 4 in the paper), 128 prompts per update. ``beta``: the KL penalty coefficient, as
    for ppo. ``clip``: of the ratio of whole responses; nothing is clipped in the first step of an update, and by
    default there is one.
    """

    prompts_per_update: PositiveInt = 128
    samples: Annotated[int, Field(ge=2)] = 4
    beta: NonNegativeFloat = 0.05
    clip: PositiveFloat = 0.2

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the reward."""
        return fine_tuned_on_reward(TrainRLOO, self, given)
