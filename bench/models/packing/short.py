"""Attention within packed groups that are short: plain products, with the probabilities kept for the backward pass.

The fused kernel behind ``scaled_dot_product_attention`` computes them again in the backward pass and walks through
small tiles, which pays for long sequences. For groups of a few hundred positions on a CPU it is slower than plain
products (780 against 460 microseconds for 4 heads of 32 and 158 positions, forward and backward), most of all because
a prompt's queries need not be set against the responses' keys. The memory is heads * length numbers per position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

LONGEST = 256  # positions of a group


@dataclass(frozen=True)
class Piece:
    """Consecutive queries that read the first keys of their group.

    ``queries`` and ``keys``: where they begin and end in the row. ``mask`` (queries, keys): what is added to the
    scores, 0 or minus infinity.
    """

    queries: tuple[int, int]
    keys: tuple[int, int]
    mask: Tensor


def read_pieces(query: Tensor, key: Tensor, value: Tensor, pieces: Sequence[Piece], scale: float) -> Tensor:
    """Return softmax(scale * query key^T + mask) value for each piece. Shape: that of ``query``.

    All float32: ``query`` (queries, heads, width), ``key`` and ``value`` (positions, heads, width), which may have
    fewer heads. Together the pieces hold every query once.
    """
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    found: Tensor = _Read.apply(query, key, value, pieces, scale)
    return found


def by_group(pieces: Sequence[Piece], lengths: Sequence[int]) -> list[list[Piece]]:
    """Return the pieces of each group, numbered from its own first query and key.

    ``pieces``: of a row of groups, in order; ``lengths``: the keys of each group.
    """
    found: list[list[Piece]] = []
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    remaining = list(pieces)
    for length, end in zip(lengths, ends, strict=True):
        own = [piece for piece in remaining if piece.keys[0] < end]
        remaining = remaining[len(own) :]
        first, start = own[0].queries[0], end - length
        found.append(
            [
                Piece(
                    (piece.queries[0] - first, piece.queries[1] - first),
                    (piece.keys[0] - start, piece.keys[1] - start),
                    piece.mask,
                )
                for piece in own
            ]
        )
    return found


class _Read(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, pieces: Sequence[Piece], scale: float) -> Tensor:
        query = query * scale
        found = torch.empty_like(query)
        kept = []
        for piece, asked, offered, given in _each(pieces, query, key, value):
            shares = torch.baddbmm(piece.mask, asked, offered.transpose(1, 2))
            torch.softmax(shares, -1, out=shares)
            found[slice(*piece.queries)] = torch.bmm(shares, given).transpose(0, 1)
            kept.append(shares)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.pieces, ctx.scale = pieces, scale
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arriving: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, *kept = ctx.saved_tensors
        of_query, of_key, of_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        each = zip(_each(ctx.pieces, query, key, value), kept, strict=True)
        for (piece, asked, offered, given), shares in each:
            queries, keys = slice(*piece.queries), slice(*piece.keys)
            arrived = arriving[queries].transpose(0, 1)
            of_value[keys] += torch.bmm(shares.transpose(1, 2), arrived).transpose(0, 1)
            of_shares = torch.bmm(arrived, given.transpose(1, 2))
            of_scores = torch.ops.aten._softmax_backward_data(of_shares, shares, -1, torch.float32)
            of_query[queries] = torch.bmm(of_scores, offered).transpose(0, 1)
            of_key[keys] += torch.bmm(of_scores.transpose(1, 2), asked).transpose(0, 1)
        return of_query.mul_(ctx.scale), of_key, of_value, None, None


def _each(
    pieces: Sequence[Piece], query: Tensor, key: Tensor, value: Tensor
) -> Iterator[tuple[Piece, Tensor, Tensor, Tensor]]:
    """Yield each piece with its queries, keys and values, each (heads, positions, width)."""
    for piece in pieces:
        keys = slice(*piece.keys)
        asked, offered, given = query[slice(*piece.queries)], key[keys], value[keys]
        yield piece, asked.transpose(0, 1), offered.transpose(0, 1), given.transpose(0, 1)
