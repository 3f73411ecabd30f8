"""GRPO: PPO's clipped loss with advantages relative to the other responses to the same prompt.

Shao et al. 2024, arXiv:2402.03300, equations 3 and 4. With k responses to a prompt, of |y_i| tokens::

    A_i = (score_i - mean of the k scores) / standard deviation of the k scores
    L   = mean_i 1/|y_i| sum_t [ max(-A_i r_t, -A_i clip(r_t, 1 - c, 1 + c)) + beta KL_t ],  r_t = pi(y_t) / pi_old(y_t)
    KL_t = exp(-d) - 1 + d,   d = log pi(y_t) - log pi_ref(y_t)                                     (k3)

The KL penalty is in the loss and not in the reward. Two things follow that the paper does not say. The gradient
of k3 at tokens drawn from pi is that of KL(pi_ref || pi), so that for one-token responses and plain advantages the
fixed point is pi = beta pi_ref / (beta - (score - E[score])) and not pi_ref exp(score / beta) / Z; the latter comes
with ``kl_estimator: k2``, whose gradient is that of KL(pi || pi_ref). And dividing by the standard deviation gives
every prompt the same weight, so that beta is not in units of the reward; ``scale: plain`` leaves that out (Liu
et al. 2025, arXiv:2503.20783, who leave out 1/|y_i| as well: ``mean: tokens``).

Known differences. The standard deviation is biased (divided by k) and has 1e-4 added to it, as in TRL (whose own is
unbiased); the paper adds nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned_on_reward
from methods._train.on_policy.kl import token_kl
from methods._train.on_policy.objective import Advantages, MicroBatch, Objective
from methods._train.on_policy.reward_optimisation import RewardOptimisation, TrainOnReward

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.on_policy.rollouts import Rollouts

LEAST_DEVIATION = 1e-4


def relative_advantages(scores: Tensor, samples: int, scale: Literal["deviation", "plain"]) -> Tensor:
    """Return each score relative to the mean of its prompt's (``samples`` in a row). Shape: (R,)."""
    grouped = scores.view(-1, samples)
    centred = grouped - grouped.mean(-1, keepdim=True)
    if scale == "deviation":
        centred = centred / (grouped.std(-1, keepdim=True, correction=0) + LEAST_DEVIATION)
    return centred.flatten()


def token_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return max(-A r, -A clip(r, 1 - clip, 1 + clip)) of each token. Shape: (r, t)."""
    import torch

    ratio = (new - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


class TrainGRPO(TrainOnReward):
    """GRPO training; the fields are those of ``GRPO``."""

    KIND: ClassVar[str] = "train/grpo"
    VERSION: ClassVar[int] = 2

    beta: NonNegativeFloat
    clip: PositiveFloat
    kl_estimator: Literal["k2", "k3"]
    scale: Literal["deviation", "plain"]
    mean: Literal["responses", "tokens"]

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.on_policy.train import train_on_reward

        objective = Objective(
            advantages_of=self.advantages_of, policy_loss=self.policy_loss, kl_coefficient=self.beta, clip=self.clip
        )
        train_on_reward(self, io, objective)

    def advantages_of(self, rollouts: Rollouts, _kl_coefficient: float) -> Advantages:
        """Return the advantage of each response, at every one of its tokens."""
        import torch

        found = relative_advantages(rollouts.scores, rollouts.samples, self.scale)
        return Advantages(
            found[:, None] * rollouts.mask, torch.zeros_like(rollouts.values), torch.zeros_like(rollouts.mask)
        )

    def policy_loss(self, batch: MicroBatch, kl_coefficient: float) -> Tensor:
        """Return the micro-batch's share of the mean over responses of the mean over tokens (or over all tokens)."""
        distance = token_kl(batch.new, batch.reference, self.kl_estimator)
        losses = token_loss(batch.new, batch.old, batch.advantages, self.clip) + kl_coefficient * distance
        losses = losses * batch.mask
        if self.mean == "tokens":
            return losses.sum() / batch.whole.tokens
        return (losses.sum(-1) / batch.mask.sum(-1)).sum() / batch.whole.responses


class GRPO(RewardOptimisation, Method):
    """Group relative policy optimisation (arXiv:2402.03300): advantages within a prompt's samples, KL in the loss.

    ``lr`` 1e-6, ``beta`` 0.04 and ``samples`` 64 are the paper's; 8 samples of 64 prompts are the default here.
    ``kl_estimator``, ``scale`` and ``mean``: see the text of this file.
    """

    lr: PositiveFloat = 1e-6
    prompts_per_update: PositiveInt = 64
    samples: Annotated[int, Field(ge=2)] = 8
    beta: NonNegativeFloat = 0.04
    clip: PositiveFloat = 0.2
    kl_estimator: Literal["k2", "k3"] = "k3"
    scale: Literal["deviation", "plain"] = "deviation"
    mean: Literal["responses", "tokens"] = "responses"

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the reward."""
        return fine_tuned_on_reward(TrainGRPO, self, given)
