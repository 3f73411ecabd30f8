"""RLAIF by PPO, tiny: distilled into a reward model, and direct without one."""

from __future__ import annotations

from typing import Any

from bench.core.method import Given
from bench.core.policy import Tuned
from methods.ppo import PPO
from methods.rlaif import RLAIF
from tests.methods.test_rlaif import SHORT, given
from tests.methods.tiny import Bench, log

__all__ = ["given"]  # a fixture
SMALL: dict[str, Any] = {
    "lr": 5e-3,
    "updates": 2,
    "prompts_per_update": 2,
    "samples": 2,
    "max_new_tokens": 6,
    "reward_model": {"lr": 5e-3, "batch_size": 4, "epochs": 1},
}


def trained(method: RLAIF, given: Given, bench: Bench) -> list[dict[str, float]]:
    spec = method.policy(given)
    assert isinstance(spec, Tuned)
    return log(bench.payload(spec.by))


def test_direct_trains_no_reward_model(given: Given, bench: Bench) -> None:
    assert len(trained(RLAIF(then=PPO.model_validate(SMALL), reward="direct"), given, bench)) == 2
    assert bench.ran == ["train/sft", "train/ppo"]


def test_distilled_goes_through_labels_and_a_reward_model(given: Given, bench: Bench) -> None:
    method = RLAIF(then=PPO.model_validate(SMALL), pairs="sampled", decoding=SHORT)
    assert len(trained(method, given, bench)) == 2
    assert bench.ran == ["train/sft", "sample_pairs", "label_preferences", "train/reward_model", "train/ppo"]


def test_ppo_is_what_learns_where_nothing_is_named(given: Given) -> None:
    assert RLAIF().policy(given) == RLAIF(then=PPO()).policy(given)
    assert RLAIF().needs() == {"labeller", "preferences"}
