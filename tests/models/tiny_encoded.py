"""Tiny random encoder-decoder models made in memory: T5, Flan-T5 (another head, no scale) and BART."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from bench.core.files import digest_of_folder
from bench.core.policy import Kept, Pretrained
from tests.methods.tiny import LETTERS

Kind = Literal["t5", "flan", "bart"]
KINDS: tuple[Kind, ...] = ("t5", "flan", "bart")
VOCABULARY = 4 + len(LETTERS)


def tokenizer(kind: Kind) -> PreTrainedTokenizerFast:
    """One token per letter; around a text it puts what the tokenizer of this family does."""
    vocabulary = {token: number for number, token in enumerate(["<pad>", "</s>", "<unk>", "<s>", *LETTERS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    made.decoder = decoders.Fuse()
    around = "<s> $A </s>" if kind == "bart" else "$A </s>"
    made.post_processor = processors.TemplateProcessing(single=around, special_tokens=[("<s>", 3), ("</s>", 1)])
    begin = {"bos_token": "<s>"} if kind == "bart" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", **begin
    )


def model(kind: Kind, seed: int = 0) -> PreTrainedModel:
    sizes = {"vocab_size": VOCABULARY, "d_model": 16}
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        if kind == "bart":
            layers = {f"{half}_{name}": 2 for half in ("encoder", "decoder") for name in ("layers", "attention_heads")}
            inner = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 96, "init_std": 0.3}
            ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "decoder_start_token_id": 1}
            forced = {"forced_eos_token_id": None}
            return BartForConditionalGeneration(BartConfig(**sizes, **layers, **inner, **ids, **forced)).eval()
        form = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if kind == "flan" else {}
        rest = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
        made = T5ForConditionalGeneration(T5Config(**sizes, **rest, **form))
        if kind == "flan":  # as in the files of Flan-T5; transformers would tie it
            made.lm_head.weight = torch.nn.Parameter(0.3 * torch.randn(made.shared.weight.shape))
        return made.eval()


@cache
def saved(kind: Kind, seed: int) -> dict[str, bytes]:
    """The files of a model and its tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        model(kind, seed).save_pretrained(folder)
        tokenizer(kind).save_pretrained(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def pretrained(folder: Path, kind: Kind, seed: int = 0, dtype: Kept = "float32") -> Pretrained:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in saved(kind, seed).items():
        (folder / name).write_bytes(content)
    return Pretrained(path=str(folder), digest=digest_of_folder(folder), dtype=dtype)
