"""A linear layer with LoRA adapters beside it: peft's formula with fewer calls, and for blocks that join products."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn.functional import linear


class AdaptedLinear(LoraLinear):
    """peft's layer, changed in place; it computes the same numbers up to rounding."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return W x + b and what the active adapters add. Shape: (..., features out)."""
        if args or kwargs or self.disable_adapters or self.merged:
            found: Tensor = super().forward(x, *args, **kwargs)
            return found
        return with_adapters(self, x, self.base_layer(x))


def adapt(layer: LoraLinear) -> None:
    """Give a layer of peft the class above, and let it find its adapters at hand. Again after a further adapter."""
    layer.__class__ = AdaptedLinear
    # In a plain dict of the object: as modules they would be found twice.
    layer.__dict__["at_hand"] = {
        name: (down, layer.lora_B[name], layer.lora_dropout[name], layer.scaling[name])
        for name, down in layer.lora_A.items()
    }


def with_adapters(layer: Any, states: Tensor, product: Tensor) -> Tensor:
    """Return the product of a layer's frozen weights with the states, and what its active adapters add.

    Shape and type: the product's. Each adapter computes in the type of its own weights.
    """
    found = product
    for name in () if layer._disable_adapters else layer._active_adapter:
        if name not in layer.at_hand:
            continue
        down, up, dropout, scale = layer.at_hand[name]
        weight = down.weight
        if states.dtype != weight.dtype:
            states = states.to(weight.dtype)
        low = linear(states if type(dropout) is nn.Identity else dropout(states), weight)
        found = torch.add(found, linear(low, up.weight), alpha=scale)
    return found if found.dtype == product.dtype else found.to(product.dtype)


def base_of(part: nn.Module) -> nn.Module:
    """Return the frozen layer under adapters, or the layer itself where it has none."""
    if type(part) is AdaptedLinear and not part.merged:
        base: nn.Module = part.base_layer
        return base
    return part
