"""A causal language model taken apart: the decoder that makes hidden states, and the head that makes logits."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from bench.core.errors import StageError
from bench.models.packing.attention import Packing


@dataclass(frozen=True)
class Decoder:
    """The two halves of a causal language model, and what its configuration does to the logits after the head.

    ``takes_positions``: whether positions can be given. ``scale`` multiplies the logits; ``softcap`` c bounds them by
    c * tanh(logits / c) (Gemma 2, arXiv:2408.00118).
    """

    causal: PreTrainedModel
    backbone: nn.Module
    head: nn.Module
    vocabulary: int
    device: torch.device
    takes_positions: bool = True
    scale: float = 1.0
    softcap: float | None = None

    def hidden(
        self,
        ids: Tensor,
        *,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        cache: Cache | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Return the last hidden states. Shape: (batch, length, width); ``cache`` grows by the new positions.

        A model that takes no positions (recurrent ones, those with a bias by distance) is given none.
        """
        extra: dict[str, Any] = {"position_ids": position_ids} if self.takes_positions else {}
        if cache is not None:
            extra["past_key_values"] = cache
        if packing is not None:
            extra["packing"] = packing
        found = self.backbone(input_ids=ids, attention_mask=attention_mask, use_cache=cache is not None, **extra)
        return found.last_hidden_state

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
    causal = next((part for part in model.modules() if isinstance(part, PreTrainedModel)), None)
    if causal is None:
        raise StageError(f"{type(model).__name__} is no causal language model of transformers.")
    head = causal.get_output_embeddings()
    if head is None or causal.base_model is causal:
        raise StageError(f"{type(causal).__name__} has no language-model head. Give a causal language model.")
    settings = causal.config.to_dict()
    # Granite divides its logits by one entry, Cohere multiplies by the other.
    scale = float(settings.get("logit_scale") or 1.0) / float(settings.get("logits_scaling") or 1.0)
    return Decoder(
        causal=causal,
        backbone=causal.base_model,
        head=head,
        vocabulary=int(head.weight.shape[0]),
        device=causal.device,
        takes_positions="position_ids" in inspect.signature(causal.base_model.forward).parameters,
        scale=scale,
        softcap=settings.get("final_logit_softcapping"),
    )


@torch.inference_mode()
def check_halves(model: nn.Module) -> None:
    """Do nothing when decoder and head together are the model; raise StageError for an architecture where they are not.

    Some architectures change the logits after the head; a wrong likelihood must not pass in silence.
    """
    decoder = decoder_of(model)
    ids = torch.zeros((1, 2), dtype=torch.long, device=decoder.device)
    places = torch.arange(2, device=decoder.device)[None]
    halves = decoder.logits(decoder.hidden(ids, attention_mask=None, position_ids=places))
    whole = decoder.causal(input_ids=ids, use_cache=False).logits.float()
    rounding = 1e-3 if decoder.causal.dtype == torch.float32 else 0.02
    if not torch.allclose(halves, whole, rtol=rounding, atol=rounding * max(1.0, float(whole.abs().max()))):
        raise StageError(
            f"{type(decoder.causal).__name__} changes its logits after the head in a way this program does not know. "
            "Use another architecture, or teach bench/models/packing/decoder.py this one."
        )
