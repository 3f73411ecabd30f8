"""What several methods plan alike: the supervised start, and the fields of a fine-tuning stage."""

from __future__ import annotations

from typing import Any

from bench.core.data import DataSpec
from bench.core.errors import BenchError
from bench.core.method import Given
from bench.core.policy import PolicySpec, Tuned
from bench.core.reward import MixedReward, ModelReward, Part, RewardSpec
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.rewards.stage import TrainRewardModel
from methods._train.settings import Optimisation, RewardModelSettings
from methods._train.sft.stage import TrainSFT


def sft(given: Given, settings: Optimisation | None = None) -> PolicySpec:
    """Return the base after supervised fine-tuning on the demonstrations: the start of every preference method.

    Without ``settings`` it is what the method ``sft`` makes at its defaults; equal settings make the same stage, so
    one training serves all. Without demonstrations it is the base itself, which suits a base that already follows
    instructions.
    """
    if given.demonstrations is None:
        return given.base
    optimisation = Optimisation() if settings is None else settings.optimisation()
    stage = TrainSFT(**fine_tuning(given, given.base, given.demonstrations, optimisation))
    return Tuned(base=given.base, by=stage)


def fine_tuning(given: Given, init: PolicySpec, data: DataSpec, settings: Optimisation) -> dict[str, Any]:
    """Return the fields that every fine-tuning stage has, from what is given and a method's settings."""
    return {
        "init": init,
        "data": data,
        "lora": given.lora,
        "optimisation": settings.optimisation(),
        "budget": given.budget,
        "max_length": given.max_length,
        "seed": given.seed,
    }


def preferences(given: Given) -> DataSpec:
    """Return the preference data; raises BenchError when none are given."""
    if given.preferences is None:
        raise BenchError("this method learns from pairs: add given.preferences to the comparison file")
    return given.preferences


def reference(given: Given, policy: PolicySpec) -> ReferenceLogprobs:
    """Return the stage that scores the preference data with a frozen reference, shared by all who use it."""
    return ReferenceLogprobs(policy=policy, data=preferences(given), max_length=given.max_length)


def reward_model(given: Given, settings: RewardModelSettings, start: Optimisation | None = None) -> TrainRewardModel:
    """Return the stage that trains a reward model on the preferences, shared by all who ask with equal settings.

    It starts from the policy that supervised fine-tuning with the settings ``start`` makes (see ``sft``), and
    demonstrations, where there are any, have a mean reward of 0.
    """
    return TrainRewardModel(
        **fine_tuning(given, sft(given, start), preferences(given), settings),
        held_out=settings.held_out,
        references=given.demonstrations,
        spread=settings.spread,
    )


def opened_reward(
    given: Given, reward: RewardSpec, settings: RewardModelSettings, start: Optimisation | None = None
) -> RewardSpec:
    """Return a reward in which every ``model`` without a stage has the reward model of these settings."""
    match reward:
        case ModelReward(by=None):
            return ModelReward(by=reward_model(given, settings, start))
        case MixedReward():
            parts = [
                Part(reward=opened_reward(given, part.reward, settings, start), weight=part.weight)
                for part in reward.parts
            ]
            return MixedReward(parts=tuple(parts))
    return reward


def reward_needs(reward: RewardSpec) -> frozenset[str]:
    """Return the fields of Given that ``opened_reward`` needs: the preferences where a reward model is learnt."""
    parts = reward.parts if isinstance(reward, MixedReward) else (Part(reward=reward),)
    learnt = any(isinstance(part.reward, ModelReward) and part.reward.by is None for part in parts)
    return frozenset({"preferences"}) if learnt else frozenset()


def prompts(given: Given) -> DataSpec:
    """Return the prompts to practise on: those given, else those of the preferences, else of the demonstrations.

    Raises BenchError when there are none of them.
    """
    found = given.prompts or given.preferences or given.demonstrations
    if found is None:
        raise BenchError("this method answers prompts while it trains: add given.prompts to the comparison file")
    return found
