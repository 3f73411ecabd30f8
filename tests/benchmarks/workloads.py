"""The models and data of the benchmarks: random weights and random tokens, since speed does not depend on them."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.core.policy import Pretrained
from bench.core.stage import Stage, StageIO
from bench.models.hf import HFPolicy

VOCABULARY = 1000
END = 2
FIRST = 3  # ids below are padding, beginning and end


@dataclass(frozen=True)
class Size:
    """The shape of a Llama."""

    name: str
    width: int
    inner: int
    layers: int
    heads: int
    vocabulary: int = VOCABULARY

    def model(self, seed: int = 0) -> LlamaForCausalLM:
        config = LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=END,
        )
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(seed)
            return LlamaForCausalLM(config)

    def matrices(self) -> int:
        """Return the parameters of the layers' matrices, embedding and head not included."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.inner)


TINY = Size("Llama 0.86M", 128, 304, 4, 4)
SMALL = Size("Llama 10M", 320, 864, 8, 5)
LARGE = Size("Llama 100M", 768, 2048, 14, 12)
WIDE = Size("Llama, vocabulary 150k, width 64", 64, 128, 2, 2, vocabulary=150_000)


def tokenizer(vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Token i is the word ``i``, except for the three special ones."""
    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2, **{str(number): number for number in range(FIRST, vocabulary)}}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


@dataclass(frozen=True)
class Pair:
    """A prompt and two responses as ids; the responses end with the end token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    def tokens(self) -> int:
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


def pairs(count: int, prompt: int, response: int, *, seed: int = 0, vocabulary: int = VOCABULARY) -> list[Pair]:
    """Return pairs whose lengths are uniform between 0.5 and 1.5 times those given."""
    generator = np.random.default_rng(seed)

    def ids(mean: int) -> list[int]:
        length = int(generator.integers(mean // 2, mean + mean // 2 + 1))
        return [int(token) for token in generator.integers(FIRST, vocabulary, size=length)]

    return [Pair(ids(prompt), [*ids(response)[:-1], END], [*ids(response)[:-1], END]) for _ in range(count)]


def text(ids: Sequence[int]) -> str:
    return " ".join(str(token) for token in ids if token >= FIRST)


def policy(model: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> HFPolicy:
    return HFPolicy(Pretrained(repo="random/weights"), copy.deepcopy(model), words)


def stage_io() -> StageIO:
    """Return folders for one training; they go with the process's temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))

    def nothing(stage: Stage) -> Path:
        raise KeyError(stage.label())

    return StageIO(out=folder, scratch=folder, read_payload=nothing)
