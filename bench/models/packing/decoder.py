"""A causal language model taken apart: the decoder that makes hidden states, and the head that makes logits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.core.errors import StageError
from bench.models.packing.attention import Packing
from bench.models.packing.rope import Rope, forget, rope_of

# What architectures call the same entry of their configuration, or the same argument. Falcon-H1, Cohere and the
# muP models multiply their logits, Granite divides them; Gemma, RecurrentGemma and xLSTM bound them.
_MULTIPLY = ("logit_scale", "lm_head_multiplier", "output_multiplier")
_DIVIDE = ("logits_scaling",)
_SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
_CACHES = ("past_key_values", "cache_params", "state")


@dataclass(frozen=True)
class Decoder:
    """The two halves of a causal language model, and what its configuration does to the logits after the head.

    ``takes_positions``: whether positions can be given. ``scale`` multiplies the logits; ``softcap`` c bounds them by
    c * tanh(logits / c) (Gemma 2, arXiv:2408.00118). ``cache_name``: what the backbone calls what it remembers of the
    tokens before, None where it offers no such thing. ``rope``: how its rotary positions depend on the longest row of
    a pass, None where they do not.
    """

    causal: PreTrainedModel
    backbone: nn.Module
    head: nn.Module
    vocabulary: int
    device: torch.device
    takes_positions: bool = True
    scale: float = 1.0
    softcap: float | None = None
    cache_name: str | None = "past_key_values"
    rope: Rope | None = None

    def hidden(
        self, ids: Tensor, *, attention_mask: Tensor | None, position_ids: Tensor, packing: Packing | None = None
    ) -> Tensor:
        """Return the last hidden states of whole rows. Shape: (batch, length, width).

        A model that takes no positions (recurrent ones, those with a bias by distance) is given none.
        """
        extra: dict[str, Any] = {} if packing is None else {"packing": packing}
        found = self._run(ids, attention_mask, position_ids, use_cache=False, **extra)
        return found.last_hidden_state

    def read(
        self, ids: Tensor, *, attention_mask: Tensor | None, position_ids: Tensor, cache: Any
    ) -> tuple[Tensor, Any]:
        """Return the last hidden states of tokens, (batch, length, width), and the cache, which has read them too.

        ``cache``: what an earlier call returned, or an empty one, or None for one of the model's own making. Raises
        ValueError where the model remembers nothing.
        """
        if self.cache_name is None:
            raise ValueError("it offers no cache")
        found = self._run(ids, attention_mask, position_ids, use_cache=True, **{self.cache_name: cache})
        grown = cache if found.get(self.cache_name) is None else found[self.cache_name]
        if grown is None:
            raise ValueError("it returns no cache")
        return found.last_hidden_state, grown

    def _run(
        self, ids: Tensor, attention_mask: Tensor | None, position_ids: Tensor, *, use_cache: bool, **extra: Any
    ) -> Any:
        if self.takes_positions:
            extra["position_ids"] = position_ids
        if self.rope is not None and self.rope.remembers:
            forget(self.backbone)
        return self.backbone(input_ids=ids, attention_mask=attention_mask, use_cache=use_cache, **extra)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits. Shape: hidden's, with the width replaced by the vocabulary."""
        logits = self.head(hidden).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


def decoder_of(model: nn.Module) -> Decoder:
    """Return the halves of a causal language model, LoRA layers included when an adapter is on it.

    ``model`` is one, or a module with one in it: an adapter around it, a head beside it.
    """
    causal = pretrained_in(model)
    if causal.config.is_encoder_decoder:
        raise StageError(
            f"{type(causal).__name__} is an encoder-decoder model, and this is done with causal language models only: "
            "its blocks, or one text of prompt and response, are asked for. Give a decoder-only model."
        )
    head = causal.get_output_embeddings()
    # Llama 4 names a base that its text model does not have; then the decoder is asked for.
    backbone = causal.get_decoder() if causal.base_model is causal else causal.base_model
    if backbone is causal and isinstance(getattr(causal, "model", None), PreTrainedModel):
        backbone = causal.model
    if head is None or backbone is causal:
        raise StageError(f"{type(causal).__name__} has no language-model head. Give a causal language model.")
    settings = causal.config.to_dict()
    takes = inspect.signature(backbone.forward).parameters
    return Decoder(
        causal=causal,
        backbone=backbone,
        head=head,
        vocabulary=int(head.weight.shape[0]),
        device=causal.device,
        takes_positions="position_ids" in takes,
        scale=_given(settings, _MULTIPLY, 1.0) / _given(settings, _DIVIDE, 1.0),
        softcap=_given(settings, _SOFTCAPS, None),
        cache_name=next((name for name in _CACHES if name in takes), None),
        rope=rope_of(settings),
    )


def pretrained_in(model: nn.Module) -> PreTrainedModel:
    """Return the model of transformers in a module: itself, or what an adapter or a head stands around.

    Raises StageError where there is none.
    """
    found = next((part for part in model.modules() if isinstance(part, PreTrainedModel)), None)
    if found is None:
        raise StageError(f"{type(model).__name__} is no language model of transformers.")
    return found


def _given(settings: Mapping[str, Any], names: Sequence[str], without: Any) -> Any:
    return next((float(settings[name]) for name in names if settings.get(name) is not None), without)


def varied(count: int, vocabulary: int, start: int = 0) -> Tensor:
    """Return token ids all over a vocabulary, no two neighbours alike, for trials of a model. Shape: (count,), int64.

    They are steps by the golden ratio around the vocabulary: no generator is asked.
    """
    steps = torch.arange(1 + start, 1 + start + count, dtype=torch.float64) * 0.6180339887498949
    return ((steps % 1) * vocabulary).long()
