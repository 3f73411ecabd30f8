"""PPO-ptx: the loss of supervised fine-tuning beside that of the reward (Ouyang et al. 2022, arXiv:2203.02155)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.core.data import DataSpec
from bench.core.lengths import LengthCounts
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.tokenised.token_rows import demonstration_rows
from methods._train.loop.batches import TRAINED_FLOPS, micro_batches
from methods._train.loop.tune import examples_of
from methods._train.on_policy.reward_optimisation import TrainOnReward
from methods._train.on_policy.update import Extra, PolicyUpdater
from methods._train.sft.train import sft_loss


def demonstration_loss(
    stage: TrainOnReward, data: DataSpec, weight: float, io: StageIO
) -> Callable[[HFPolicy, PolicyUpdater], tuple[Extra, LengthCounts]]:
    """Return what adds ``weight`` times the mean loss per token of demonstrations to every step.

    What was cut of the demonstrations is returned beside it. Each step meets as many demonstrations as responses, drawn
    without replacement by (seed, update, pass, step).
    """

    def extra_of(policy: HFPolicy, updater: PolicyUpdater) -> tuple[Extra, LengthCounts]:
        rows = demonstration_rows(data, policy, io)
        examples, counts = examples_of(policy, "demonstrations", rows, stage.max_length)
        lengths = examples.padded()

        def add(update: int, epoch: int, step: int, responses: int) -> float:
            draws = np.random.default_rng([stage.seed, update, epoch, step])
            chosen = draws.choice(len(examples), size=min(responses, len(examples)), replace=False)
            tokens = sum(len(response) for number in chosen for response in examples[number].group.responses)
            total = 0.0
            for numbers in micro_batches(chosen, lengths, stage.optimisation.micro_tokens):
                loss = sft_loss(policy, [examples[number] for number in numbers]).total / tokens
                updater.optimizer.backward(weight * loss)
                total += float(loss.detach())
            trained = sum(examples[number].tokens() for number in chosen)
            io.meter.trained_tokens += trained
            io.meter.flops += TRAINED_FLOPS * policy.parameters * trained
            return total

        return add, counts

    return extra_of
