"""Methods that learn from reward in worlds of a few responses, where the best policy is known.

In the tree a response is a first token out of two and a second out of three, in the bandit one token out of five; the
policy is a table of logits. Responses are drawn in proportion (the expectation up to rounding), so what is tested is
where the losses lead.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core.data import Data
from bench.core.method import Given, Method
from bench.core.policy import Pretrained, Tuned
from methods._train.on_policy.objective import BatchCounts, MicroBatch, Objective
from methods._train.on_policy.rollouts import Rollouts
from methods.grpo import GRPO
from methods.ppo import PPO
from methods.reinforce import REINFORCE
from methods.rloo import RLOO

BETA = 0.5
RESPONSES = 1200
GIVEN = Given(base=Pretrained(path="p"), preferences=Data(path="p", digest="d"), seed=0)


class Tree(torch.nn.Module):
    """Logits of the first and of the second token, and the value of the three states."""

    scores = torch.tensor([1.0, 0.2, -0.4, -1.5, 0.6, 0.1])
    tokens = 2

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Parameter(torch.tensor([0.4, -0.3]))
        self.second = torch.nn.Parameter(torch.tensor([[0.1, 0.9, -0.2], [0.3, -0.8, 0.5]]))
        self.start = torch.nn.Parameter(torch.zeros(()))
        self.after = torch.nn.Parameter(torch.zeros(2))

    def logprobs(self, responses: Tensor) -> Tensor:
        """Of the tokens of responses, given by their numbers. Shape: (responses, tokens)."""
        first, second = self.first.log_softmax(-1), self.second.log_softmax(-1)
        return torch.stack([first[responses // 3], second[responses // 3, responses % 3]], dim=-1)

    def values(self, responses: Tensor) -> Tensor:
        return torch.stack([self.start.expand(len(responses)), self.after[responses // 3]], dim=-1)


class Bandit(torch.nn.Module):
    """Logits of the only token, and the value of the only state."""

    scores = torch.tensor([1.0, 0.2, -0.4, -1.5, 0.6])
    tokens = 1

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor([-0.5, 0.6, 0.4, 0.2, -0.1]))
        self.start = torch.nn.Parameter(torch.zeros(()))

    def logprobs(self, responses: Tensor) -> Tensor:
        return self.logits.log_softmax(-1)[responses, None]

    def values(self, responses: Tensor) -> Tensor:
        return self.start.expand(len(responses), 1)


World = Tree | Bandit


@torch.no_grad()
def distribution(world: World) -> Tensor:
    return world.logprobs(torch.arange(len(world.scores))).sum(-1).exp()


def drawn(world: World, order: torch.Generator) -> Tensor:
    """The numbers of responses in proportion to their probability, in random order. Shape: (RESPONSES,)."""
    wanted = distribution(world) * RESPONSES
    counts = wanted.floor().long()
    counts[(wanted - counts).argsort(descending=True)[: RESPONSES - int(counts.sum())]] += 1
    numbers = torch.arange(len(counts)).repeat_interleave(counts)
    return numbers[torch.randperm(RESPONSES, generator=order)]


def objective_of(method: Method, monkeypatch: pytest.MonkeyPatch) -> tuple[Objective, int]:
    """What a method's stage hands to the training."""
    spec = method.policy(GIVEN)
    assert isinstance(spec, Tuned)
    caught: list[Objective] = []
    monkeypatch.setattr(
        "methods._train.on_policy.train.train_on_reward",
        lambda _stage, _io, objective, _extra=None: caught.append(objective),
    )
    spec.by.run(None)  # type: ignore[arg-type]
    return caught[0], spec.by.practice.samples  # type: ignore[attr-defined]


