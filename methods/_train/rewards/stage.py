"""Training of a reward model as a stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.core.data import DataSpec
from bench.core.reward import REWARD_MODEL_KIND
from bench.core.stage import StageIO
from methods._train.fine_tuning import FineTuning
from methods._train.settings import Fraction


class TrainRewardModel(FineTuning):
    """A reward model: ``init`` with a scalar head, trained on pairs (rows of ``prompt``, ``chosen``, ``rejected``).

    Soft labels (``probability``) and margins in the rows are used where there are any. ``held_out``: the share of the
    prompts whose pairs are not trained on and measure accuracy and calibration. ``references``: rows of ``prompt`` and
    ``response`` whose mean reward becomes 0 (as in the reproduction of RLHF on TL;DR, arXiv:2403.17031); None: the
    responses of the pairs. ``spread``: ``unit`` divides by the standard deviation over the responses of the pairs.

    It writes ``policy/`` (an adapter over ``init`` or whole weights), ``head.safetensors``, ``log.jsonl``, and
    ``diagnostics.json`` on the held-out pairs. ``bench.models.reward_model.load_reward_model`` reads it.
    """

    KIND: ClassVar[str] = REWARD_MODEL_KIND
    VERSION: ClassVar[int] = 2

    held_out: Fraction
    references: DataSpec | None
    spread: Literal["natural", "unit"]

    def run(self, io: StageIO) -> None:
        """Train, measure on the held-out pairs, and write the reward model."""
        from methods._train.rewards.train import RewardModelFit, train_reward_model

        settings = RewardModelFit(self.held_out, self.references, self.spread)
        train_reward_model(self, io, settings)
