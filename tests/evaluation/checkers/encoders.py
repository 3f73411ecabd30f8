"""Tiny random encoders of transformers, saved with their tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from bench.core.files import digest_of_folder

SPECIAL = ("<pad>", "<unk>", "<cls>", "<sep>")
WORDS = [*SPECIAL, "paris", "rome", "is", "the", "capital", "of", "france", "italy", "big", "a", "city", "lies", "sea"]


def encoder(folder: Path, cls: type[PreTrainedModel], seed: int = 0, **settings: Any) -> dict[str, str]:
    """Save a tiny random encoder with its tokenizer; return its path and digest."""
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<cls> $A <sep>", pair="<cls> $A <sep> $B:1 <sep>:1", special_tokens=[("<cls>", 2), ("<sep>", 3)]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", cls_token="<cls>", sep_token="<sep>"
    )
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=24, initializer_range=0.5, pad_token_id=0, **settings,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        cls(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return {"path": str(folder), "digest": digest_of_folder(folder)}


def classifier(folder: Path, **settings: Any) -> dict[str, str]:
    labels = {0: "CONTRADICTION", 1: "Entailment", 2: "neutral"}
    return encoder(folder, BertForSequenceClassification, id2label=labels, num_labels=3, **settings)
