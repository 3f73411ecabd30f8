"""RLHF by PPO: proximal policy optimisation of a learnt reward, kept near the supervised start.

Schulman et al. 2017, arXiv:1707.06347; for language models Ziegler et al. 2019, arXiv:1909.08593, Stiennon et al.
2020, arXiv:2009.01325, and Ouyang et al. 2022, arXiv:2203.02155. The steps and the order of masking, whitening and
clipping are those of Huang et al. 2024, arXiv:2403.17031. An update, for responses y to prompts x at the sampling
temperature, L being the place of the last token::

    kl_t = log pi_old(y_t) - log pi_ref(y_t)                                     (or another estimator)
    R_t  = - beta kl_t,  and R_{L+1} (R_L where there is no room) += score
    A_t  = delta_t + gamma lambda A_{t+1},  delta_t = R_t + gamma V_{t+1} - V_t
    G_t  = A_t + V_t
    L    = mean_t max(-A_t r_t, -A_t clip(r_t, 1 - c, 1 + c)) + value_coefficient * L_V,  r_t = pi(y_t) / pi_old(y_t)
    L_V  = mean_t max((V - G)^2, (clip(V, V_old - c_V, V_old + c_V) - G)^2) / 2

with A whitened over the tokens of the update after G was taken. The score is the reward, or minus a penalty where the
response does not end. Values count at the place behind an end token too: there stands the value of the finished
response. The optimum of E[score] - beta KL(pi || pi_ref) is pi_ref exp(score / beta) / Z.

Known differences from the code of arXiv:2403.17031. Sampling stops at the end token, so no state behind it is ever
computed except the one whose value counts. Old log-probabilities are those that the decoder recorded. Minibatches hold
whole prompts. From TRL (experimental PPO): the same, and a missing end replaces the score instead of lowering it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from bench.core.data import DataSpec
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned_on_reward
from methods._train.on_policy.kl import adapted, token_kl
from methods._train.on_policy.objective import Advantages, MicroBatch, Objective
from methods._train.on_policy.reward_optimisation import Critic, RewardOptimisation, Share, TrainOnReward

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.on_policy.rollouts import Rollouts

# Added to a variance before its root is taken (arXiv:1909.08593's code).
WHITENING_EPSILON = 1e-8


def whitened(values: Tensor, mask: Tensor) -> Tensor:
    """Return (x - mean) / sqrt(variance + 1e-8) over the mask, the variance biased; 0 outside. Shape: the inputs'."""
    found = values[mask]
    scaled = (values - found.mean()) * (found.var(correction=0) + WHITENING_EPSILON).rsqrt()
    return scaled * mask


def rescaled(values: Tensor, mask: Tensor) -> Tensor:
    """Return ``whitened`` with the mean put back: only the scale changes; 0 outside the mask."""
    return (whitened(values, mask) + values[mask].mean()) * mask


def shaped_rewards(scores: Tensor, penalties: Tensor, value_mask: Tensor) -> Tensor:
    """Return R: minus the penalty at every token, and the score at the last valued place. Shape: (R, T)."""
    import torch

    rewards = -penalties * value_mask
    rows = torch.arange(len(scores), device=scores.device)
    rewards[rows, value_mask.sum(-1) - 1] += scores
    return rewards


def generalised_advantages(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """Return A (Schulman et al. 2015, arXiv:1506.02438, equation 16), the value behind the last place being 0.

    Shapes: (R, T). Rewards and values are 0 where a response has no place, and so are the advantages there.
    """
    import torch

    advantages = torch.zeros_like(rewards)
    later_value, later = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])
    for place in reversed(range(rewards.shape[1])):
        error = rewards[:, place] + gamma * later_value - values[:, place]
        later = error + gamma * lam * later
        advantages[:, place] = later
        later_value = values[:, place]
    return advantages


def clipped_policy_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return max(-A r, -A clip(r, 1 - clip, 1 + clip)) of each token (arXiv:1707.06347, equation 7). Shape: (r, t)."""
    import torch

    ratio = (new - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def clipped_value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Return half the larger squared error of V and of V kept within ``clip`` of the old value. Shape: (r, t)."""
    import torch

    near = torch.clamp(values, old - clip, old + clip)
    return torch.maximum((values - returns).square(), (near - returns).square()) / 2


