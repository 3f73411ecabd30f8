"""Attention over groups of a prompt and its responses that lie end to end in one row, without padding.

On a CPU this is faster than padded rows under a block mask: no work goes into padding, and each group's attention is
as large as the group. It goes through the model's ordinary attention interface: the function that transformers knows as
``sdpa`` is replaced by one that does the same as before, unless a packing is given. (A function of another name would
have to be switched on and off, and a layer that is computed again in the backward pass would find it off.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


@dataclass(frozen=True)
class Packing:
    """Where the groups of a row lie: their lengths, and what is added to the attention scores within each.

    ``masks``: per group (length, length) float32, 0 or minus infinity; None where plain causal attention is meant.
    """

    lengths: list[int]
    masks: list[Tensor | None]


def packing_of(parts: Sequence[Sequence[int]]) -> Packing:
    """Return the packing of groups, each given by the lengths of its prompt and of its responses."""
    masks: dict[tuple[int, ...], Tensor | None] = {}
    for part in map(tuple, parts):
        if part not in masks:
            masks[part] = _block_mask(part) if len(part) > 2 else None
    return Packing([sum(part) for part in parts], [masks[tuple(part)] for part in parts])


def _block_mask(part: Sequence[int]) -> Tensor:
    """Return the scores' mask of one group: a response sees the prompt and what stands before it in itself."""
    length, prompt = sum(part), part[0]
    mask = torch.full((length, length), -torch.inf).triu_(1)
    start = prompt
    for response in part[1:]:
        mask[start + response :, start : start + response] = -torch.inf
        start += response
    return mask


def attend(  # noqa: PLR0913 - transformers decides what it is called with
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Return what each position reads, within its group where a packing is given. Shape: (1, length, heads, width).

    ``query``, ``key`` and ``value`` have shape (1, heads, length, head width); the last two may have fewer heads.
    Raises ValueError for what attention within groups cannot do, so that another layout is taken.
    """
    if packing is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    if any(settings.get(name) is not None for name in ("softcap", "position_bias", "sliding_window")):
        raise ValueError("attention within packed groups takes no softcap, bias or window")
    parts = zip(
        query.split(packing.lengths, dim=2),
        key.split(packing.lengths, dim=2),
        value.split(packing.lengths, dim=2),
        packing.masks,
        strict=True,
    )
    found = [
        scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=None if mask is None else mask.to(queries.dtype),
            dropout_p=settings.get("dropout", 0.0),
            is_causal=mask is None,
            scale=settings.get("scaling"),
            enable_gqa=key.shape[1] != query.shape[1],
        ).transpose(1, 2)
        for queries, keys, values, mask in parts
    ]
    return torch.cat(found, dim=1), None


AttentionInterface.register("sdpa", attend)
