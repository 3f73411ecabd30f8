"""Alignment methods: one file per method; the file name is the method's name in a comparison.

A method in a file of its own needs ``bench.core`` and the names that this package gives away (``__all__``), which stay
wherever they come to lie below it. Each is loaded when it is asked for, so that planning loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from methods._shared import fine_tuned as fine_tuned
    from methods._shared import fine_tuned_on_reward as fine_tuned_on_reward
    from methods._shared import fine_tuning_stage as fine_tuning_stage
    from methods._shared import opened_reward as opened_reward
    from methods._shared import preferences as preferences
    from methods._shared import preferences_without_margins as preferences_without_margins
    from methods._shared import prompts as prompts
    from methods._shared import reference as reference
    from methods._shared import reward_model as reward_model
    from methods._shared import supervised_start as supervised_start
    from methods._train.fine_tuning import FineTuning as FineTuning
    from methods._train.loop.loop import LossSum as LossSum
    from methods._train.loop.loop import Training as Training
    from methods._train.loop.loop import fit as fit
    from methods._train.on_policy.kl import token_kl as token_kl
    from methods._train.on_policy.objective import Advantages as Advantages
    from methods._train.on_policy.objective import MicroBatch as MicroBatch
    from methods._train.on_policy.objective import Objective as Objective
    from methods._train.on_policy.reward_optimisation import RewardOptimisation as RewardOptimisation
    from methods._train.on_policy.reward_optimisation import TrainOnReward as TrainOnReward
    from methods._train.on_policy.reward_optimisation import reward_needs as reward_needs
    from methods._train.on_policy.rollouts import Rollouts as Rollouts
    from methods._train.on_policy.train import train_on_reward as train_on_reward
    from methods._train.pairs.logprobs import PairLogprobs as PairLogprobs
    from methods._train.pairs.reference import ReferenceLogprobs as ReferenceLogprobs
    from methods._train.pairs.train import train_on_pairs as train_on_pairs
    from methods._train.pairs.train import train_on_pairs_alone as train_on_pairs_alone
    from methods._train.pairs.train import train_on_pairs_with_margins as train_on_pairs_with_margins
    from methods._train.pairs.train_unpaired import train_unpaired as train_unpaired
    from methods._train.rewards.stage import TrainRewardModel as TrainRewardModel
    from methods._train.settings import Optimisation as Optimisation
    from methods._train.settings import PreferenceOptimisation as PreferenceOptimisation
    from methods._train.settings import RewardModelSettings as RewardModelSettings
    from methods._train.sft.stage import TrainSFT as TrainSFT
    from methods._train.sft.train import train_sft as train_sft

# The names by the module they lie in at present.
_NAMES = {
    "methods._shared": "fine_tuned fine_tuned_on_reward fine_tuning_stage opened_reward preferences "
    "preferences_without_margins prompts reference reward_model supervised_start",
    "methods._train.fine_tuning": "FineTuning",
    "methods._train.loop.loop": "LossSum Training fit",
    "methods._train.on_policy.kl": "token_kl",
    "methods._train.on_policy.objective": "Advantages MicroBatch Objective",
    "methods._train.on_policy.reward_optimisation": "RewardOptimisation TrainOnReward reward_needs",
    "methods._train.on_policy.rollouts": "Rollouts",
    "methods._train.on_policy.train": "train_on_reward",
    "methods._train.pairs.logprobs": "PairLogprobs",
    "methods._train.pairs.reference": "ReferenceLogprobs",
    "methods._train.pairs.train": "train_on_pairs train_on_pairs_alone train_on_pairs_with_margins",
    "methods._train.pairs.train_unpaired": "train_unpaired",
    "methods._train.rewards.stage": "TrainRewardModel",
    "methods._train.settings": "Optimisation PreferenceOptimisation RewardModelSettings",
    "methods._train.sft.stage": "TrainSFT",
    "methods._train.sft.train": "train_sft",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = list(_MODULES)

if not TYPE_CHECKING:  # a type checker would take it for leave to ask for any name

    def __getattr__(name: str) -> object:
        """Return what a public name stands for."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, and what has been imported."""
    return sorted({*globals(), *__all__})
