"""Taking optimiser steps: float32 weights, the precision of a pass, clipping, and what a checkpoint needs of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from methods._train import ranks
from methods._train.settings import Optimisation


class Descent:
    """AdamW over the parameters of a model that require a gradient, changed in place.

    Weights are float32 while they train (``restore_precision`` gives them back the type they came with); a bfloat16
    model computes in bfloat16 by autocast. Raises StageError for a model of which nothing can be trained, and for a
    float16 model.
    """

    def __init__(self, model: nn.Module, optimisation: Optimisation, device: str) -> None:
        _check(model)
        self._device = torch.device(device)
        self._limit = optimisation.max_grad_norm
        self._accelerator = _accelerator(device)
        self._reduced = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
        self._dtypes = {name: part.dtype for name, part in model.named_parameters() if part.requires_grad}
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.trained = {name: part for name, part in model.named_parameters() if part.requires_grad}
        self._optimiser = self._accelerator.prepare(_adamw(model, optimisation))

    def precision(self) -> torch.autocast:
        """Return the context in which the model computes."""
        # torch's own autocast: accelerate keeps one precision per process, and a worker runs stages of any.
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._reduced)

    def backward(self, total: Tensor) -> None:
        """Add the gradient of a sum to what has been added since the last step."""
        self._accelerator.backward(total)

    def step(self, rate: float, weight: float) -> float:
        """Divide the summed gradients by ``weight``, clip them, move the weights; return the norm before clipping.

        Where the norm is not finite the weights stay as they are.
        """
        parameters = list(self.trained.values())
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(weight)
        ranks.sum_gradients(parameters)
        norm = self._accelerator.clip_grad_norm_(parameters, math.inf if self._limit is None else self._limit)
        if math.isfinite(float(norm)):
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return float(norm)

    def weights(self) -> dict[str, Tensor]:
        """Return the trained weights by name, not copied."""
        return {name: parameter.detach() for name, parameter in self.trained.items()}

    def moments(self) -> dict[str, Any]:
        """Return the optimiser's state."""
        found: dict[str, Any] = self._optimiser.state_dict()
        return found

    def restore(self, weights: Mapping[str, Tensor], moments: dict[str, Any] | None = None) -> None:
        """Put weights, and the optimiser's state where it is given, in the place of the present ones."""
        with torch.no_grad():
            for name, values in weights.items():
                self.trained[name].copy_(values)
        if moments is not None:
            self._optimiser.load_state_dict(moments)

    def restore_precision(self) -> None:
        """Give every weight the type it was loaded with."""
        for name, parameter in self.trained.items():
            parameter.data = parameter.data.to(self._dtypes[name])


def _check(model: nn.Module) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise StageError("the model has no parameter that requires a gradient")
    if any(parameter.dtype == torch.float16 for parameter in model.parameters()):
        raise StageError("float16 cannot be trained without loss scaling. Set the base's dtype to bfloat16 or float32.")


def _accelerator(device: str) -> Any:
    """Return accelerate's Accelerator; the model stays where its policy was loaded.

    In a process that accelerate or torchrun started it joins the others, so that ``ranks`` counts all of them.
    """
    from accelerate import Accelerator  # here: it takes seconds to import

    return Accelerator(cpu=torch.device(device).type == "cpu", mixed_precision="no", device_placement=False)


def _adamw(model: nn.Module, optimisation: Optimisation) -> torch.optim.AdamW:
    """Return AdamW in two groups: matrices with weight decay; biases, norms and embeddings without."""
    tables = {
        id(part) for module in model.modules() if isinstance(module, nn.Embedding) for part in module.parameters()
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim >= 2 and id(parameter) not in tables]
    kept = {id(parameter) for parameter in decayed}
    rest = [parameter for parameter in trained if id(parameter) not in kept]
    groups = [
        {"params": decayed, "weight_decay": optimisation.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=optimisation.lr,
        betas=optimisation.betas,
        eps=optimisation.eps,
    )
