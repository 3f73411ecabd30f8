"""Linear layers whose frozen weights are kept in 4 or 8 bits, and made whole for each product.

``4bit``: NormalFloat of QLoRA (Dettmers et al. 2023, arXiv:2305.14314) in blocks of 64 numbers with a float32 scale
each, 4.5 bits a weight; without the paper's second quantisation, of the scales. ``8bit``: the weights of LLM.int8
(Dettmers et al. 2022, arXiv:2208.07339), whole numbers with a float32 scale for each row; the states that they are
multiplied with are not quantised, so that both kinds compute with weights and nothing else changed. bitsandbytes packs
and unpacks.

A product computes with the unpacked weights, rounded to what the policy computes in, as one with a plain layer would:
all numbers of a policy are those of the model of unpacked weights (up to rounding), which is what an export writes. No
norm, embedding or head is cast to another type than the policy's, as elsewhere (``bench.core.policy.computed_in``).
"""

from __future__ import annotations

from typing import Any

import torch
from bitsandbytes import functional
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from bench.core.errors import StageError
from bench.core.policy import LoadIn

BLOCK = 64  # numbers with one scale in 4 bits
LEVELS = 127  # whole numbers on either side of 0 in 8 bits


class PackedLinear(nn.Linear):
    """A linear layer with packed weights; ``numbers`` is how many they are. Its bias stays as it is."""

    packed: Tensor
    scales: Tensor
    code: Tensor

    def __init__(self, whole: nn.Linear, load_in: LoadIn, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)  # without the weights of a plain layer
        self.in_features, self.out_features = whole.in_features, whole.out_features
        self.numbers = whole.in_features * whole.out_features
        self.load_in, self.dtype = load_in, dtype
        self.bias = whole.bias
        values = whole.weight.detach().float()
        if load_in == "4bit":
            packed, state = functional.quantize_4bit(values, blocksize=BLOCK, quant_type="nf4")
            self.register_buffer("code", state.code)
            self.register_buffer("scales", state.absmax)
        else:
            packed, scales, _ = functional.int8_vectorwise_quant(values)
            self.register_buffer("scales", scales)
        self.register_buffer("packed", packed)

    def whole(self) -> Tensor:
        """Return the unpacked weights in float32. Shape: (out_features, in_features)."""
        if self.load_in == "8bit":
            return self.packed.float() * (self.scales[:, None] / LEVELS)
        shape = torch.Size((self.out_features, self.in_features))
        state = functional.QuantState(
            absmax=self.scales, shape=shape, code=self.code, blocksize=BLOCK, quant_type="nf4", dtype=torch.float32
        )
        found: Tensor = functional.dequantize_4bit(self.packed, state)
        return found

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The unpacked weights as they are computed with."""
        return self.whole().to(self.dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return W x + b. Shape: (..., out_features)."""
        found: Tensor = _Product.apply(input, self)
        return found if self.bias is None else found + self.bias


class _Product(torch.autograd.Function):
    """x W', which keeps no unpacked weights for its backward pass: they are unpacked again."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return linear(states, layer.weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] @ ctx.layer.weight, None


def pack(model: PreTrainedModel, load_in: LoadIn, dtype: torch.dtype) -> int:
    """Pack the weights of all linear layers but the head, and return how many they are; the model is changed.

    What is no plain linear layer (embeddings, norms, routers, experts in one tensor) is not packed and computes in
    ``dtype``. Raises StageError for a model without such a layer.
    """
    head = model.get_output_embeddings()
    packed = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child is not head:
                layer = PackedLinear(child, load_in, dtype)
                setattr(parent, name, layer)
                packed += layer.numbers
    if not packed:
        raise StageError(
            f"{type(model).__name__} has no linear layer whose weights could be kept in {load_in}. Leave load_in away."
        )
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return packed


def unpack(model: nn.Module) -> None:
    """Put a plain layer with the unpacked weights, float32, in the place of every packed one."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PackedLinear):
                with torch.device("meta"):
                    plain = nn.Linear(child.in_features, child.out_features, bias=False)
                plain.weight = nn.Parameter(child.whole(), requires_grad=False)
                plain.bias = child.bias
                setattr(parent, name, plain)
