"""The optimiser steps on the responses of one update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bench.core.errors import StageError
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group, Want, response_outputs
from methods._train.loop.batches import batches_of, micro_batches
from methods._train.loop.optimizer import Optimizer
from methods._train.loop.recompute import recomputed_activations
from methods._train.on_policy.critic import ValueModel, one_longer
from methods._train.on_policy.objective import Advantages, BatchCounts, MicroBatch, Objective
from methods._train.on_policy.ratio import bounded_exp
from methods._train.on_policy.reward_optimisation import TrainOnReward
from methods._train.on_policy.rollouts import Rollouts

# Adds the gradient of a further loss to a step, given (update, pass, step, responses), and returns that loss.
Extra = Callable[[int, int, int, int], float]


@dataclass(frozen=True)
class Update:
    """What one update rests on: its number, its responses, their advantages, KL coefficient and learning rate."""

    number: int
    rollouts: Rollouts
    advantages: Advantages
    kl_coefficient: float
    rate: float


class PolicyUpdater:
    """A policy in training, with its critic where the objective has one."""

    def __init__(
        self, stage: TrainOnReward, policy: HFPolicy, critic: ValueModel | None, objective: Objective, device: str
    ) -> None:
        self.policy, self.critic, self.objective = policy, critic, objective
        self.extra: Extra | None = None
        self._stage = stage
        self.modules = nn.ModuleList([policy.model])
        if critic is not None:
            self.modules.append(critic.head)
            if self.separate:
                self.modules.append(critic.policy.model)
        # Dropout would make a policy differ from the one that drew its responses.
        self.modules.eval()
        self.optimizer = Optimizer(self.modules, stage.optimisation, device)

    @property
    def separate(self) -> bool:
        """Whether the critic is a model of its own."""
        return self.critic is not None and self.critic.policy is not self.policy

    def valued(self, rollouts: Rollouts) -> list[Group]:
        """Return the groups that the critic reads: a token longer where a finished response has a value."""
        return one_longer(rollouts.groups, self.policy.pad_id, self._stage.practice.max_new_tokens)

    def apply(self, update: Update) -> dict[str, float]:
        """Take the steps of an update, and return the means over them for the log.

        The log-probabilities before the first step are those of the sampling policy; they are taken from that very
        pass, so that rounding between decoding and training is not mistaken for a change. Raises StageError for a loss
        or gradient that is not finite.
        """
        optimisation, groups = self._stage.optimisation, update.rollouts.groups
        rows: list[dict[str, float]] = []
        for epoch in range(optimisation.epochs):
            order = np.random.default_rng([self._stage.seed, update.number, epoch]).permutation(len(groups))
            batches = batches_of(order, optimisation.batch_size // update.rollouts.samples)
            taken = []
            for number, batch in enumerate(batches):
                row = self._step(update, batch, fresh=not rows)
                if self.extra is not None:
                    row["demonstration_loss"] = self.extra(
                        update.number, epoch, number, len(batch) * update.rollouts.samples
                    )
                row["grad_norm"] = self.optimizer.step(update.rate, 1.0)
                _check(row, update.number)
                rows.append(row)
                taken.append(row["approximate_kl"])
            limit = self.objective.target_kl
            if limit is not None and sum(taken) / len(taken) > limit:
                break
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        return {**means, "passes": epoch + 1.0}

    def _step(self, update: Update, batch: np.ndarray, *, fresh: bool) -> dict[str, float]:
        """Add the gradients of one optimiser batch, and return its log row."""
        rollouts, optimisation = update.rollouts, self._stage.optimisation
        rows = [row for group in batch for row in rollouts.rows(group)]
        counts = BatchCounts(len(rows), int(rollouts.mask[rows].sum()), int(rollouts.value_mask[rows].sum()))
        lengths = [group.shared_length() for group in rollouts.groups]
        sums: dict[str, Tensor] = {}
        with ExitStack() as during:
            if optimisation.activations == "recomputed":
                during.enter_context(recomputed_activations(self.policy.model))
                if self.separate and self.critic is not None:
                    during.enter_context(recomputed_activations(self.critic.policy.model))
            for numbers in micro_batches(batch, lengths, optimisation.micro_tokens):
                micro_batch, values = self._micro_batch(update, numbers, counts, fresh=fresh)
                losses = {"policy_loss": self.objective.policy_loss(micro_batch, update.kl_coefficient)}
                total = losses["policy_loss"]
                if self.objective.value_loss is not None and values is not None:
                    losses["value_loss"] = self.objective.value_loss(micro_batch, values)
                    total = total + self.objective.value_coefficient * losses["value_loss"]
                self.optimizer.backward(total)
                for name, value in {**losses, **_statistics(micro_batch, self.objective.clip)}.items():
                    sums[name] = sums.get(name, torch.zeros_like(value.detach())) + value.detach()
        return {name: float(value) for name, value in sums.items()}

    def _micro_batch(
        self, update: Update, numbers: Sequence[int], counts: BatchCounts, *, fresh: bool
    ) -> tuple[MicroBatch, Tensor | None]:
        """Return what the losses look at for some groups, computed by the policy and the critic as they are now."""
        rollouts, advantages = update.rollouts, update.advantages
        groups = [rollouts.groups[number] for number in numbers]
        rows = [row for number in numbers for row in rollouts.rows(number)]
        new, values = self._outputs(groups)
        width = new.shape[1] if values is None else values.shape[1]
        mask = rollouts.mask[rows][:, :width]
        new = torch.where(mask, pad(new, (0, width - new.shape[1])), 0.0)
        micro_batch = MicroBatch(
            new=new,
            old=new.detach() if fresh else rollouts.logprobs[rows][:, :width],
            reference=rollouts.reference[rows][:, :width],
            advantages=advantages.per_token[rows][:, :width],
            mask=mask,
            value_mask=rollouts.value_mask[rows][:, :width],
            old_values=rollouts.values[rows][:, :width],
            returns=advantages.returns[rows][:, :width],
            whole=counts,
        )
        return micro_batch, values

    def _outputs(self, groups: Sequence[Group]) -> tuple[Tensor, Tensor | None]:
        """Return log-probabilities (r, t) and values (r, t or one more); the policy is read once where it can be."""
        policy, practice = self.policy, self._stage.practice
        if self.critic is None:
            want = Want(temperature=practice.temperature)
            return response_outputs(policy.model, groups, pad_id=policy.pad_id, want=want).logprobs.values, None
        longer = one_longer(groups, policy.pad_id, practice.max_new_tokens)
        if self.separate:
            want = Want(temperature=practice.temperature)
            new = response_outputs(policy.model, groups, pad_id=policy.pad_id, want=want).logprobs.values
            return new, self.critic.values(longer)
        want = Want(temperature=practice.temperature, head=self.critic.head)
        found = response_outputs(policy.model, longer, pad_id=policy.pad_id, want=want)
        return found.logprobs.values, found.values


def _statistics(micro_batch: MicroBatch, clip: float | None) -> dict[str, Tensor]:
    """Return this micro-batch's share of the means over the tokens of its batch.

    ``ratio``: of new to old probability; ``approximate_kl``: of the sampling policy from the present one, half the
    squared log-ratio (as in arXiv:2403.17031); ``clip_fraction``: ratios further from 1 than ``clip``.
    """
    difference = (micro_batch.new - micro_batch.old).detach()
    ratio = bounded_exp(difference)
    found = {"ratio": (ratio * micro_batch.mask).sum(), "approximate_kl": difference.square().sum() / 2}
    if clip is not None:
        found["clip_fraction"] = (((ratio - 1).abs() > clip) & micro_batch.mask).float().sum()
    return {name: value / micro_batch.whole.tokens for name, value in found.items()}


def _check(row: dict[str, float], update: int) -> None:
    wrong = [name for name, value in row.items() if not math.isfinite(value)]
    if wrong:
        raise StageError(
            f"update {update}: {wrong[0]} is {row[wrong[0]]}, so training has diverged and nothing is kept. Lower lr, "
            "or raise beta."
        )
