"""What makes one method of learning from reward differ from another: its advantages, and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.on_policy.reward_optimisation import Critic
    from methods._train.on_policy.rollouts import Rollouts


@dataclass(frozen=True)
class Advantages:
    """The advantages of an update's responses, fixed before the first step: ``per_token`` (R, T), 0 outside the mask.

    ``returns`` (R, T): what values are to become, 0 outside ``valued`` and where there is no critic. ``valued`` (R, T),
    bool: the places that have a return.
    """

    per_token: Tensor
    returns: Tensor
    valued: Tensor


@dataclass(frozen=True)
class BatchCounts:
    """How many responses, tokens and valued places a whole optimiser batch has."""

    responses: int
    tokens: int
    values: int


@dataclass(frozen=True)
class MicroBatch:
    """Some responses of an optimiser batch, r of them padded to t places, as the policy in training sees them now.

    ``new`` (r, t): log pi of each token, with gradients; ``old``: that of the policy which drew it; ``reference``; all
    0 outside ``mask``. ``old_values`` and ``returns``: 0 outside ``value_mask``, and where there is no critic. A loss
    divides its sums by the counts of the whole batch, ``whole``, so that splitting a batch changes nothing.
    """

    new: Tensor
    old: Tensor
    reference: Tensor
    advantages: Tensor
    mask: Tensor
    value_mask: Tensor
    old_values: Tensor
    returns: Tensor
    whole: BatchCounts


def penalised(score: float, kl: float, kl_coefficient: float) -> float:
    """Return score - kl_coefficient * kl."""
    return score - kl_coefficient * kl


@dataclass(frozen=True)
class Objective:
    """What a method brings to the training.

    ``advantages_of(rollouts, kl_coefficient)`` spreads scores and the KL penalty over tokens. ``policy_loss(batch,
    kl_coefficient)`` and ``value_loss(batch, values)``, values (r, t) with gradients, return a micro-batch's share of
    the loss of its batch, shape (); they are added, the second times ``value_coefficient``. ``clip``: the distance from
    1 at which ratios count as clipped in the log. ``kl_coefficient``: of the KL penalty, at the start;
    ``adapt(kl_coefficient, kl, responses)`` gives it after an update. ``target_kl``: no further pass over an update's
    responses once a pass has moved the policy that far from the one that drew them. ``worth(score, kl,
    kl_coefficient)``: what the method maximises in expectation, by which weights are selected on held-out prompts.
    """

    advantages_of: Callable[[Rollouts, float], Advantages]
    policy_loss: Callable[[MicroBatch, float], Tensor]
    kl_coefficient: float
    value_loss: Callable[[MicroBatch, Tensor], Tensor] | None = None
    value_coefficient: float = 0.0
    critic: Critic | None = None
    clip: float | None = None
    adapt: Callable[[float, float, int], float] = lambda kl_coefficient, _kl, _responses: kl_coefficient
    target_kl: float | None = None
    worth: Callable[[float, float, float], float] = penalised
