"""Weights shared out over processes: each holds a part of every block, and gathers a block only while it computes.

The blocks of the model, where nearly all weights of a large one are, with their gradients and what the optimiser
keeps, are divided over the processes by PyTorch's ``fully_shard`` (FSDP2; Zhao et al. 2023, arXiv:2304.11277);
embeddings, the final norm and the head stay whole in each. A process gathers a block for its forward and its backward
pass, so all processes must run the model equally often: ``ranks`` and the training loop see to it. The result is that
of one process up to rounding. Each process loads the whole model before it is shared out, and has it whole again at
the end.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from bench.core.errors import StageError
from bench.models.masters import set_master
from bench.models.packing.decoder import decoder_of
from bench.models.packing.hidden_states import blocks
from bench.models.packing.sharing import why_not_shared

ROUNDED = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)


class Shards:
    """The blocks of a model, shared out. The model's own blocks stand aside, empty, until ``give_back``."""

    def __init__(self, model: nn.Module, masters: Mapping[str, Tensor]) -> None:
        """``masters``: the float32 values of those parameters that are images (``bench.models.masters``), by name.

        A divided block whose parameters are images holds the masters, and gathers images of them.
        """
        decoder = decoder_of(model)
        why_not_shared(decoder)  # its trial runs the model and patches the blocks, once and before they are divided
        self._parts = blocks(decoder)
        self._whole = list(self._parts)
        _check_apart(model, self._whole)
        own = {id(part): masters[name] for name, part in model.named_parameters() if name in masters}
        mesh = init_device_mesh(decoder.device.type, (torch.distributed.get_world_size(),))
        for number, block in enumerate(self._whole):
            divided = copy.deepcopy(block)
            for part, image in zip(divided.parameters(), block.parameters(), strict=True):
                part.data = own.get(id(image), part.data)
            # Gathered as bfloat16, gradients summed as float32: what masters and images are in one piece.
            policy = ROUNDED if any(id(part) in own for part in block.parameters()) else MixedPrecisionPolicy()
            fully_shard(divided, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
            if not isinstance(divided, FSDPModule):
                raise TypeError("fully_shard did not make an FSDPModule")
            divided.set_gradient_divide_factor(1.0)  # gradients are sums, divided once by the batch's weight
            divided.set_force_sum_reduction_for_comms(True)  # gloo knows no other reduction
            self._parts[number] = divided
            for part in block.parameters():
                part.data = part.data.new_empty(0)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep all blocks whole in each process, which may then run the model as often as it likes."""
        for block in self._divided():
            block.set_reshard_after_forward(False)
            block.unshard()
        try:
            yield
        finally:
            for block in self._divided():
                block.reshard()
                block.set_reshard_after_forward(True)

    def give_back(self) -> None:
        """Put the model's own blocks back, with the weights as trained. All processes must call it."""
        for number, block in enumerate(self._whole):
            trained = {name: whole(part.detach()) for name, part in self._parts[number].named_parameters()}
            for name, part in block.named_parameters():
                if part.dtype == torch.bfloat16:
                    set_master(part, trained[name])
                else:
                    part.data = trained[name]
            self._parts[number] = block

    def _divided(self) -> Iterator[FSDPModule]:
        for block in self._parts:
            if isinstance(block, FSDPModule):
                yield block


def _check_apart(model: nn.Module, own: Sequence[nn.Module]) -> None:
    """Raise StageError when blocks share a weight with each other or with the rest: dividing would part them."""
    within = [id(part) for block in own for part in block.parameters()]
    blocks_of = {id(module) for block in own for module in block.modules()}
    rest = {
        id(part)
        for module in model.modules()
        if id(module) not in blocks_of
        for part in module.parameters(recurse=False)
    }
    if len(set(within)) < len(within) or rest & set(within):
        raise StageError(
            "the blocks of this model share weights with each other or with what surrounds them, so they cannot be "
            "divided over processes. Run it with --engine processes."
        )


def whole(values: Tensor) -> Tensor:
    """Return a tensor as every process would hold it alone. For a divided one all processes must call it."""
    return values.full_tensor() if isinstance(values, DTensor) else values


def is_divided(values: Tensor) -> bool:
    """Return whether this process holds a part of a tensor only."""
    return isinstance(values, DTensor)


def divided_like(values: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor divided as another one of the same shape is. All processes must call it."""
    if not isinstance(like, DTensor) or values.shape != like.shape:
        return values
    return distribute_tensor(values.to(like.device), like.device_mesh, like.placements)


def clip_divided(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale the gradients down to an L2 norm of ``limit`` together, and return their norm before. Shape: ().

    As ``torch.nn.utils.clip_grad_norm_``, for parameters of which some are divided. All processes must call it.
    """
    gradients = [part.grad for part in parameters if part.grad is not None]
    total = torch.zeros((), device=parameters[0].device)
    for gradient in gradients:
        if isinstance(gradient, DTensor):
            total += gradient.to_local().square().sum()
    torch.distributed.all_reduce(total)
    for gradient in gradients:
        if not isinstance(gradient, DTensor):
            total += gradient.square().sum()
    norm = total.sqrt()
    for gradient in gradients:
        gradient.mul_((limit / (norm + 1e-6)).clamp_max(1.0))
    return norm


def whole_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state with every tensor whole. All processes must call it."""
    kept = {
        number: {name: whole(value) if isinstance(value, Tensor) else value for name, value in entry.items()}
        for number, entry in state["state"].items()
    }
    return {**state, "state": kept}


def divided_state(state: Mapping[str, Any], parameters: Sequence[Tensor]) -> dict[str, Any]:
    """Return a whole optimiser's state divided as its parameters are. All processes must call it.

    ``parameters``: in the optimiser's order, by which the state is numbered.
    """
    kept = {
        number: {
            name: divided_like(value, parameters[number]) if isinstance(value, Tensor) else value
            for name, value in entry.items()
        }
        for number, entry in state["state"].items()
    }
    return {**state, "state": kept}
