"""The losses: hand-computed values, gradients at the start, and worlds whose optimum is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from methods._train.pairs.logprobs import PairLogprobs
from methods.cdpo import cdpo_loss
from methods.dpo import dpo_loss
from methods.hinge import hinge_loss
from methods.ipo import ipo_loss
from methods.kto import kto_losses
from methods.orpo import log_odds, orpo_loss
from methods.rdpo import rdpo_loss
from methods.simpo import simpo_loss

LN2 = math.log(2)


def pairs(chosen: float | Tensor, rejected: float | Tensor, tokens: tuple[int, int] = (1, 1)) -> PairLogprobs:
    one, other = torch.as_tensor(chosen, dtype=torch.float64), torch.as_tensor(rejected, dtype=torch.float64)
    one, other = torch.atleast_1d(one), torch.atleast_1d(other)
    return PairLogprobs(one, other, torch.full_like(one, tokens[0]), torch.full_like(other, tokens[1]))


REFERENCE = pairs(-8.0, -6.0)
FIVE = pairs(-4.0, -7.0)  # h = 3 - (-2) = 5
ALL: dict[str, Callable[[PairLogprobs, PairLogprobs], Tensor]] = {
    "dpo": lambda policy, reference: dpo_loss(policy, reference, 0.1),
    "cdpo": lambda policy, reference: cdpo_loss(policy, reference, 0.1, 0.1),
    "rdpo": lambda policy, reference: rdpo_loss(policy, reference, 0.1, 0.1),
    "hinge": lambda policy, reference: hinge_loss(policy, reference, 0.1),
    "ipo": lambda policy, reference: ipo_loss(policy, reference, 0.1, "sum"),
}


@pytest.mark.parametrize(
    ("name", "expected"), [("dpo", LN2), ("cdpo", LN2), ("rdpo", LN2), ("hinge", 1.0), ("ipo", 25.0)]
)
def test_at_the_start(name: str, expected: float) -> None:  # U1, U2
    assert ALL[name](REFERENCE, REFERENCE).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.49])
def test_cdpo_starts_at_ln_2_for_any_rate(rate: float) -> None:
    assert cdpo_loss(REFERENCE, REFERENCE, 0.1, rate).item() == pytest.approx(LN2, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"), [("dpo", 0.474077), ("cdpo", 0.524077), ("rdpo", 0.411577), ("hinge", 0.5), ("ipo", 0.0)]
)
def test_at_a_margin_of_five(name: str, expected: float) -> None:  # U3, U4
    assert ALL[name](FIVE, REFERENCE).item() == pytest.approx(expected, abs=1e-6)


def test_dpo_weighs_a_pair_by_how_wrong_it_is() -> None:  # U3
    chosen = torch.tensor([-4.0], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([-7.0], dtype=torch.float64, requires_grad=True)
    dpo_loss(pairs(chosen, rejected), REFERENCE, 0.1).sum().backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.1 * 0.377541, abs=1e-7)
    assert rejected.grad.item() == pytest.approx(0.1 * 0.377541, abs=1e-7)


def test_dpo_gradient_at_the_start_is_half_beta() -> None:
    chosen = torch.tensor([-8.0], dtype=torch.float64, requires_grad=True)
    dpo_loss(pairs(chosen, -6.0), REFERENCE, 0.1).sum().backward()
    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.05, abs=1e-12)


def test_cdpo_stops_at_its_margin() -> None:  # U5
    margin = torch.tensor([21.97225], dtype=torch.float64, requires_grad=True)
    zero = pairs(0.0, 0.0)
    cdpo_loss(pairs(margin, 0.0), zero, 0.1, 0.1).sum().backward()
    assert margin.grad is not None
    assert abs(margin.grad.item()) < 1e-7


def test_swapping_chosen_and_rejected() -> None:
    swapped, reference = pairs(-7.0, -4.0), pairs(-6.0, -8.0)
    assert swapped.margin_over(reference).item() == -FIVE.margin_over(REFERENCE).item()
    there, back = dpo_loss(FIVE, REFERENCE, 0.1), dpo_loss(swapped, reference, 0.1)
    assert ((-there).exp() + (-back).exp()).item() == pytest.approx(1.0, abs=1e-12)


def test_identical_responses_give_no_gradient() -> None:
    value = torch.tensor([-3.0], dtype=torch.float64, requires_grad=True)
    dpo_loss(pairs(value, value), pairs(-5.0, -5.0), 0.1).sum().backward()
    assert value.grad is not None
    assert value.grad.item() == 0.0


def test_ipo_per_token() -> None:
    policy, reference = pairs(-4.0, -7.0, (2, 5)), pairs(-8.0, -6.0, (2, 5))
    h = (-4 + 8) / 2 - (-7 + 6) / 5
    assert ipo_loss(policy, reference, 0.1, "mean").item() == pytest.approx((h - 5) ** 2, abs=1e-12)


def test_simpo() -> None:
    policy = pairs(-4.0, -7.0, (2, 5))  # per token -2.0 and -1.4
    assert simpo_loss(policy, 2.0, 1.0).item() == pytest.approx(math.log1p(math.exp(2 * 0.6 + 1)), abs=1e-12)


def test_orpo() -> None:
    policy = pairs(-1.0, -4.0, (2, 4))  # geometric means e^-0.5 and e^-1
    good, bad = math.exp(-0.5), math.exp(-1.0)
    ratio = math.log(good / (1 - good)) - math.log(bad / (1 - bad))
    assert orpo_loss(policy, 0.1).item() == pytest.approx(0.5 + 0.1 * math.log1p(math.exp(-ratio)), abs=1e-12)


def test_orpo_of_a_certain_response_is_finite() -> None:
    certain = torch.tensor([0.0, -1e-9, -50.0], requires_grad=True)
    found = log_odds(certain)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert certain.grad is not None
    assert torch.isfinite(certain.grad).all()


def test_kto() -> None:
    z = torch.tensor(0.0)
    desirable, undesirable = kto_losses(REFERENCE, REFERENCE, z, 0.1)
    assert desirable.item() == pytest.approx(0.5)
    assert undesirable.item() == pytest.approx(0.5)
    desirable, undesirable = kto_losses(FIVE, REFERENCE, torch.tensor(2.0), 0.1)  # ratios 4 and -1
    assert desirable.item() == pytest.approx(1 - 1 / (1 + math.exp(-0.2)), abs=1e-7)
    assert undesirable.item() == pytest.approx(1 - 1 / (1 + math.exp(-0.3)), abs=1e-7)


# Worlds of a few responses, where the whole distribution can be seen.

REWARD = torch.tensor([1.0, 0.2, -0.4, -1.5, 0.6], dtype=torch.float64)
START = torch.tensor([0.1, 0.3, 0.25, 0.2, 0.15], dtype=torch.float64).log()
PairLoss = Callable[[PairLogprobs, PairLogprobs], Tensor]


def minimiser(loss: PairLoss, probability: Tensor, start: Tensor) -> Tensor:
    """The policy (log-probabilities) that minimises the expected loss over all ordered pairs.

    ``probability[i, j]``: how often i is labelled better than j.
    """
    size = len(start)
    first, second = (torch.arange(size)[:, None] != torch.arange(size)).nonzero().unbind(1)
    reference = pairs(start[first], start[second])
    logits = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [logits], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def expected() -> Tensor:
        optimiser.zero_grad()
        policy = logits.log_softmax(0)
        value = (probability[first, second] * loss(pairs(policy[first], policy[second]), reference)).sum()
        value.backward()
        return value

    optimiser.step(expected)
    return logits.detach().log_softmax(0)


def bradley_terry(reward: Tensor) -> Tensor:
    return torch.sigmoid(reward[:, None] - reward)


def tilted(start: Tensor, reward: Tensor, beta: float) -> Tensor:
    return (start + reward / beta).softmax(0)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_dpo_reaches_the_optimum_of_regularised_reward(size: int, beta: float) -> None:
    reward, start = REWARD[:size], START[:size].log_softmax(0)
    found = minimiser(lambda a, b: dpo_loss(a, b, beta), bradley_terry(reward), start).exp()
    assert (found - tilted(start, reward, beta)).abs().max() < 1e-3


@pytest.mark.parametrize("size", [3, 5])
def test_rdpo_on_flipped_labels_reaches_the_optimum_of_the_true_ones(size: int) -> None:
    reward, start, rate = REWARD[:size], START[:size].log_softmax(0), 0.2
    true = bradley_terry(reward)
    flipped = (1 - rate) * true + rate * (1 - true)
    found = minimiser(lambda a, b: rdpo_loss(a, b, 0.5, rate), flipped, start).exp()
    assert (found - tilted(start, reward, 0.5)).abs().max() < 1e-3
    assert (minimiser(lambda a, b: dpo_loss(a, b, 0.5), flipped, start).exp() - found).abs().max() > 0.01


def test_cdpo_reaches_its_fixed_point() -> None:
    # Two responses; sigmoid(beta h) equals the smoothed probability that the first is better.
    start = torch.tensor([0.3, 0.7], dtype=torch.float64).log()
    probability, rate, beta = bradley_terry(torch.tensor([0.9, 0.0], dtype=torch.float64)), 0.1, 0.5
    found = minimiser(lambda a, b: cdpo_loss(a, b, beta, rate), probability, start)
    smoothed = (1 - rate) * probability[0, 1] + rate * probability[1, 0]
    h = torch.log(smoothed / (1 - smoothed)) / beta
    expected = (start + torch.stack([h, torch.zeros_like(h)])).softmax(0)
    assert (found.exp() - expected).abs().max() < 1e-3


@pytest.mark.parametrize("size", [3, 5])
def test_ipo_reaches_its_fixed_point(size: int) -> None:
    # Azar et al., theorem: log pi/pi_ref is the mean preference over beta, up to a constant.
    reward, start, beta = REWARD[:size], START[:size].log_softmax(0), 0.5
    probability = bradley_terry(reward)
    found = minimiser(lambda a, b: ipo_loss(a, b, beta, "sum"), probability, start)
    assert (found.exp() - tilted(start, probability.mean(1), beta)).abs().max() < 1e-3
