"""Trading time for memory: activations that are computed again in the backward pass instead of kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from bench.core.errors import StageError
from bench.models.packing.decoder import pretrained_in


@contextmanager
def recomputed_activations(model: nn.Module) -> Iterator[None]:
    """Keep only what enters each layer of the model (Chen et al. 2016, arXiv:1604.06174), as long as this is open.

    Dropout meets the same noise when a layer is computed again. Raises StageError for a model whose layers cannot.
    """
    whole = pretrained_in(model)
    layers = [module for module in whole.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise StageError(
            f"{type(whole).__name__} cannot compute its activations again. Set activations to kept, "
            "and lower micro_tokens if memory is short."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the new name of this method is not in transformers 5.0
        whole.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in layers:  # transformers looks at this flag; the modules within keep theirs, and with it their dropout
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
            layer.gradient_checkpointing = False
