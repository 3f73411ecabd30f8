"""An encoder-decoder model taken apart: what reads the prompt, what writes the response, and the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from bench.core.errors import StageError
from bench.models.packing.layout import Group

# The kinds of T5 that scale their states where embeddings and head are tied (transformers 5.23); T5 itself says it by
# ``scale_decoder_outputs``, and mT5 never does. What is wrong here does not pass ``check_halves``.
_SCALED = ("umt5", "switch_transformers")


@dataclass(frozen=True)
class EncodedPrompts:
    """Prompts as the encoder has read them, padded on the right.

    ``states`` (rows, length, width); ``mask`` (rows, length) is True on the prompts' tokens.
    """

    states: Tensor
    mask: Tensor

    def of(self, rows: Tensor) -> EncodedPrompts:
        """Return some of the rows by their numbers, each as often as it is named."""
        return EncodedPrompts(self.states.index_select(0, rows), self.mask.index_select(0, rows))


@dataclass(frozen=True)
class EncoderDecoder:
    """The parts of an encoder-decoder model, and what it does around its head.

    ``start``: the token that the decoder reads before a response (``decoder_start_token_id``). ``scale`` multiplies the
    decoder's states before the head: d_model^-0.5 in the first T5 (arXiv:1910.10683), 1 in T5 1.1 and Flan-T5. ``bias``
    (vocabulary,) is added to the logits (BART's ``final_logits_bias``).
    """

    whole: PreTrainedModel
    encoder: nn.Module
    decoder: nn.Module
    head: nn.Module
    vocabulary: int
    device: torch.device
    start: int
    scale: float = 1.0
    bias: Tensor | None = None

    def encode(self, prompts: Sequence[Sequence[int]], pad_id: int) -> EncodedPrompts:
        """Return prompts of ids as the encoder reads them; no row attends to its padding."""
        ids = pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True, padding_value=pad_id)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(self.device)
        found = self.encoder(input_ids=ids.to(self.device), attention_mask=mask.long())
        return EncodedPrompts(found.last_hidden_state, mask)

    def read(self, ids: Tensor, prompts: EncodedPrompts, cache: Any) -> tuple[Tensor, Any]:
        """Return the decoder's last states of tokens, (rows, length, width), and the cache, which has read them too.

        ``cache``: what an earlier call returned, None for the first.
        """
        found = self.decoder(
            input_ids=ids,
            encoder_hidden_states=prompts.states,
            encoder_attention_mask=prompts.mask.long(),
            past_key_values=cache,
            use_cache=True,
        )
        return found.last_hidden_state, found.past_key_values

    def states(self, groups: Sequence[Group], pad_id: int) -> Tensor:
        """Return the decoder's last states that predict the response tokens, in order. Shape: (tokens, width).

        The encoder reads each prompt once for all its responses. Every response is a row of the decoder, padded on the
        right, where no state that is read can see it.
        """
        prompts = self.encode([group.prompt for group in groups], pad_id)
        owners = [number for number, group in enumerate(groups) for _ in group.responses]
        rows = [torch.tensor([self.start, *response[:-1]]) for group in groups for response in group.responses]
        ids = pad_sequence(rows, batch_first=True, padding_value=pad_id).to(self.device)
        own = prompts.of(torch.tensor(owners, device=self.device))
        found = self.decoder(
            input_ids=ids,
            encoder_hidden_states=own.states,
            encoder_attention_mask=own.mask.long(),
            use_cache=False,
        ).last_hidden_state
        lengths = torch.tensor([len(row) for row in rows])
        there = torch.arange(ids.shape[1]) < lengths[:, None]
        return found[there.to(self.device)]

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits. Shape: hidden's, with the width replaced by the vocabulary."""
        scaled = hidden if self.scale == 1.0 else hidden * self.scale
        logits = self.head(scaled)
        return (logits if self.bias is None else logits + self.bias).float()


def encoder_decoder_of(whole: PreTrainedModel) -> EncoderDecoder:
    """Return the parts of an encoder-decoder model; raises StageError where it does not say how a response begins."""
    head, config = whole.get_output_embeddings(), whole.config
    settings = whole.generation_config
    named = getattr(settings, "decoder_start_token_id", None)
    start = named if named is not None else getattr(config, "decoder_start_token_id", None)
    if head is None or start is None:
        lacking = "language-model head" if head is None else "decoder_start_token_id in its configuration"
        raise StageError(f"{type(whole).__name__} has no {lacking}. Give an encoder-decoder model that has one.")
    scaled = getattr(config, "scale_decoder_outputs", config.model_type in _SCALED and config.tie_word_embeddings)
    bias = getattr(whole, "final_logits_bias", None)
    return EncoderDecoder(
        whole=whole,
        encoder=whole.get_encoder(),
        decoder=whole.get_decoder(),
        head=head,
        vocabulary=int(head.weight.shape[0]),
        device=whole.device,
        start=int(start),
        scale=float(whole.model_dim**-0.5) if scaled else 1.0,
        bias=None if bias is None else bias[0],
    )
