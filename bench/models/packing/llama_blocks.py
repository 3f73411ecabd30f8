"""Blocks of the Llama type in packed rows: fewer operations, and in the last block only what something reads.

Transformers knows such a block under several names; all compute ``h + o(attention(q, k, v))`` over a normalised h and
then ``h + mlp(h)`` over a normalised h. Here the same projections, norms and MLP, with adapters and hooks on them, are
used in the same order (hooks on the attention as a whole are not heard), with four differences. The last block asks
for queries, the output projection and the MLP at the positions that predict a response's tokens only: of a prompt's
other positions it needs keys and values. Projections become one product, an adapter's part added to each; so a policy
with an adapter that changes nothing yet equals the policy without it, bit for bit. In float32 norms and rotary
positions are those of ``bench.models.packing.fused``, and attention within short groups is that of
``bench.models.packing.short``; other types go through what transformers uses.

A block is patched by giving it a subclass of its own class, which does as before unless a packing is given: the block
is called as ever, so that hooks, recomputed activations and sharding find what they expect, and a copy of a model is
patched as well. Whether it is right for a model is found out by a trial (``bench.models.packing.sharing``).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, apply_rotary_pos_emb
from transformers.models.mistral.modeling_mistral import MistralDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer

from bench.core.errors import StageError
from bench.models.packing.adapted import base_of, with_adapters
from bench.models.packing.attention import Packing, Tails, within_groups
from bench.models.packing.decoder import Decoder
from bench.models.packing.fused import rms_norm, rotated
from bench.models.packing.hidden_states import blocks
from bench.models.packing.short import LONGEST, by_group, read_pieces


class PackedBlock(nn.Module):
    """What a patched block does with packed rows; it stands before the block's own class."""

    def forward(self, hidden_states: Tensor, *args: Any, packing: Packing | None = None, **settings: Any) -> Tensor:
        """Return the states after the block: (1, length, width), or the tails alone from the last block."""
        if packing is None:
            return cast("Tensor", super().forward(hidden_states, *args, **settings))
        cos, sin = settings["position_embeddings"]
        return _computed(cast("Any", self), hidden_states[0], cos[0], sin[0], packing)


class PackedLlama(PackedBlock, LlamaDecoderLayer):
    """A patched block of Llama."""


class PackedMistral(PackedBlock, MistralDecoderLayer):
    """A patched block of Mistral."""


class PackedQwen2(PackedBlock, Qwen2DecoderLayer):
    """A patched block of Qwen 2; it differs from Llama's by biases of q, k and v."""


class PackedQwen3(PackedBlock, Qwen3DecoderLayer):
    """A patched block of Qwen 3; it differs from Llama's by a norm over each head of q and k."""


PATCHED: dict[type[nn.Module], type[nn.Module]] = {
    LlamaDecoderLayer: PackedLlama,
    MistralDecoderLayer: PackedMistral,
    Qwen2DecoderLayer: PackedQwen2,
    Qwen3DecoderLayer: PackedQwen3,
}


def patch_blocks(decoder: Decoder) -> bool:
    """Patch all blocks of a model, and tell whether it could be done: whether they are of exactly a known class."""
    try:
        found = list(blocks(decoder))
    except StageError:
        return False
    if all(isinstance(block, PackedBlock) for block in found):  # a copy of a patched model
        return True
    if any(type(block) not in PATCHED for block in found):
        return False
    for block in found:
        block.__class__ = PATCHED[type(block)]
    return True


def unpatch_blocks(decoder: Decoder) -> None:
    """Give the blocks of a model their own class back."""
    own = {patched: plain for plain, patched in PATCHED.items()}
    for block in blocks(decoder):
        block.__class__ = own[type(block)]


