"""The fused operations equal the plain formulas, value and gradient."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

from bench.models.packing.attention import packing_of, with_tails
from bench.models.packing.fused import rms_norm, rotated
from bench.models.packing.short import read_pieces

PARTS = [[7, 3, 0], [1, 4], [5, 2, 2, 6], [4, 0]]


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).requires_grad_()


def assert_same(ours: Tensor, theirs: Tensor, inputs: Sequence[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = torch.linspace(-1, 2, ours.numel()).view_as(ours)
    both = [torch.autograd.grad((found * weights).sum(), inputs) for found in (ours, theirs)]
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_norm(eps: float) -> None:
    norm = LlamaRMSNorm(24, eps=eps)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.2, 1.7, 24))
    states = random(11, 24)
    assert_same(rms_norm(states, norm.weight, eps), norm(states), [states, norm.weight])


def test_norm_whose_weight_is_frozen() -> None:
    states, weight = random(5, 8), torch.linspace(0.5, 2, 8)
    plain = weight * states * torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + 1e-6)
    assert_same(rms_norm(states, weight, 1e-6), plain, [states])


def test_rotary_positions() -> None:
    states = random(9, 3, 8)
    angles = random(9, 4).detach()
    cos, sin = torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)
    plain, _ = apply_rotary_pos_emb(states.transpose(0, 1)[None], states.transpose(0, 1)[None], cos[None], sin[None])
    assert_same(rotated(states, cos, sin), plain[0].transpose(0, 1), [states])


@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("which", ["whole", "tails"])
def test_attention_in_pieces(which: str, heads: int) -> None:
    """Against one attention over the whole row under a mask that keeps the groups apart."""
    packing = with_tails(packing_of(PARTS))
    assert packing.tails is not None
    length = sum(packing.lengths)
    asked = list(range(length)) if which == "whole" else packing.tails.positions.tolist()
    mask = torch.full((length, length), -torch.inf)
    start = 0
    for own, part in zip(packing.lengths, PARTS, strict=True):
        seen = torch.ones(own, own, dtype=torch.bool).tril()
        begin = part[0]
        for response in part[1:]:
            seen[begin + response :, begin : begin + response] = False
            begin += response
        mask[start : start + own, start : start + own].masked_fill_(seen, 0)
        start += own
    query, key, value = random(len(asked), 4, 8), random(length, heads, 8), random(length, heads, 8)
    pieces = packing.pieces if which == "whole" else packing.tails.pieces
    ours = read_pieces(query, key, value, pieces, 0.3)
    theirs = scaled_dot_product_attention(
        *(part.transpose(0, 1)[None] for part in (query, key, value)),
        attn_mask=mask[asked],
        scale=0.3,
        enable_gqa=heads < 4,
    )
    assert_same(ours, theirs[0].transpose(0, 1), [query, key, value])
