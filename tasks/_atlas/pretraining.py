"""Pretraining a base model of the world. Imports torch: only ``PretrainAtlas.run`` may import this module."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.core.policy import Built
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.load import PAYLOAD, save_weights
from methods._train.loop.loop import LossSum, Training, fit
from tasks._atlas.fields import Pretraining
from tasks._atlas.tokenizer import BOS, BOT, EOS, USER, build_tokenizer
from tasks._atlas.writing import PretrainingText, documents

CONTEXT = 512
DOCUMENTS_AT_ONCE = 512


def pretrain(stage: Pretraining, io: StageIO) -> None:
    """Train a base model as the stage says, and write it to ``io.out / "policy"``."""
    tokenizer = build_tokenizer(stage.world_seed)
    model = new_model(stage, len(tokenizer)).to(torch.device(io.device))
    rows = list(packed_rows(stage, tokenizer).to(torch.device(io.device)))
    begin = int(tokenizer.bos_token_id)

    def loss_of(batch: Sequence[Tensor]) -> LossSum:
        return causal_loss(model, torch.stack(list(batch)), begin)

    lengths = [stage.row_tokens] * len(rows)
    fit(Training(model, rows, lengths, loss_of), stage.optimisation, io, budget=None, seed=stage.seed)
    save_weights(HFPolicy(Built(by=stage), model, tokenizer), io.out / PAYLOAD)


def new_model(stage: Pretraining, vocabulary: int) -> LlamaForCausalLM:
    """Return a Llama with random weights from the stage's seed: matrices normal around 0, norms 1."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=stage.shape.width,
        num_hidden_layers=stage.shape.layers,
        num_attention_heads=stage.shape.heads,
        num_key_value_heads=stage.shape.heads,
        intermediate_size=stage.shape.inner,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(stage.seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.ndim > 1:
                parameter.normal_(0.0, stage.initial_deviation, generator=generator)
            else:
                parameter.fill_(1.0)
    return model


def packed_rows(stage: Pretraining, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Return documents one after the other, cut into rows. Shape: (steps * batch size, row_tokens)."""
    needed = stage.steps * stage.optimisation.batch_size * stage.row_tokens
    stream = documents(stage.world_seed, stage.seed)
    found: list[int] = []
    while len(found) < needed:
        texts = [laid_out(document) for document in islice(stream, DOCUMENTS_AT_ONCE)]
        for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
            found.extend(ids)
    return torch.tensor(found[:needed]).view(-1, stage.row_tokens)


def laid_out(document: PretrainingText) -> str:
    """Return a document as the chat template would lay it out; a bare statement has no turns."""
    turns = "" if document.prompt is None else f"{USER}{document.prompt}{BOT}"
    return f"{BOS}{turns}{document.text}{EOS}"


def causal_loss(model: LlamaForCausalLM, ids: Tensor, begin: int) -> LossSum:
    """Return the next-token loss of packed rows, summed over tokens. ``ids`` has shape (rows, tokens).

    Positions start anew at every beginning token, from which transformers infers that attention must not cross
    documents. Measured at 600 steps of the smallest size: facts of the most exposed fifth 0.64 known instead of 0.14.
    """
    places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    starts = torch.where(ids == begin, places, 0).cummax(dim=1).values
    logits = model(ids, position_ids=places - starts, use_cache=False).logits[:, :-1].float()
    total = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")
    return LossSum(total, weight=ids[:, 1:].numel())
