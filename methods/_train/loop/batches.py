"""Which examples are trained on, in which order, and in how many steps: fixed before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import StageError
from bench.core.meter import READ_FLOPS
from bench.core.method import Budget
from methods._train.settings import Optimisation

# Model FLOPs per parameter and token: 2 for the forward pass, 4 for the backward pass (Kaplan et al. 2020,
# arXiv:2001.08361, section 2.1). An adapter is counted like full fine-tuning, so that the figure compares arms.
TRAINED_FLOPS = 6.0


@dataclass(frozen=True)
class Costs:
    """What one example costs: tokens with a backward pass, tokens that are only read, and FLOPs."""

    trained: Sequence[int]
    read: Sequence[int]
    parameters: int

    def flops(self, example: int) -> float:
        """Return the model FLOPs of one example."""
        return self.parameters * (TRAINED_FLOPS * self.trained[example] + READ_FLOPS * self.read[example])


def order_of(count: int, epochs: int, seed: int) -> np.ndarray:
    """Return the indices of all examples in training order: one permutation per epoch, drawn from seed and epoch.

    Shape: (epochs * count,). The order does not depend on the batch size.
    """
    return np.concatenate([np.random.default_rng([seed, epoch]).permutation(count) for epoch in range(epochs)])


def within_budget(order: np.ndarray, costs: Costs, budget: Budget | None) -> np.ndarray:
    """Return the longest beginning of the order that the budget pays for.

    A budget of seconds cannot be laid out in advance: it leaves the order whole and ends training while it runs.
    Raises StageError when the budget does not pay for a single example.
    """
    if budget is None or budget.axis == "seconds":
        return order
    if budget.axis == "examples":
        spent = np.arange(1, len(order) + 1, dtype=np.float64)
    elif budget.axis == "tokens":
        spent = np.cumsum([costs.trained[index] + costs.read[index] for index in order], dtype=np.float64)
    else:
        spent = np.cumsum([costs.flops(index) for index in order], dtype=np.float64)
    kept = order[: int(np.searchsorted(spent, budget.value, side="right"))]
    if len(kept) == 0:
        raise StageError(
            f"the budget of {budget.value:g} {budget.axis} does not pay for the first example "
            f"({spent[0]:g} {budget.axis}). Raise given.budget.value."
        )
    return kept


def batches_of(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return the order cut into optimiser batches; they run across epochs, so that only the last one can be short."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def micro_batches(batch: np.ndarray, lengths: Sequence[int], micro_tokens: int) -> list[list[int]]:
    """Return one optimiser batch split into forward passes of at most ``micro_tokens`` tokens, padding included.

    Examples of like length go together, the longest first, so that little is padding and memory runs out at once or
    not at all. An example longer than ``micro_tokens`` gets a pass of its own.
    """
    ranked = sorted((int(index) for index in batch), key=lambda index: (-lengths[index], index))
    split: list[list[int]] = []
    for index in ranked:
        if split and (len(split[-1]) + 1) * lengths[split[-1][0]] <= micro_tokens:
            split[-1].append(index)
        else:
            split.append([index])
    return split


def plan_of(optimisation: Optimisation, costs: Costs, budget: Budget | None, seed: int) -> list[np.ndarray]:
    """Return the optimiser batches of a whole training, as indices of examples."""
    order = order_of(len(costs.trained), optimisation.epochs, seed)
    return batches_of(within_budget(order, costs, budget), optimisation.batch_size)
