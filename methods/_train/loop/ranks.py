"""Several processes that train one model: each one's share of a batch, and sums over all of them.

Every process holds the whole model and takes the same optimiser steps. A loss is a sum over examples, so an optimiser
batch may be shared out in any way: each process sums the gradients of its share, the sums are added up over the
processes in one exchange per step, and only then divided by the weight of the whole batch and clipped. The result is
that of one process up to rounding. In a single process everything here is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed
from torch import Tensor, nn

T = TypeVar("T")


def started() -> bool:
    """Return whether this process has joined others, or a group of its own."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def count() -> int:
    """Return how many processes train together: 1 where no process group has been started."""
    return torch.distributed.get_world_size() if started() else 1


def rank() -> int:
    """Return this process's number, counted from 0."""
    return 0 if count() == 1 else torch.distributed.get_rank()


def is_main() -> bool:
    """Return whether this is the process that writes: log, checkpoints and weights."""
    return rank() == 0


def shares(batch: np.ndarray, lengths: Sequence[int], processes: int) -> list[np.ndarray]:
    """Return an optimiser batch as one share of examples for each process; together they are the batch.

    The longest example goes first, each to the process with the fewest tokens so far (the lowest of equals), so that
    no process waits long for another. With fewer examples than processes some shares are empty.
    """
    if processes == 1:
        return [batch]
    dealt: list[list[int]] = [[] for _ in range(processes)]
    load = [0] * processes
    for index in sorted((int(index) for index in batch), key=lambda index: (-lengths[index], index)):
        least = load.index(min(load))
        dealt[least].append(index)
        load[least] += lengths[index]
    return [np.array(share, dtype=batch.dtype) for share in dealt]


def summed(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without gradient; in a single process the tensor itself.

    All processes must call it, in the same order, with tensors of one shape and type.
    """
    if count() == 1:
        return values
    total = values.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def gathered(value: T) -> list[T]:
    """Return what each process gave, in order of their numbers. All processes must call it. Small values only."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    torch.distributed.all_gather_object(found, value)
    return found


def agreed(own: bool) -> bool:
    """Return what the main process thinks, where clocks may differ and all must do the same. All must call it."""
    return gathered(own)[0]


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient (float32) by its sum over all processes, in one exchange of all of them.

    A process without a gradient adds 0. A parameter that has none in any process is left without, as in a single
    process: with a gradient of 0 the optimiser would decay it.
    """
    if count() == 1 or not parameters:
        return
    device = parameters[0].device
    present = torch.tensor([float(part.grad is not None) for part in parameters], device=device)
    own = [torch.zeros_like(part) if part.grad is None else part.grad for part in parameters]
    flat = torch.cat([*(gradient.flatten() for gradient in own), present])
    torch.distributed.all_reduce(flat)
    *totals, holders = flat.split([*(part.numel() for part in parameters), len(parameters)])
    for parameter, total, holding in zip(parameters, totals, holders.tolist(), strict=True):
        parameter.grad = total.view_as(parameter) if holding else None
