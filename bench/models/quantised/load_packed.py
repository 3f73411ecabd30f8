"""Loading a model in 4 or 8 bits."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import LoadIn
from bench.models.quantised.distance import QuantisedModel, distance, text_logprobs


def pack_loaded(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, load_in: LoadIn, dtype: str) -> None:
    """Pack the weights of a model that was loaded in float32; ``quantised_of`` then says what that did.

    Raises StageError where bitsandbytes is not installed.
    """
    try:
        from bench.models.quantised.packed_linear import pack  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise StageError(f"load_in: {load_in} needs bitsandbytes: pip install 'alignment-bench[quant]'") from error
    weights = sum(parameter.numel() for parameter in model.parameters())
    model.eval()
    before, tokens = text_logprobs(model, tokenizer)
    packed = pack(model, load_in, getattr(torch, dtype))
    after, _ = text_logprobs(model, tokenizer)
    kl, shift = distance(before, after, tokens)
    model.quantised = QuantisedModel(load_in, packed, weights, len(tokens), kl, shift)


def quantised_of(model: nn.Module) -> QuantisedModel | None:
    """Return what packing did to a model, or to the one that an adapter is on; None for one of whole weights."""
    found = (vars(part).get("quantised") for part in model.modules())
    return next((one for one in found if isinstance(one, QuantisedModel)), None)


def unpack_loaded(model: nn.Module) -> None:
    """Make the weights of a model whole, float32, where they are packed."""
    if quantised_of(model) is not None:
        from bench.models.quantised.packed_linear import unpack  # noqa: PLC0415 - an optional package

        unpack(model)


def numbers_in(model: nn.Module) -> int:
    """Return how many weights a model has, each packed one counted as one, whatever it is kept in."""
    packed = sum(vars(part).get("numbers", 0) for part in model.modules())
    return packed + sum(parameter.numel() for parameter in model.parameters())
