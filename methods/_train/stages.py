"""The stages that methods share, as data: fine-tuning, reward models, and a reference's log-probabilities."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveInt

from bench.core.data import DataSpec
from bench.core.method import Budget, Lora
from bench.core.policy import PolicySpec
from bench.core.reward import REWARD_MODEL_KIND
from bench.core.stage import Resources, Stage, StageIO
from methods._train.settings import Fraction, Optimisation


class FineTuning(Stage):
    """A stage that changes ``init`` by training: the fields all of them have.

    It writes ``policy/`` (a LoRA adapter over ``init``, or whole weights when ``lora`` is None) and ``log.jsonl``, so
    its result is ``Tuned(base=init, by=stage)``. Prompt and response take ``max_length`` tokens at most; see
    ``bench.models.chat.fit_group_to_length`` for what gives way.
    """

    RESOURCES: ClassVar[Resources] = Resources(accelerator=True, distributed=True)

    init: PolicySpec
    data: DataSpec
    lora: Lora | None
    optimisation: Optimisation
    budget: Budget | None
    max_length: PositiveInt
    seed: NonNegativeInt


class TrainSFT(FineTuning):
    """Supervised fine-tuning on rows of ``prompt`` and ``response``; see ``methods/sft.py``."""

    KIND: ClassVar[str] = "train/sft"
    VERSION: ClassVar[int] = 2

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.sft.train import train_sft

        train_sft(self, io)


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
    VERSION: ClassVar[int] = 1

    held_out: Fraction
    references: DataSpec | None
    spread: Literal["natural", "unit"]

    def run(self, io: StageIO) -> None:
        """Train, measure on the held-out pairs, and write the reward model."""
        from methods._train.rewards.train import train_reward_model

        train_reward_model(self, io)


class ReferenceLogprobs(Stage):
    """The frozen reference's log-probabilities of the responses in preference data, computed once.

    Every method and setting that starts from the same reference on the same data reads them, which saves a second
    model in memory and a forward pass per step. The payload is ``logprobs.safetensors``: float32 sums in nats and
    token counts, one per row of the data, in order.

    ``responses``: ``pairs`` scores the chosen and the rejected response of each row; ``mismatched`` scores the
    response of another row under each row's prompt (for KTO's estimate of the KL divergence).
    """

    KIND: ClassVar[str] = "reference_logprobs"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    data: DataSpec
    max_length: PositiveInt
    responses: Literal["pairs", "mismatched"] = "pairs"

    def run(self, io: StageIO) -> None:
        """Score every row, and write the log-probabilities."""
        from methods._train.pairs.score_reference import write_reference

        write_reference(self, io)
