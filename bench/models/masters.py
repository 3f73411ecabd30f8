"""Float32 weights behind the bfloat16 ones that a model computes with.

Steps of training are far smaller than what bfloat16 can tell apart, so what is trained and stored are float32 numbers
(masters), and the model's own parameters are their images, rounded to bfloat16. That is what a later load of the
stored numbers computes with, so that the evaluated policy is the trained one, bit for bit. A parameter that is float32
is its own master.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn


def set_master(parameter: nn.Parameter, values: Tensor) -> None:
    """Keep float32 values behind a parameter, and round them into it."""
    parameter.data.copy_(values)
    if parameter.dtype != torch.float32:
        parameter.master = values.detach().to(parameter.device, torch.float32, copy=True)  # type: ignore[attr-defined]


def master_of(parameter: nn.Parameter) -> Tensor:
    """Return the float32 values behind a parameter: those kept, or its own."""
    kept = getattr(parameter, "master", None)
    return parameter.detach().float() if kept is None else cast("Tensor", kept)


@contextmanager
def stored_as(model: nn.Module, keep: torch.dtype) -> Iterator[None]:
    """Let the floating parameters of a model hold their masters in the type ``keep``, as long as this is open."""
    images = [(parameter, parameter.data) for parameter in model.parameters() if parameter.is_floating_point()]
    for parameter, _ in images:
        parameter.data = master_of(parameter).to(keep)
    try:
        yield
    finally:
        for parameter, image in images:
            parameter.data = image
