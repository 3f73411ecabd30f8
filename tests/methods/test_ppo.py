"""The equations of the methods that learn from reward, on numbers worked out by hand and reference vectors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from methods._train.on_policy.kl import adapted, token_kl
from methods._train.on_policy.rollouts import masks_of, scored
from methods.grpo import relative_advantages
from methods.ppo import (
    clipped_policy_loss,
    clipped_value_loss,
    generalised_advantages,
    rescaled,
    shaped_rewards,
    whitened,
)
from methods.reinforce import returns_to_go
from methods.rloo import left_out_advantages, response_loss


def all_of(values: Tensor) -> Tensor:
    return torch.ones_like(values, dtype=torch.bool)


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_advantages_of_the_toy() -> None:
    rewards, values = rows([0, 0, 1]), rows([0.5, 0.4, 0.3])
    found = generalised_advantages(rewards, values, 1.0, 0.95)
    torch.testing.assert_close(found, rows([0.43675, 0.565, 0.7]))
    torch.testing.assert_close(found + values, rows([0.93675, 0.965, 1.0]))
    torch.testing.assert_close(whitened(found, all_of(found)), rows([-1.21414, -0.02093, 1.23508]), atol=5e-6, rtol=0)
    torch.testing.assert_close(generalised_advantages(rewards, values, 1.0, 1.0), rows([0.5, 0.6, 0.7]))


def test_a_discount_counts_from_the_end() -> None:
    found = generalised_advantages(rows([0, 0, 1]), rows([0, 0, 0]), 0.5, 1.0)
    torch.testing.assert_close(found, rows([0.25, 0.5, 1.0]))


def test_rescaling_keeps_the_mean() -> None:
    matrix = torch.arange(12, 21, dtype=torch.float64).view(3, 3) / 10
    expected = rows([0.0508, 0.4381, 0.8254], [1.2127, 1.6, 1.9873], [2.3746, 2.7619, 3.1492])
    torch.testing.assert_close(rescaled(matrix, all_of(matrix)), expected, atol=5e-5, rtol=0)


def test_whitening_looks_at_the_mask_only() -> None:
    values, mask = rows([1, 2, 3, 99], [4, 5, -7, 0]), torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    found = whitened(values, mask)
    assert found[mask].mean().item() == pytest.approx(0, abs=1e-12)
    assert found[mask].var(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert found[~mask].abs().max() == 0
    assert rescaled(values, mask)[~mask].abs().max() == 0


@pytest.mark.parametrize(("observed", "expected"), [(12, 0.151536), (0, 0.148464), (6, 0.15)])
def test_the_adaptive_coefficient(observed: float, expected: float) -> None:
    assert adapted(0.15, observed, 6, 10_000, 512) == pytest.approx(expected, abs=1e-12)


def test_the_clipped_value_loss() -> None:
    found = clipped_value_loss(rows([1.5]), rows([1.0]), rows([0.0]), 0.2)
    assert found.item() == pytest.approx(1.125)
    assert clipped_value_loss(rows([1.1]), rows([1.0]), rows([0.0]), 0.2).item() == pytest.approx(0.605)


def test_the_clipped_policy_loss() -> None:
    old, new = rows([0, 0, 0, 0]), rows([1.5, 1.5, 0.5, 0.5]).log()
    advantages = rows([1, -1, 1, -1])
    found = clipped_policy_loss(new, old, advantages, 0.2)
    torch.testing.assert_close(found, rows([-1.2, 1.5, -0.5, 0.8]))
    torch.testing.assert_close(response_loss(new[0], old[0], advantages[0], 0.2), found[0])


def test_estimators_of_the_divergence() -> None:
    # All three at a single token, and the mean of k1 and k3 over all tokens, which is the divergence.
    policy, reference = rows([math.log(0.5)]), rows([math.log(0.25)])
    found = [token_kl(policy, reference, name).item() for name in ("k1", "k2", "k3")]
    assert found == pytest.approx([math.log(2), math.log(2) ** 2 / 2, 0.5 - 1 + math.log(2)])
    one, other = rows([0.7, 0.2, 0.1]), rows([0.3, 0.3, 0.4])
    divergence = (one * (one / other).log()).sum().item()
    for name in ("k1", "k3"):
        assert (one * token_kl(one.log(), other.log(), name)).sum().item() == pytest.approx(divergence)


@pytest.mark.parametrize(("name", "weights"), [("k2", "policy"), ("k3", "reference")])
def test_what_the_gradients_of_the_estimators_are(name: str, weights: str) -> None:
    logits = rows([0.3, -0.2, 0.8])[0].requires_grad_(True)
    start = rows([0.1, 0.4, -0.6])[0].log_softmax(0)
    drawn = logits.detach().softmax(0)
    (drawn * token_kl(logits.log_softmax(0), start, name)).sum().backward()  # type: ignore[arg-type]
    found = logits.grad
    logits.grad = None
    log = logits.log_softmax(0)
    divergence = log.exp() * (log - start) if weights == "policy" else start.exp() * (start - log)
    divergence.sum().backward()
    torch.testing.assert_close(found, logits.grad)


def test_masks_and_the_place_of_the_score() -> None:
    # Ended early, ended in the last place, cut off: at most 4 tokens.
    mask, value_mask = masks_of([2, 4, 4], 4)
    assert mask.tolist() == [[True, True, False, False], [True] * 4, [True] * 4]
    assert value_mask.tolist() == [[True, True, True, False], [True] * 4, [True] * 4]
    penalties = torch.full((3, 4), 0.1) * mask
    found = shaped_rewards(torch.tensor([5.0, 6.0, -1.0]), penalties, value_mask)
    expected = [[-0.1, -0.1, 5.0, 0.0], [-0.1, -0.1, -0.1, 5.9], [-0.1, -0.1, -0.1, -1.1]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_response_without_an_end_scores_the_penalty_less_than_its_reward() -> None:
    rewards, ended = torch.tensor([3.0, 70.0, -40.0]), torch.tensor([True, False, False])
    assert scored(rewards, ended, 1.0).tolist() == [3.0, 69.0, -41.0]
    assert scored(rewards, ended, None).tolist() == [3.0, 70.0, -40.0]


def test_advantages_among_samples() -> None:
    scores = torch.tensor([1.0, 2.0, 6.0, 4.0, 4.0, 4.0])
    found = left_out_advantages(scores, 3)
    torch.testing.assert_close(found, torch.tensor([-3.0, -1.5, 4.5, 0, 0, 0]))
    plain = relative_advantages(scores, 3, "plain")
    torch.testing.assert_close(plain, torch.tensor([-2.0, -1.0, 3.0, 0, 0, 0]))
    spread = math.sqrt(14 / 3) + 1e-4
    torch.testing.assert_close(relative_advantages(scores, 3, "deviation"), plain / spread)


def test_returns_to_go() -> None:
    found = returns_to_go(torch.tensor([2.0]), torch.tensor([[0.5, -1.0, 2.0]]), 0.1)
    torch.testing.assert_close(found, torch.tensor([[1.8 - 0.15, 1.8 - 0.1, 1.8 - 0.2]]))
