"""A reward is read at the last token of a response, in every layout, whatever stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.task import user
from bench.models.hf import HFPolicy
from bench.models.likelihood import logprobs
from bench.models.likelihood.logprobs import Group
from bench.models.reward_model import RewardModel, new_head, read_head, rewards_of, save_head
from tests.models.tiny import FAMILIES, tiny_policy

GROUPS = [
    Group([1, 5, 6, 7], [[8, 9, 2], [10, 2]]),
    Group([1, 11], [[12, 13, 14, 15, 16, 2], [2], [12, 13, 2]]),
    Group([1, 7, 8, 9, 10, 11, 12], [[20]]),
]


def head_of(policy: HFPolicy) -> nn.Linear:
    return new_head(policy, seed=3)


@torch.no_grad()
def one_by_one(policy: HFPolicy, head: nn.Linear) -> Tensor:
    """The plain way: a forward pass of transformers per response, the last state through the head."""
    found = []
    for group in GROUPS:
        for response in group.responses:
            ids = torch.tensor([[*group.prompt, *response]])
            states = policy.model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
            found.append(head(states[0, -1]))
    return torch.cat(found)


@pytest.mark.parametrize("layout", ["as chosen", "groups", "rows"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_layout_reads_the_last_token(family: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if layout != "as chosen":
        monkeypatch.setattr(logprobs, "packs", lambda _decoder: False)
    if layout == "rows":
        monkeypatch.setattr(logprobs, "why_not_shared", lambda _decoder: "a test")
    policy = tiny_policy(family)
    head = head_of(policy)
    expected = one_by_one(policy, head)
    with torch.no_grad():
        found = rewards_of(policy, head, GROUPS)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-4)
    # A batch of one is a row of a batch, though the others are longer and padding stands behind it.
    with torch.no_grad():
        alone = torch.cat([rewards_of(policy, head, [group]) for group in GROUPS])
    assert torch.allclose(alone, expected, atol=1e-4)


def test_a_response_does_not_see_its_neighbours() -> None:
    policy = tiny_policy()
    head = head_of(policy)
    with torch.no_grad():
        one = rewards_of(policy, head, [Group([1, 5], [[8, 9, 2], [10, 11, 2]])])[0]
        other = rewards_of(policy, head, [Group([1, 5], [[8, 9, 2], [30, 31, 32, 33, 2]])])[0]
    assert one.item() == pytest.approx(other.item(), abs=1e-5)


def test_scores_come_in_order_and_equal_responses_are_equal_to_the_last_bit() -> None:
    policy = tiny_policy()
    model = RewardModel(policy, head_of(policy), 90)
    assert model.scores(GROUPS) == pytest.approx(one_by_one(policy, model.head).tolist(), abs=1e-4)
    chats = [user("w1 w2"), user("w3"), user("w1 w2"), user("w1 w2")]
    found = model.score_texts(chats * 9, [Reply(one) for one in ("w4", "w4", "w4", "w5 w6")] * 9)
    assert found[0] == found[2] == found[4]
    assert found[:4] * 9 == found
    assert len(set(found[:4])) == 3
    many = [f"w{number}" for number in range(30)]
    together = model.score_texts([chats[0]] * 30, [Reply(one) for one in many])
    assert together == pytest.approx([model.score_texts([chats[0]], [Reply(one)])[0] for one in many], abs=1e-5)


def test_texts_are_cut_as_in_training() -> None:
    policy = tiny_policy()
    model = RewardModel(policy, head_of(policy), 8)
    long = " ".join(f"w{number}" for number in range(20))
    prompt = policy.prompt(user(long))
    assert model.score_texts([user(long)], [Reply("w4 w5")]) == pytest.approx(
        model.scores([Group([*prompt[:1], *prompt[-4:]], [[8, 9, 2]])]), abs=1e-5
    )
    assert RewardModel(policy, head_of(policy), 10_000).max_length == policy.context


def test_what_is_empty_or_not_finite_is_refused() -> None:
    policy = tiny_policy()
    model = RewardModel(policy, head_of(policy), 90)
    assert model.scores([]) == []
    assert model.score_texts([], []) == []
    with pytest.raises(StageError, match="empty response"):
        model.scores([Group([1, 2], [[]])])
    with torch.no_grad():
        model.head.bias.fill_(torch.nan)
    with pytest.raises(StageError, match="not finite"):
        model.scores(GROUPS)


def test_a_head_comes_back_as_it_was_and_only_to_its_own_policy(tmp_path: Path) -> None:
    policy = tiny_policy()
    head = head_of(policy)
    save_head(head, tmp_path)
    again = read_head(tmp_path, policy)
    assert torch.equal(again.weight, head.weight)
    assert torch.equal(again.bias, head.bias)
    assert not again.weight.requires_grad
    other = tiny_policy("llama")
    other.model.config.hidden_size = 48
    with pytest.raises(StageError, match="width 48"):
        read_head(tmp_path, other)
