"""A tiny model made in memory, rows to train it on, and a way to run stages without a runner."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bench.core.data import Data
from bench.core.files import digest_of_folder
from bench.core.frozen import digest_of_file
from bench.core.policy import Pretrained
from bench.core.stage import Progress, Stage, StageIO

LETTERS = "abcdefghijklmnopqrstuvwxyz ?."


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per letter, with separate beginning, end and padding tokens."""
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", *LETTERS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    made.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def model(seed: int = 0, hidden: int = 16) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=4 + len(LETTERS),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        return LlamaForCausalLM(config)


@cache
def saved(seed: int, hidden: int) -> dict[str, bytes]:
    """The files of a model and its tokenizer."""
    with tempfile.TemporaryDirectory() as folder:
        model(seed, hidden).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def pretrained(folder: Path, seed: int = 0, hidden: int = 16) -> Pretrained:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in saved(seed, hidden).items():
        (folder / name).unlink(missing_ok=True)  # a loaded model may still look into the file that was there
        (folder / name).write_bytes(content)
    return Pretrained(path=str(folder), digest=digest_of_folder(folder), template="{prompt}?")


DEMONSTRATIONS = [
    {"prompt": "ask one", "response": "red."},
    {"prompt": "ask two", "response": "green tea."},
    {"prompt": "ask three", "response": "blue."},
    {"prompt": "tell four", "response": "some grey."},
    {"prompt": "tell five", "response": "pink."},
    {"prompt": "tell six", "response": "a black cat."},
    {"prompt": "say seven", "response": "white."},
    {"prompt": "say eight", "response": "so."},
]
PREFERENCES = [
    {"prompt": row["prompt"], "chosen": row["response"], "rejected": "no" + " no" * (number % 3) + "."}
    for number, row in enumerate(DEMONSTRATIONS)
]


def data(path: Path, rows: list[dict[str, Any]], **fields: Any) -> Data:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Data(path=str(path), digest=digest_of_file(path), **fields)


class Bench:
    """Runs stages and those they rest on, each once, in folders below one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[str] = []
        self.ios: dict[str, StageIO] = {}

    def payload(self, stage: Stage) -> Path:
        if stage.key not in self.ios:
            self.run(stage)
        return self.ios[stage.key].out

    def run(self, stage: Stage, on_progress: Callable[[Progress], None] = lambda _progress: None) -> StageIO:
        io = self.io(stage.key, on_progress)
        stage.run(io)
        self.ios[stage.key] = io
        self.ran.append(stage.KIND)
        return io

    def io(self, name: str = "stage", on_progress: Callable[[Progress], None] = lambda _progress: None) -> StageIO:
        out, scratch = self.root / name / "out", self.root / name / "scratch"
        out.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        return StageIO(out=out, scratch=scratch, read_payload=self.payload, on_progress=on_progress)


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