def _computed(block: Any, states: Tensor, cos: Tensor, sin: Tensor, packing: Packing) -> Tensor:
    """Return the block's output, (1, positions, width); states, cosines and sines are (length, width)."""
    attention = block.self_attn
    is_last = attention.layer_idx == attention.config.num_hidden_layers - 1
    tails = packing.tails if is_last else None
    normed = _norm(block.input_layernorm, states)
    if tails is None:
        query, key, value = _projected([attention.q_proj, attention.k_proj, attention.v_proj], normed)
        query, key = _by_heads(attention, "q", query, cos, sin), _by_heads(attention, "k", key, cos, sin)
    else:
        places = tails.positions.to(states.device)
        key, value = _projected([attention.k_proj, attention.v_proj], normed)
        (query,) = _projected([attention.q_proj], normed.index_select(0, places))
        key = _by_heads(attention, "k", key, cos, sin)
        query = _by_heads(attention, "q", query, cos.index_select(0, places), sin.index_select(0, places))
        states = states.index_select(0, places)
    value = value.unflatten(-1, (-1, attention.head_dim))
    read = _read(attention, (query, key, value), packing, tails)
    states = states + attention.o_proj(read.flatten(1))
    mlp: Tensor = block.mlp(_norm(block.post_attention_layernorm, states))
    return states[None] + mlp[None]  # not a view of a sum, which fully_shard warns of


def _read(attention: Any, parts: tuple[Tensor, Tensor, Tensor], packing: Packing, tails: Tails | None) -> Tensor:
    """Return what each query reads within its group. Shape: that of the queries, (queries, heads, head width).

    ``parts``: queries, keys and values. A group is computed in one way whatever else stands in the row, so that its
    numbers do not depend on its neighbours.
    """
    dropout = attention.attention_dropout if attention.training else 0.0
    own, pieces = (packing.lengths, packing.pieces) if tails is None else (tails.lengths, tails.pieces)
    masks = packing.masks if tails is None else tails.masks
    plain = parts[0].dtype == torch.float32 and dropout == 0 and bool(packing.pieces)
    if plain and max(packing.lengths) <= LONGEST:
        return read_pieces(*parts, pieces, attention.scaling)

    def by_kernel(query: Tensor, key: Tensor, value: Tensor, which: slice) -> Tensor:
        query, key, value = (part.transpose(0, 1)[None] for part in (query, key, value))
        return within_groups(
            (query, key, value),
            lengths=(own[which], packing.lengths[which]),
            masks=masks[which],
            scale=attention.scaling,
            dropout=dropout,
        )[0]

    if not plain or min(packing.lengths) > LONGEST:
        return by_kernel(*parts, slice(None))
    each = zip(parts[0].split(own), parts[1].split(packing.lengths), parts[2].split(packing.lengths), strict=True)
    found = []
    for number, (group, within) in enumerate(zip(each, by_group(pieces, packing.lengths), strict=True)):
        if packing.lengths[number] <= LONGEST:
            found.append(read_pieces(*group, within, attention.scaling))
        else:
            found.append(by_kernel(*group, slice(number, number + 1)))
    return torch.cat(found)


def _norm(module: Any, states: Tensor) -> Tensor:
    if states.dtype != torch.float32 or module.weight.dtype != torch.float32 or _is_watched(module):
        found: Tensor = module(states)
        return found
    return rms_norm(states, module.weight, module.variance_epsilon)


def _projected(parts: list[nn.Module], states: Tensor) -> list[Tensor]:
    """Return what each projection makes of the states: one product of all frozen weights, and each one's adapters."""
    plain: list[Any] = [base_of(part) for part in parts]
    if len(parts) == 1 or any(type(base) is not nn.Linear or _is_watched(base) for base in plain):
        return [part(states) for part in parts]
    biases = [part.bias for part in plain if part.bias is not None]
    if any(_is_watched(part) for part in parts) or (biases and len(biases) < len(plain)):
        return [part(states) for part in parts]
    together = linear(states, torch.cat([part.weight for part in plain]), torch.cat(biases) if biases else None)
    products = together.split([part.out_features for part in plain], dim=-1)
    return [
        product if part is base else with_adapters(part, states, product)
        for part, base, product in zip(parts, plain, products, strict=True)
    ]


def _is_watched(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _by_heads(attention: Any, which: str, states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return queries or keys, head by head and turned by their positions. Shape: (tokens, heads, head width)."""
    heads = states.unflatten(-1, (-1, attention.head_dim))
    norm = getattr(attention, f"{which}_norm", None)
    if norm is not None:
        heads = norm(heads)
    if heads.dtype != torch.float32:  # transformers' own order of rounding
        turned, _ = apply_rotary_pos_emb(heads, heads, cos, sin, unsqueeze_dim=1)
        return cast("Tensor", turned)
    return rotated(heads, cos, sin)
