"""Every loss at log-ratios of hundreds of nats, in float32: its value and its gradients are numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from methods._train.on_policy.kl import token_kl
from methods._train.on_policy.objective import BatchCounts, MicroBatch
from methods._train.on_policy.ratio import MOST_NATS, bounded_exp, bounded_expm1
from methods._train.on_policy.update import _statistics
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.representations.contrast_loss import contrast_loss
from methods._train.rewards.train import preference_loss
from methods.cdpo import cdpo_loss
from methods.dpo import dpo_loss
from methods.grpo import relative_advantages, token_loss
from methods.hinge import hinge_loss
from methods.ipo import ipo_loss
from methods.kto import kto_losses
from methods.orpo import orpo_loss
from methods.ppo import clipped_policy_loss, clipped_value_loss, generalised_advantages, whitened
from methods.rdpo import rdpo_loss
from methods.reinforce import returns_to_go
from methods.rloo import response_loss
from methods.simpo import simpo_loss

FAR = [-500.0, -200.0, -89.0, -30.0, 0.0, 30.0, 89.0, 200.0, 500.0]
ZERO = torch.zeros(())


def pairs(chosen: Tensor, rejected: Tensor) -> PairLogprobs:
    return PairLogprobs(chosen, rejected, torch.ones_like(chosen), torch.ones_like(rejected))


def of_pairs(loss: Callable[[PairLogprobs, PairLogprobs], Tensor]) -> Callable[[Tensor], Tensor]:
    """The loss of pairs that differ from the reference by so many nats in favour of the chosen response."""

    def found(nats: Tensor) -> Tensor:
        frozen = pairs(torch.full_like(nats, -600.0), torch.full_like(nats, -600.0))
        return loss(pairs(nats - 600.0, torch.full_like(nats, -600.0)), frozen)

    return found


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "dpo": of_pairs(lambda a, b: dpo_loss(a, b, 1.0, 3.0)),
    "cdpo": of_pairs(lambda a, b: cdpo_loss(a, b, 1.0, 0.1)),
    "rdpo": of_pairs(lambda a, b: rdpo_loss(a, b, 1.0, 0.1)),
    "hinge": of_pairs(lambda a, b: hinge_loss(a, b, 1.0, 3.0)),
    "ipo": of_pairs(lambda a, b: ipo_loss(a, b, 1.0, "sum")),
    "kto": of_pairs(lambda a, b: sum(kto_losses(a, b, ZERO, 1.0), ZERO)),
    "kto with a far z": of_pairs(lambda a, b: sum(kto_losses(a, b, torch.tensor(500.0), 1.0), ZERO)),
    "orpo": lambda nats: orpo_loss(pairs(-nats.abs(), -nats.abs().flip(0)), 1.0),
    "simpo": lambda nats: simpo_loss(pairs(nats - 600, torch.full_like(nats, -600.0)), 2.5, 1.0),
    "reward model": lambda nats: preference_loss(nats, -nats, torch.tensor(0.7), torch.tensor(2.0)),
    "contrast": lambda nats: contrast_loss(nats, -nats, 0.2),
    "rloo": lambda nats: response_loss(nats, torch.zeros_like(nats), torch.tensor(2.0), 0.2),
    "rloo, worse than the others": lambda nats: response_loss(nats, torch.zeros_like(nats), torch.tensor(-2.0), 0.2),
    "grpo": lambda nats: token_loss(nats, torch.zeros_like(nats), torch.tensor(2.0), 0.2),
    "grpo, worse": lambda nats: token_loss(nats, torch.zeros_like(nats), torch.tensor(-2.0), 0.2),
    "ppo": lambda nats: clipped_policy_loss(nats, torch.zeros_like(nats), torch.tensor(2.0), 0.2),
    "ppo, worse": lambda nats: clipped_policy_loss(nats, torch.zeros_like(nats), torch.tensor(-2.0), 0.2),
    "ppo's values": lambda nats: clipped_value_loss(nats, torch.zeros_like(nats), -nats.detach(), 0.2),
    "k1": lambda nats: token_kl(nats, torch.zeros_like(nats), "k1"),
    "k2": lambda nats: token_kl(nats, torch.zeros_like(nats), "k2"),
    "k3": lambda nats: token_kl(nats, torch.zeros_like(nats), "k3"),
    "reinforce": lambda nats: -(nats * returns_to_go(nats.detach(), nats.detach()[:, None], 0.05)[:, 0]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_finite(name: str) -> None:
    nats = torch.tensor(FAR, requires_grad=True)
    losses = LOSSES[name](nats)
    losses.sum().backward()
    assert nats.grad is not None
    assert torch.isfinite(losses).all(), losses
    assert torch.isfinite(nats.grad).all(), nats.grad
    assert math.isfinite(float(nats.grad.norm()))


@pytest.mark.parametrize("loss", [response_loss, token_loss, clipped_policy_loss])
@pytest.mark.parametrize("nats", [-200.0, 200.0])
def test_the_clipped_branch_is_the_right_one_however_far(loss: Callable[..., Tensor], nats: float) -> None:
    for advantage in (2.0, -2.0):
        new = torch.tensor([nats], requires_grad=True)
        found = loss(new, torch.zeros(1), torch.tensor([advantage]), 0.2)
        found.backward()
        assert new.grad is not None
        if (advantage > 0) == (nats > 0):  # clipped: moved far enough already
            assert found.item() == pytest.approx(-advantage * (1.2 if nats > 0 else 0.8))
            assert new.grad.item() == 0
        elif nats > 0:  # made likelier although it is worse: pushed down hard
            assert found.item() > 1e10
            assert new.grad.item() > 1e10
        else:  # made unlikely although it is better: the ratio is all but 0, as in the papers
            assert found.item() == pytest.approx(0, abs=1e-30)


def test_the_exponential_is_exact_up_to_its_tangent() -> None:
    near = torch.linspace(-90, MOST_NATS, 500)
    assert torch.equal(bounded_exp(near), near.exp())
    assert torch.equal(bounded_expm1(near), near.expm1())
    far = torch.linspace(MOST_NATS, 1000, 200)
    assert (bounded_exp(far).diff() > 0).all()
    below, at, above = (bounded_exp(torch.tensor(MOST_NATS + step, dtype=torch.float64)) for step in (-1e-4, 0.0, 1e-4))
    assert ((above - at) / (at - below)).item() == pytest.approx(1, abs=1e-3)


def test_statistics_of_a_far_update_are_finite() -> None:
    new = torch.tensor([[-500.0, 500.0]])
    zeros, ones = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    batch = MicroBatch(new, zeros, zeros, zeros, ones, ones, zeros, zeros, BatchCounts(1, 2, 2))
    found = _statistics(batch, 0.2)
    assert all(math.isfinite(float(value)) for value in found.values())
    assert float(found["clip_fraction"]) == 1


def test_advantages_of_far_and_of_equal_scores_are_finite() -> None:
    for scores in (torch.tensor([-500.0, 500.0, 0.0, 0.0]), torch.full((4,), -500.0)):
        assert torch.isfinite(relative_advantages(scores, 2, "deviation")).all()
        rows = scores.view(2, 2)
        assert torch.isfinite(whitened(rows, torch.ones_like(rows, dtype=torch.bool))).all()
        assert torch.isfinite(generalised_advantages(rows, -rows, 1.0, 0.95)).all()
