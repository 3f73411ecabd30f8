"""Taking optimiser steps: float32 weights and their images, clipping, and what a checkpoint needs of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from bench.core.stage import Weights
from bench.models.masters import master_of
from methods._train.loop import ranks
from methods._train.loop.sharding import (
    Shards,
    clip_divided,
    divided_like,
    divided_state,
    is_divided,
    whole,
    whole_state,
)
from methods._train.settings import Optimisation


class Optimizer:
    """AdamW over the parameters of a model that require a gradient, changed in place.

    What is trained is float32. A bfloat16 parameter is the image of a float32 master (``bench.models.masters``; its own
    value where there is none): its gradients are added up in float32, the step moves the master, and the image is
    rounded from it. A float32 parameter is its own master. ``trained``: the masters, by the parameters' names.
    ``weights``: ``sharded`` divides them over the processes of a launch. Raises StageError for a model of which nothing
    can be trained, and for a float16 model.
    """

    def __init__(
        self, model: nn.Module, optimisation: Optimisation, device: str, *, weights: Weights = "replicated"
    ) -> None:
        _check(model)
        self._model = model
        self._device = torch.device(device)
        self._limit = optimisation.max_grad_norm
        self._accelerator = _accelerator(device)
        images = {name: part for name, part in model.named_parameters() if part.requires_grad}
        kept = {name: master_of(part) for name, part in images.items() if part.dtype == torch.bfloat16}
        self._shards = Shards(model, kept) if weights == "sharded" and ranks.started() else None
        if self._shards is not None and optimisation.graph == "compiled":
            raise StageError("compiled layers cannot be divided over processes. Set graph to eager.")
        self.trained = {name: part for name, part in model.named_parameters() if part.requires_grad}
        self._images: list[tuple[nn.Parameter, nn.Parameter]] = []
        for name, image in self.trained.items():
            if image.dtype == torch.bfloat16:
                self.trained[name] = self._master(image, kept[name])
        self._optimiser = self._accelerator.prepare(_adamw(model, self.trained, optimisation))

    def _master(self, image: nn.Parameter, values: Tensor) -> nn.Parameter:
        """Return the master of an image as the parameter that is trained, and send it the image's gradients."""
        master = nn.Parameter(values)
        image.master = master.data  # type: ignore[attr-defined]
        self._images.append((image, master))

        def hand_over(_image: Tensor) -> None:
            if image.grad is not None:
                arrived = image.grad.float()
                master.grad = arrived if master.grad is None else master.grad.add_(arrived)
                image.grad = None

        image.register_post_accumulate_grad_hook(hand_over)
        return master

    def _round(self) -> None:
        """Give the images what their masters are now."""
        with torch.no_grad():
            for image, master in self._images:
                image.copy_(master)

    @property
    def shared_out(self) -> bool:
        """Whether the weights are divided over processes, so that all must run the model equally often."""
        return self._shards is not None

    def freely(self) -> AbstractContextManager[None]:
        """Return within what each process may run the model as often as it likes."""
        return nullcontext() if self._shards is None else self._shards.gathered()

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
        limit = math.inf if self._limit is None else self._limit
        if self._shards is None:
            ranks.sum_gradients(parameters)
            norm = self._accelerator.clip_grad_norm_(parameters, limit)
        else:
            ranks.sum_gradients([parameter for parameter in parameters if not is_divided(parameter)])
            norm = clip_divided(parameters, limit)
        if math.isfinite(float(norm)):
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.step()
            self._round()
        self._optimiser.zero_grad(set_to_none=True)
        return float(norm)

    def weights(self) -> dict[str, Tensor]:
        """Return the trained weights by name, whole and, where they are in one piece already, not copied."""
        return {name: whole(parameter.detach()) for name, parameter in self.trained.items()}

    def moments(self) -> dict[str, Any]:
        """Return the optimiser's state, whole."""
        found: dict[str, Any] = whole_state(self._optimiser.state_dict())
        return found

    def restore(self, weights: Mapping[str, Tensor], moments: dict[str, Any] | None = None) -> None:
        """Put weights, and the optimiser's state where it is given, in the place of the present ones."""
        with torch.no_grad():
            for name, values in weights.items():
                self.trained[name].copy_(divided_like(values, self.trained[name]))
        self._round()
        if moments is not None:
            groups = self._optimiser.param_groups
            ways = [{way: group[way] for way in ("fused", "foreach")} for group in groups]
            parameters = [part for group in groups for part in group["params"]]
            self._optimiser.load_state_dict(divided_state(moments, parameters))
            for group, own in zip(self._optimiser.param_groups, ways, strict=True):
                group.update(own)  # the killed run may have held its weights in another way

    def finish(self) -> None:
        """Put weights that were divided together again. What was trained stays behind the model's parameters."""
        if self._shards is not None:
            self._shards.give_back()


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


def _adamw(model: nn.Module, trained: Mapping[str, nn.Parameter], optimisation: Optimisation) -> torch.optim.AdamW:
    """Return AdamW in two groups: matrices with weight decay; biases, norms and embeddings without."""
    tables = {
        id(part) for module in model.modules() if isinstance(module, nn.Embedding) for part in module.parameters()
    }
    of_tables = {name for name, part in model.named_parameters() if id(part) in tables}
    decayed = [part for name, part in trained.items() if part.ndim >= 2 and name not in of_tables]
    rest = [part for name, part in trained.items() if part.ndim < 2 or name in of_tables]
    groups = [
        {"params": decayed, "weight_decay": optimisation.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=optimisation.rate_at(0, 1),  # every step sets its own
        betas=optimisation.betas,
        eps=optimisation.eps,
        # One pass over each weight instead of a dozen; neither takes weights of which some only are divided.
        fused=not any(is_divided(part) for part in trained.values()),
        foreach=False,
    )
