"""Attention over groups of a prompt and its responses that lie end to end in one row, without padding.

On a CPU this is faster than padded rows under a block mask: no work goes into padding, and each group's attention is
as large as the group. It goes through the model's ordinary attention interface: the function that transformers knows as
``sdpa`` is replaced by one that does the same as before, unless a packing is given. (A function of another name would
have to be switched on and off, and a layer that is computed again in the backward pass would find it off.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from bench.models.packing.short import Piece


@dataclass(frozen=True)
class Tails:
    """What the last block must put out: of each group the positions from the prompt's last one on, which predict.

    ``lengths``: how many of each group; ``positions``: where they stand in the row; ``predicting``: which of them
    predicts each response token; ``masks``: per group (those positions, length) float32, 0 or minus infinity;
    ``pieces``: the same as pieces of one attention.
    """

    lengths: list[int]
    positions: Tensor
    predicting: Tensor
    masks: list[Tensor]
    pieces: list[Piece]


@dataclass(frozen=True)
class Packing:
    """Where the groups of a row lie, and what is added to the attention scores within each.

    ``parts``: per group the lengths of its prompt and of its responses; ``lengths``: their sums. ``masks``: per group
    (length, length) float32, 0 or minus infinity; None where plain causal attention is meant. ``tails``: None where
    the last block puts out every position.
    """

    parts: list[tuple[int, ...]]
    lengths: list[int]
    masks: list[Tensor | None]
    tails: Tails | None = None
    pieces: list[Piece] = field(default_factory=list)


def packing_of(parts: Sequence[Sequence[int]]) -> Packing:
    """Return the packing of groups, each given by the lengths of its prompt and of its responses."""
    own = [tuple(part) for part in parts]
    masks = {part: _block_mask(part) if len(part) > 2 else None for part in dict.fromkeys(own)}
    return Packing(own, [sum(part) for part in own], [masks[part] for part in own])


def with_tails(packing: Packing) -> Packing:
    """Return the packing for blocks of which the last puts out the tails alone (see ``llama_blocks``)."""
    parts = packing.parts
    whole = {part: mask for part, mask in zip(parts, packing.masks, strict=True) if mask is not None}
    whole.update({part: _block_mask(part) for part in dict.fromkeys(parts) if part not in whole})
    masks = [whole[part][part[0] - 1 :] for part in parts]
    pieces: list[Piece] = []
    tail_pieces: list[Piece] = []
    start = tail = 0
    for part, mask in zip(parts, masks, strict=True):
        prompt, end = start + part[0], start + sum(part)
        pieces.append(Piece((start, prompt), (start, prompt), whole[part][: part[0], : part[0]]))
        if end > prompt:
            pieces.append(Piece((prompt, end), (start, end), mask[1:]))
        tail_pieces.append(Piece((tail, tail + len(mask)), (start, end), mask))
        start, tail = end, tail + len(mask)
    tails = Tails(
        lengths=[len(mask) for mask in masks],
        positions=torch.tensor(_tail_positions(parts)),
        predicting=torch.tensor(_predicting_tails(parts)),
        masks=masks,
        pieces=tail_pieces,
    )
    return replace(packing, tails=tails, pieces=pieces)


def _tail_positions(parts: Sequence[Sequence[int]]) -> list[int]:
    found: list[int] = []
    start = 0
    for part in parts:
        found += range(start + part[0] - 1, start + sum(part))
        start += sum(part)
    return found


def _predicting_tails(parts: Sequence[Sequence[int]]) -> list[int]:
    """Return, for each response token, which of the tails predicts it: a first token the prompt's last position."""
    found: list[int] = []
    first = following = 0
    for part in parts:
        following += 1
        for response in part[1:]:
            found += [first, *range(following, following + response)]
            following += response
        first = following
    return found


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
    found = within_groups(
        (query, key, value),
        lengths=(packing.lengths, packing.lengths),
        masks=packing.masks,
        scale=settings.get("scaling"),
        dropout=settings.get("dropout", 0.0),
    )
    return found, None


def within_groups(
    parts: tuple[Tensor, Tensor, Tensor],
    *,
    lengths: tuple[Sequence[int], Sequence[int]],
    masks: Sequence[Tensor | None],
    scale: float | None,
    dropout: float,
) -> Tensor:
    """Return what each query reads within its group. Shape: (1, queries, heads, head width).

    ``parts``: queries, keys and values as in ``attend``; ``lengths``: the queries of each group, and its keys.
    """
    query, key, value = parts
    groups = zip(
        query.split(list(lengths[0]), dim=2),
        key.split(list(lengths[1]), dim=2),
        value.split(list(lengths[1]), dim=2),
        masks,
        strict=True,
    )
    found = [
        scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=None if mask is None else mask.to(queries.dtype),
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scale,
            enable_gqa=key.shape[1] != query.shape[1],
        ).transpose(1, 2)
        for queries, keys, values, mask in groups
    ]
    return torch.cat(found, dim=1)


AttentionInterface.register("sdpa", attend)
