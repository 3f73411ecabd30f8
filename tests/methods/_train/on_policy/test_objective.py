"""What a policy is paid for: scores without an end, whole prompts in a batch, and the weights that are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.method import Given
from methods._train.on_policy.rollouts import scored
from methods._train.on_policy.update import PolicyUpdater
from methods.grpo import GRPO
from methods.ppo import PPO
from methods.reinforce import REINFORCE
from methods.rloo import RLOO
from tests.methods._train.on_policy.test_on_policy import QUICK, reward, stage_of
from tests.methods.tiny import DEMONSTRATIONS, Bench, data, log, pretrained


@pytest.fixture
def given(tmp_path: Path) -> Given:
    demonstrations = data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS)
    return Given(base=pretrained(tmp_path / "model"), demonstrations=demonstrations, prompts=demonstrations, seed=0)


def test_the_end_penalty_lowers_a_score_and_replaces_none() -> None:
    rewards, ended = torch.tensor([-3.0, -3.0, 2.0, 2.0]), torch.tensor([True, False, True, False])
    assert scored(rewards, ended, 1.0).tolist() == [-3, -4, 2, 1]
    assert torch.equal(scored(rewards, ended, None), rewards)


@pytest.mark.parametrize("method", [RLOO, PPO])
def test_rewards_below_the_penalty_do_not_teach_to_go_on(
    given: Given, tmp_path: Path, bench: Bench, method: type[RLOO] | type[PPO]
) -> None:
    """All rewards are -3: only ending is worth anything, as little as the penalty is."""
    settings = {**QUICK, "updates": 12, "prompts_per_update": 8, "batch_size": 16, "epochs": 1, "beta": 0.0, "lr": 1e-2}
    settings |= {"samples": 4, "reward": reward(tmp_path, "return [-3.0] * len(responses)"), "schedule": "constant"}
    settings |= {"critic": "shared"} if method is PPO else {}
    folder = bench.payload(stage_of(method(**settings), given))
    rows = log(folder)
    assert sum(row["without_end"] for row in rows[-3:]) / 3 < sum(row["without_end"] for row in rows[:3]) / 3 - 0.2
    assert "warning" not in json.loads((folder / "diagnostics.json").read_text())


def test_a_reward_that_pays_for_not_ending_is_told(
    given: Given, tmp_path: Path, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    longer_is_better = reward(tmp_path, "return [5.0 * len(r) for r in responses]")
    stage = stage_of(RLOO(**{**QUICK, "reward": longer_is_better, "prompts_per_update": 8, "samples": 4}), given)
    folder = bench.payload(stage)
    found = json.loads((folder / "diagnostics.json").read_text())
    assert found["ended_scored_lower"] == found["updates_with_both_ends"] > 0
    assert "paid for not ending" in found["warning"]
    assert "paid for not ending" in caplog.text
    row = log(folder)[0]
    share = row["without_end"]
    mean = (1 - share) * row["ended_reward"] + share * row["unended_reward"]
    assert mean == pytest.approx(row["reward"], rel=1e-5)


@pytest.mark.parametrize(("batch_size", "samples"), [(2, 4), (7, 8), (1, 3)])
def test_a_batch_holds_all_responses_to_a_prompt(batch_size: int, samples: int) -> None:
    for method in (PPO, RLOO, GRPO, REINFORCE):
        with pytest.raises(ValueError, match=rf"batch_size {batch_size} is less than samples {samples}.*Set batch"):
            method(batch_size=batch_size, samples=samples)


def test_a_batch_size_is_not_exceeded(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "samples": 4, "batch_size": 4, "epochs": 1, "updates": 1, "prompts_per_update": 4}
    stage = stage_of(RLOO(**settings, reward=reward(tmp_path)), given)
    seen = []

    def watched(self: PolicyUpdater, update: Any, batch: Any, *, fresh: bool) -> dict[str, float]:
        seen.append(len(batch) * update.rollouts.samples)
        return step(self, update, batch, fresh=fresh)

    step = PolicyUpdater._step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PolicyUpdater, "_step", watched)
        bench.payload(stage)
    assert seen == [4, 4, 4, 4]


def test_a_pace_that_could_turn_the_price_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kl_horizon 100 is too short for 512 responses.*more than 102\.4"):
        PPO(kl_target=6.0, kl_horizon=100)
    PPO(kl_target=6.0, kl_horizon=103)


def test_weights_are_selected_by_the_objective_that_is_maximised(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "held_out": 2, "select_every": 1, "reward": reward(tmp_path)}
    settings |= {"missing_end_penalty": 0.5}
    shared = {"critic": "shared"}
    worth = {
        REINFORCE(**settings, **shared, beta=0.3): lambda score, kl, beta: (1 - beta) * score - beta * kl,
        RLOO(**settings, beta=0.3): lambda score, kl, beta: score - beta * kl,
        GRPO(**settings, beta=0.3): lambda score, kl, beta: score - beta * kl,
        PPO(**settings, **shared, beta=0.3): lambda score, kl, beta: score - beta * kl,
    }
    for method, of in worth.items():
        folder = bench.payload(stage_of(method, given))
        rows = log(folder)
        for row in rows:
            expected = of(row["held_out_reward"], row["held_out_kl"], 0.3)
            assert row["held_out_objective"] == pytest.approx(expected, rel=1e-6)
        found = [row["held_out_objective"] for row in rows]
        assert json.loads((folder / "diagnostics.json").read_text())["kept_update"] == found.index(max(found)) + 1


def test_an_adaptive_price_weighs_kept_and_new_weights_alike(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "held_out": 2, "select_every": 1, "updates": 6, "lr": 2e-2, "reward": reward(tmp_path)}
    settings |= {"critic": "shared", "kl_target": 0.001, "kl_horizon": 4, "samples": 2, "beta": 0.1}
    folder = bench.payload(stage_of(PPO(**settings), given))
    rows = log(folder)
    # A row's coefficient is the one that its update used; the next row's is in force when it is selected.
    prices = [row["kl_coefficient"] for row in rows[1:]]
    assert max(prices) > 1.5 * min(prices)
    kept = 0
    for number in range(1, len(rows) - 1):
        new, best = (
            rows[place]["held_out_reward"] - prices[number] * rows[place]["held_out_kl"] for place in (number, kept)
        )
        assert rows[number]["held_out_objective"] == pytest.approx(new)
        kept = number if new > best else kept
    last = json.loads((folder / "diagnostics.json").read_text())["kept_update"]
    assert last in {kept + 1, len(rows)}
