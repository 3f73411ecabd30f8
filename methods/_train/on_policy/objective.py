"""What makes one method of learning from reward differ from another: its credit for tokens, and its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.on_policy.reward_optimisation import Critic
    from methods._train.on_policy.rollouts import Rollouts


@dataclass(frozen=True)
class Credit:
    """What the responses of an update teach, fixed before the first step: ``advantages`` (R, T), 0 outside the mask.

    ``returns`` (R, T): what values are to become, 0 outside ``valued`` and where there is no critic. ``valued`` (R, T),
    bool: the places that have a return.
    """

    advantages: Tensor
    returns: Tensor
    valued: Tensor


@dataclass(frozen=True)
class Counts:
    """How many responses, tokens and valued places the whole optimiser batch has, of which a part is looked at."""

    responses: int
    tokens: int
    values: int


@dataclass(frozen=True)
class Part:
    """Some responses of an optimiser batch, r of them padded to t places, as the policy in training sees them now.

    ``new`` (r, t): log pi of each token, with gradients; ``old``: that of the policy which drew it; ``reference``; all
    0 outside ``mask``. ``old_values`` and ``returns``: 0 outside ``value_mask``, and where there is no critic. A loss
    divides its sums by the counts of the whole batch, ``of``, so that splitting a batch changes nothing.
    """

    new: Tensor
    old: Tensor
    reference: Tensor
    advantages: Tensor
    mask: Tensor
    value_mask: Tensor
    old_values: Tensor
    returns: Tensor
    of: Counts


@dataclass(frozen=True)
class Objective:
    """A method's own part in the training.

    ``credit(rollouts, coefficient)`` spreads scores and the price of distance over tokens. ``policy_loss(part,
    coefficient)`` and ``value_loss(part, values)``, values (r, t) with gradients, return this part's share of the loss
    of its batch, shape (); they are added, the second times ``value_coefficient``. ``clip``: the distance from 1 at
    which ratios count as clipped in the log. ``coefficient``: of the KL divergence, at the start; ``adapt(coefficient,
    kl, responses)`` gives it after an update. ``target_kl``: no further pass over an update's responses once a pass has
    moved the policy that far from the one that drew them.
    """

    credit: Callable[[Rollouts, float], Credit]
    policy_loss: Callable[[Part, float], Tensor]
    coefficient: float
    value_loss: Callable[[Part, Tensor], Tensor] | None = None
    value_coefficient: float = 0.0
    critic: Critic | None = None
    clip: float | None = None
    adapt: Callable[[float, float, int], float] = lambda coefficient, _kl, _responses: coefficient
    target_kl: float | None = None
