"""The halves of a model of either kind: what makes the states that predict a response, and the logits of them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from bench.models.packing.decoder import Decoder, decoder_of, pretrained_in, varied
from bench.models.packing.encoder_decoder import EncoderDecoder, encoder_decoder_of
from bench.models.packing.layout import Group

CHECKED_TOKENS = 12


class Halves(Protocol):
    """What is asked of a model whatever its kind, once its states are there."""

    @property
    def vocabulary(self) -> int:
        """How many logits it has."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it is."""
        ...

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32 logits. Shape: hidden's, with the width replaced by the vocabulary."""
        ...


def halves_of(model: nn.Module) -> Decoder | EncoderDecoder:
    """Return the halves of a causal or an encoder-decoder language model, LoRA layers included; see ``decoder_of``."""
    whole = pretrained_in(model)
    return encoder_decoder_of(whole) if whole.config.is_encoder_decoder else decoder_of(model)


@torch.inference_mode()
def check_halves(model: nn.Module) -> None:
    """Do nothing when the halves together are the model; raise StageError for an architecture where they are not.

    Some architectures change the logits after the head; a wrong likelihood must not pass in silence. The tokens differ
    from each other, and both ways take the same operations, so that what a bound does to small logits is seen.
    """
    halves, own = halves_of(model), pretrained_in(model)
    tokens = varied(CHECKED_TOKENS, halves.vocabulary)
    ids = tokens[None].to(halves.device)
    if isinstance(halves, EncoderDecoder):
        # Behind the prompt one more token, from which nothing is predicted.
        found = halves.logits(halves.states([Group(tokens.tolist(), [[*tokens.tolist(), 0]])], pad_id=0))[None]
        start = torch.full((1, 1), halves.start, device=halves.device)
        whole = own(input_ids=ids, decoder_input_ids=torch.cat([start, ids], dim=1), use_cache=False).logits.float()
    else:
        places = torch.arange(CHECKED_TOKENS, device=halves.device)[None]
        found = halves.logits(halves.hidden(ids, attention_mask=None, position_ids=places))
        whole = own(input_ids=ids, use_cache=False).logits.float()
    allowed = 16 * torch.finfo(own.dtype).eps
    if not torch.allclose(found, whole, rtol=allowed, atol=allowed * float(whole.abs().max())):
        raise StageError(
            f"{type(own).__name__} changes its logits after the head in a way this program does not know. "
            "Use another architecture, or teach bench/models/packing/ this one."
        )
