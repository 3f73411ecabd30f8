"""A linear layer with LoRA adapters beside it: peft's formula with fewer calls, and for blocks that join products."""

from __future__ import annotations

from typing import Any

from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn.functional import linear


class AdaptedLinear(LoraLinear):
    """peft's layer, changed in place; it computes the same numbers, bit for bit."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return W x + b and what the active adapters add. Shape: (..., features out)."""
        if args or kwargs or self.disable_adapters or self.merged:
            found: Tensor = super().forward(x, *args, **kwargs)
            return found
        return with_adapters(self, x, self.base_layer(x))


def with_adapters(layer: Any, states: Tensor, product: Tensor) -> Tensor:
    """Return the product of a layer's frozen weights with the states, and what its active adapters add.

    Shape and type: the product's. Each adapter computes in the type of its own weights.
    """
    active = layer._active_adapter
    if not active or layer.disable_adapters:
        return product
    found = product
    for name in (active,) if isinstance(active, str) else active:
        if name not in layer.lora_A:
            continue
        down, up = layer.lora_A[name], layer.lora_B[name]
        states = states if states.dtype == down.weight.dtype else states.to(down.weight.dtype)
        dropout = layer.lora_dropout[name]
        low = linear(states if isinstance(dropout, nn.Identity) else dropout(states), down.weight)
        found = found + linear(low, up.weight) * layer.scaling[name]
    return found if found.dtype == product.dtype else found.to(product.dtype)


def base_of(part: nn.Module) -> nn.Module:
    """Return the frozen layer under adapters, or the layer itself where it has none."""
    if type(part) is AdaptedLinear and not part.merged:
        base: nn.Module = part.base_layer
        return base
    return part
