"""The element-wise work of a Llama-type block in float32, with less traffic to memory than one operation at a time.

Each function equals the plain PyTorch formula in its docstring, value and gradient, up to rounding; what a cheap
operation can make again is not kept for the backward pass. SwiGLU is not here: autograd's own way was as fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def rms_norm(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return ``weight * states / sqrt(mean(states ** 2) + eps)``, the mean over the last dimension.

    Shape: that of ``states``, (tokens, width). Root mean square normalisation (arXiv:1910.07467).
    """
    found: Tensor = _Normalised.apply(states, weight, eps)
    return found


def rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return ``states * cos + rotate_half(states) * sin``. Shape: that of ``states``, (tokens, heads, width).

    ``cos`` and ``sin``, both (tokens, width), carry no gradient. Rotary positions (arXiv:2104.09864), the first half
    of a head turned against the second.
    """
    found: Tensor = _Rotated.apply(states, cos, sin)
    return found


class _Normalised(Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = torch.linalg.vecdot(states, states).div_(states.shape[-1]).add_(eps).rsqrt_()[:, None]
        ctx.save_for_backward(states, weight, scale)
        return (states * scale).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        states, weight, scale = ctx.saved_tensors
        normed = states * scale
        of_weight = (given * normed).sum(0) if ctx.needs_input_grad[1] else None
        of_normed = given * weight
        shared = torch.linalg.vecdot(of_normed, normed).div_(-states.shape[-1])[:, None]
        return of_normed.addcmul_(normed, shared).mul_(scale), of_weight, None


class _Rotated(Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(states, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(given, cos, -sin), None, None


def _turned(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = states.shape[-1] // 2
    found = states * cos[:, None]
    found[..., :half].addcmul_(states[..., half:], sin[:, None, :half], value=-1)
    found[..., half:].addcmul_(states[..., :half], sin[:, None, half:])
    return found
