"""How far a model with packed weights is from the model that it was, on a fixed text."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.core.policy import LoadIn

# Any text of ordinary words will do; it is this program's own, and the same for all models.
TEXT = (
    "A good answer says what is known, what is not known, and how one could find out. When somebody asks for help with "
    "a letter, read it twice, keep what they meant to say, and write it in fewer words. The bridge was closed for nine "
    "days in March, because the river had carried away a part of the bank; 1,200 people took the ferry instead."
)
TOKENS = 64  # at most; what a model can read is more


@dataclass(frozen=True)
class QuantisedModel:
    """What packing did to a model.

    ``packed`` of ``weights`` are kept in ``load_in``. On the ``tokens`` of a fixed text: ``kl``, the mean KL divergence
    from the original model's distribution of the next token to the packed one's in nats, and ``shift``, the mean of how
    far the log-probability of the text's own token moved.
    """

    load_in: LoadIn
    packed: int
    weights: int
    tokens: int
    kl: float
    shift: float

    def told(self) -> dict[str, object]:
        """Return the same as an entry of ``diagnostics.json``."""
        return {"quantised": asdict(self)}


def text_logprobs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of every next token of the text, (tokens, vocabulary) float32, and the tokens."""
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.tensor([tokenizer(TEXT)["input_ids"][: TOKENS + 1]]).clamp_max(size - 1).to(model.device)
    with torch.inference_mode():
        if model.config.is_encoder_decoder:
            logits = model(input_ids=ids, decoder_input_ids=ids, use_cache=False).logits
        else:
            logits = model(input_ids=ids, use_cache=False).logits
    return logits[0, :-1].float().log_softmax(-1), ids[0, 1:]


def distance(before: Tensor, after: Tensor, tokens: Tensor) -> tuple[float, float]:
    """Return (KL, shift) of ``QuantisedModel`` from two models' log-probabilities of the same text."""
    kl = (before.double().exp() * (before.double() - after.double())).sum(-1).mean()
    shift = (after - before).gather(-1, tokens[:, None]).abs().mean()
    return float(kl), float(shift)