class TrainPPO(TrainOnReward):
    """PPO training; the fields are those of ``PPO``."""

    KIND: ClassVar[str] = "train/ppo"
    VERSION: ClassVar[int] = 2

    beta: NonNegativeFloat
    kl_estimator: Literal["k1", "k3"]
    kl_target: PositiveFloat | None
    kl_horizon: PositiveInt
    gamma: Annotated[float, Field(gt=0, le=1)]
    lam: Share
    clip: PositiveFloat
    value_clip: PositiveFloat
    value_coefficient: NonNegativeFloat
    critic: Critic
    advantages: Literal["whitened", "plain"]
    rewards: Literal["rescaled", "plain"]
    target_kl: PositiveFloat | None
    ptx: NonNegativeFloat
    demonstrations: DataSpec | None

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.on_policy.pretraining_mix import demonstration_loss
        from methods._train.on_policy.train import train_on_reward

        extra = None if self.demonstrations is None else demonstration_loss(self, self.demonstrations, self.ptx, io)
        train_on_reward(self, io, self.objective(), extra)

    def objective(self) -> Objective:
        """Return the loss of an update and what goes before it."""
        return Objective(
            advantages_of=self.advantages_of,
            policy_loss=self.policy_loss,
            kl_coefficient=self.beta,
            value_loss=self.value_loss,
            value_coefficient=self.value_coefficient,
            critic=self.critic,
            clip=self.clip,
            adapt=self.adapt,
            target_kl=self.target_kl,
        )

    def advantages_of(self, rollouts: Rollouts, kl_coefficient: float) -> Advantages:
        """Return the advantages and returns of an update's responses."""
        penalties = kl_coefficient * token_kl(rollouts.logprobs, rollouts.reference, self.kl_estimator)
        rewards = shaped_rewards(rollouts.scores, penalties, rollouts.value_mask)
        if self.rewards == "rescaled":
            rewards = rescaled(rewards, rollouts.value_mask)
        advantages = generalised_advantages(rewards, rollouts.values, self.gamma, self.lam)
        returns = advantages + rollouts.values
        if self.advantages == "whitened":
            return Advantages(whitened(advantages, rollouts.mask), returns, rollouts.value_mask)
        return Advantages(advantages * rollouts.mask, returns, rollouts.value_mask)

    def policy_loss(self, batch: MicroBatch, _kl_coefficient: float) -> Tensor:
        """Return the micro-batch's share of the mean over tokens."""
        losses = clipped_policy_loss(batch.new, batch.old, batch.advantages, self.clip)
        return (losses * batch.mask).sum() / batch.whole.tokens

    def value_loss(self, batch: MicroBatch, values: Tensor) -> Tensor:
        """Return the micro-batch's share of the mean over valued places."""
        losses = clipped_value_loss(values, batch.old_values, batch.returns, self.value_clip)
        return (losses * batch.value_mask).sum() / batch.whole.values

    def adapt(self, kl_coefficient: float, kl: float, responses: int) -> float:
        """Return the KL coefficient of the next update."""
        if self.kl_target is None:
            return kl_coefficient
        return adapted(kl_coefficient, kl, self.kl_target, self.kl_horizon, responses)


class PPO(RewardOptimisation, Method):
    """RLHF by PPO (arXiv:2403.17031): a reward model, then clipped policy steps on own responses, with a critic.

    Defaults are those of the reproduction of RLHF on TL;DR unless said otherwise.
    ``beta``: the KL penalty coefficient (0.05 there; 0.02 in InstructGPT). ``kl_target``: when set, beta follows the KL
    divergence towards it at the pace of ``kl_horizon`` responses (6 and 10000 in arXiv:1909.08593, which starts at
    0.15). ``kl_estimator``: k1 there; k3 is never negative, but as a reward it is another objective. ``gamma`` 1,
    ``lam`` 0.95 (AlpacaFarm: 1). ``clip`` and ``value_clip`` 0.2, ``value_coefficient`` 0.1. ``critic``: ``separate``,
    a model that starts as the reward model, or ``shared``, a head on the policy's states, at half the cost.
    ``advantages`` whitened; ``rewards`` plain (``rescaled`` divides score and KL penalty by their standard deviation,
    and beta then means another thing in every batch). ``target_kl``: no further pass over an update's responses once a
    pass has moved the policy so far (None there). ``ptx``: the weight of the mean loss on demonstrations added to every
    step (InstructGPT: 27.8, on pretraining data; 0 is none). ``temperature`` is 1 and not 0.7, and ``max_new_tokens``
    128 and not 53, as for every task here.
    """

    epochs: PositiveInt = 4
    beta: NonNegativeFloat = 0.05
    kl_estimator: Literal["k1", "k3"] = "k1"
    kl_target: PositiveFloat | None = None
    kl_horizon: PositiveInt = 10_000
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    lam: Share = 0.95
    clip: PositiveFloat = 0.2
    value_clip: PositiveFloat = 0.2
    value_coefficient: NonNegativeFloat = 0.1
    critic: Critic = "separate"
    advantages: Literal["whitened", "plain"] = "whitened"
    rewards: Literal["rescaled", "plain"] = "plain"
    target_kl: PositiveFloat | None = None
    ptx: NonNegativeFloat = 0.0

    def needs(self) -> frozenset[str]:
        """Return what the reward needs, and demonstrations where their loss is mixed in."""
        return super().needs() | (frozenset({"demonstrations"}) if self.ptx else frozenset())

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the reward."""
        demonstrations = given.demonstrations if self.ptx else None
        return fine_tuned_on_reward(TrainPPO, self, given, demonstrations=demonstrations)