def trained(
    method: Method, kind: type[World], monkeypatch: pytest.MonkeyPatch, updates: int = 400, passes: int = 1
) -> Tensor:
    """The distribution over responses after so many updates on all responses at once."""
    objective, samples = objective_of(method, monkeypatch)
    world, begin, order = kind(), kind(), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(world.parameters(), lr=0.05)
    full = torch.ones(RESPONSES, kind.tokens, dtype=torch.bool)
    for update in range(updates):
        responses = drawn(world, order)
        with torch.no_grad():
            old, against, values = (
                world.logprobs(responses),
                begin.logprobs(responses),
                world.values(responses).clone(),
            )
        scores = kind.scores[responses]
        ended = full[:, 0]
        rollouts = Rollouts((), samples, scores, scores, ended, ~ended, full, full, old, against, values)
        advantages = objective.advantages_of(rollouts, objective.kl_coefficient)
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - update / updates)
        for _ in range(passes):
            batch = MicroBatch(
                new=world.logprobs(responses),
                old=old,
                reference=against,
                advantages=advantages.per_token,
                mask=full,
                value_mask=full,
                old_values=values,
                returns=advantages.returns,
                whole=BatchCounts(RESPONSES, full.numel(), full.numel()),
            )
            loss = objective.policy_loss(batch, objective.kl_coefficient)
            if objective.value_loss is not None:
                loss = loss + objective.value_loss(batch, world.values(responses))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return distribution(world)


def best(kind: type[World], beta: float) -> Tensor:
    """pi_ref exp(score / beta) / Z."""
    return (distribution(kind()).log() + kind.scores / beta).softmax(0)


def distance(one: Tensor, other: Tensor) -> float:
    """The total variation."""
    return float((one - other).abs().sum() / 2)


@pytest.mark.parametrize(
    ("method", "kind", "passes"),
    [
        (PPO(beta=BETA), Tree, 1),
        (PPO(beta=BETA, advantages="plain", lam=1.0), Tree, 2),
        (PPO(beta=BETA), Bandit, 4),
        (RLOO(beta=BETA), Tree, 1),
        (RLOO(beta=BETA), Bandit, 2),
        (GRPO(beta=BETA, kl_estimator="k2", scale="plain", samples=60), Bandit, 1),
    ],
    ids=["ppo", "ppo_plain", "ppo_bandit", "rloo", "rloo_bandit", "grpo"],
)
def test_it_reaches_the_best_policy(
    method: Method, kind: type[World], passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert distance(distribution(kind()), best(kind, BETA)) > 0.3
    assert distance(trained(method, kind, monkeypatch, passes=passes), best(kind, BETA)) < 0.02


def test_reinforce_reaches_the_best_policy_of_its_own_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(REINFORCE(beta=0.4), Tree, monkeypatch)
    assert distance(found, best(Tree, 0.4 / 0.6)) < 0.02
    assert distance(found, best(Tree, 0.4)) > 0.05


def test_grpo_as_published_has_another_fixed_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """k3 in the loss has the gradient of KL(pi_ref || pi); at one token: pi = beta pi_ref / (beta - A)."""
    samples, beta = 60, 2.0
    found = trained(GRPO(beta=beta, scale="plain", samples=samples), Bandit, monkeypatch)
    assert distance(found, best(Bandit, beta)) > 0.02
    advantages = (Bandit.scores - found @ Bandit.scores) * (1 - 1 / samples)
    assert distance(found, beta * distribution(Bandit()) / (beta - advantages)) < 0.01


def test_a_response_counts_in_its_own_mean_in_grpo(monkeypatch: pytest.MonkeyPatch) -> None:
    """With k samples the mean holds the response itself, so beta is k / (k - 1) times as dear."""
    found = trained(GRPO(beta=BETA, kl_estimator="k2", scale="plain", samples=2), Bandit, monkeypatch)
    assert distance(found, best(Bandit, 2 * BETA)) < 0.02


def test_an_adaptive_coefficient_follows_the_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, _ = objective_of(PPO(beta=0.2, kl_target=0.3, kl_horizon=1000), monkeypatch)
    assert objective.adapt(0.2, 0.6, 100) == pytest.approx(0.2 * 1.02)
    assert objective.adapt(0.2, 0.0, 100) == pytest.approx(0.2 * 0.98)
    fixed, _ = objective_of(PPO(beta=0.2), monkeypatch)
    assert fixed.adapt(0.2, 9.0, 100) == 0.2


def settings(method: Any) -> set[str]:
    return set(method.model_fields)


def test_all_share_what_is_alike() -> None:
    shared = settings(PPO) & settings(RLOO) & settings(GRPO) & settings(REINFORCE)
    assert shared >= {"lr", "updates", "samples", "temperature", "reward", "reward_model", "start", "beta", "held_out"}
