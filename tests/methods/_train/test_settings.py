"""Learning rates that a file leaves to the method: resolved when a stage is planned, by what it trains."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.errors import StageError
from bench.core.frozen import encode
from bench.core.method import Given, Lora, Method, defaults_of
from bench.core.policy import Tuned
from bench.core.stage import Stage
from methods._train.settings import Optimisation, PreferenceOptimisation, RewardModelSettings
from methods.best_of_n import BestOfN
from methods.constitutional import Constitutional
from methods.dpo import DPO
from methods.grpo import GRPO
from methods.hir import HIR
from methods.ipo import IPO
from methods.kto import KTO
from methods.orpo import ORPO
from methods.ppo import PPO
from methods.proxy_tuning import ProxyTuning
from methods.rahf import RAHF
from methods.reinforce import REINFORCE
from methods.rlaif import RLAIF
from methods.rloo import RLOO
from methods.sft import SFT
from methods.simpo import SimPO

FULL_AND_LORA: dict[Method, dict[str, tuple[float, float]]] = {
    SFT(): {"train/sft": (2e-5, 2e-4)},
    DPO(): {"train/sft": (2e-5, 2e-4), "train/dpo": (1e-6, 1e-5)},
    IPO(): {"train/ipo": (1e-6, 1e-5)},
    KTO(): {"train/kto": (1e-6, 1e-5)},
    SimPO(): {"train/simpo": (1e-6, 1e-5)},
    ORPO(): {"train/orpo": (5e-6, 5e-5)},
    PPO(): {"train/ppo": (3e-6, 3e-5), "train/reward_model": (3e-6, 3e-5), "train/sft": (2e-5, 2e-4)},
    RLOO(): {"train/rloo": (1e-6, 1e-5)},
    GRPO(): {"train/grpo": (1e-6, 1e-5)},
    REINFORCE(): {"train/reinforce": (1e-5, 1e-4)},
    HIR(): {"train/contrast": (2e-5, 2e-4)},
    RAHF(): {"train/contrast": (2e-5, 2e-4), "train/activity": (3e-4, 3e-4)},
    RAHF(variant="dual"): {"train/sft": (2e-5, 2e-4), "train/activity": (9e-6, 9e-6)},
    BestOfN(): {"train/reward_model": (3e-6, 3e-5)},
}


def rates_by_kind(value: Any, found: dict[str, set[float | None]]) -> dict[str, set[float | None]]:
    if isinstance(value, Stage) and isinstance(own := getattr(value, "optimisation", None), Optimisation):
        found.setdefault(value.KIND, set()).add(own.lr)
    for name in type(value).model_fields if hasattr(type(value), "model_fields") else ():
        part = getattr(value, name)
        rates_by_kind(part, found)
    return found


@pytest.mark.parametrize("method", FULL_AND_LORA, ids=lambda method: type(method).__name__)
def test_every_stage_holds_a_number(method: Method, given: Given) -> None:
    for place, lora in enumerate((None, Lora(rank=2))):
        found = rates_by_kind(method.policy(given.model_copy(update={"lora": lora})), {})
        for kind, rates in FULL_AND_LORA[method].items():
            assert found[kind] == {rates[place]}, kind
        assert None not in {rate for rates in found.values() for rate in rates}


def test_the_number_is_in_the_key_and_one_that_is_written_stays(given: Given) -> None:
    def stage(method: Method, lora: Lora | None = None) -> Stage:
        spec = method.policy(given.model_copy(update={"lora": lora}))
        assert isinstance(spec, Tuned)
        return spec.by

    assert stage(DPO()).key == stage(DPO(lr=1e-6, start=Optimisation(lr=2e-5))).key
    assert encode(stage(DPO()))["optimisation"]["lr"] == 1e-6
    assert encode(stage(DPO(lr=3e-4), Lora()))["optimisation"]["lr"] == 3e-4
    assert stage(DPO(lr=1e-6)).key != stage(DPO(lr=2e-6)).key


def test_defaults_are_told_by_name() -> None:
    assert defaults_of(DPO(), None) == {"lr": 1e-6, "start.lr": 2e-5}
    assert defaults_of(DPO(lr=1e-3), Lora()) == {"start.lr": 2e-4}
    assert defaults_of(DPO(lr=1e-3, start=Optimisation(lr=1e-3)), Lora()) == {}
    for method in (RLAIF(), Constitutional()):  # PPO at its defaults learns from the labels where nobody is named
        found = defaults_of(method, None)
        assert {name: found[name] for name in ("then.lr", "then.reward_model.lr")} == {
            "then.lr": 3e-6,
            "then.reward_model.lr": 3e-6,
        }
    assert defaults_of(PPO(lr=1e-3), None) == {"reward_model.lr": 3e-6, "start.lr": 2e-5}
    assert defaults_of(ProxyTuning(expert=DPO()), None) == {"expert.lr": 1e-6, "expert.start.lr": 2e-5}
    assert defaults_of(RAHF(variant="dual"), Lora()) == {"lr": 9e-6, "contrast.lr": 2e-4, "start.lr": 2e-4}


@pytest.mark.parametrize("settings", [Optimisation(), PreferenceOptimisation(), RewardModelSettings()])
def test_a_schedule_without_a_rate_is_refused(settings: Optimisation) -> None:
    with pytest.raises(StageError, match="lr is null, which only planning resolves"):
        settings.rate_at(0, 10)
    assert settings.optimisation(None).rate_at(5, 10) > 0
