"""Decoding with an encoder-decoder model: prompts are read once, and what is written has a cache of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.models.packing.encoder_decoder import EncoderDecoder


class EncodedSession:
    """A decoding session over prompts of ids, one row each; fulfils ``bench.models.decoding.sampling.Steps``.

    Equal prompts (several samples of one) are encoded once. All rows are as long as each other in the decoder, so that
    none has padding there; the encoder's is masked.
    """

    def __init__(self, halves: EncoderDecoder, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        numbers: dict[tuple[int, ...], int] = {}
        which = [numbers.setdefault(tuple(prompt), len(numbers)) for prompt in prompts]
        self._halves = halves
        rows = torch.tensor(which, device=halves.device)
        self._prompts = halves.encode(list(numbers), pad_id).of(rows)
        start = torch.full((len(prompts), 1), halves.start, device=halves.device)
        self._hidden, self._cache = halves.read(start, self._prompts, None)

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._halves.logits(self._hidden[:, -1])

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        self._hidden, self._cache = self._halves.read(tokens[:, None], self._prompts, self._cache)

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers."""
        self._prompts = self._prompts.of(rows)
        self._hidden = self._hidden.index_select(0, rows)
        self._cache.reorder_cache(rows)
