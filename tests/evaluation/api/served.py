"""A real OpenAI-compatible server in a process of its own: ``transformers serve`` with a tiny random model."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.evaluation.api.asking_process import judge, pairs
from tests.evaluation.judges.scripted import CHARACTERS, tokenizer

START_SECONDS = 120.0


def write_judge(folder: Path) -> Path:
    """Write a model that reads a character per token and answers every question with "1" or "2"."""
    characters = tokenizer()
    characters.chat_template = "{% for turn in messages %}{{ turn['content'] }}{% endfor %}\n"
    characters.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=4 + len(CHARACTERS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=1024,
        initializer_range=1.0,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        direction = telling_apart(model, characters)
        model.lm_head.weight.zero_()
        model.lm_head.weight[characters.convert_tokens_to_ids("1")] = 50 * direction
        model.lm_head.weight[characters.convert_tokens_to_ids("2")] = -50 * direction
    model.save_pretrained(folder)
    return folder


def telling_apart(model: LlamaForCausalLM, characters: PreTrainedTokenizerFast) -> torch.Tensor:
    """Return the direction in which the model's last states on questions differ most, the mean being at 0."""
    questions = judge("http://127.0.0.1/v1").questions_on(pairs(1000)[::29])
    texts = [f"{question.chat[0].content}\n" for question in questions]
    states = [
        model.model(torch.tensor([characters(text, add_special_tokens=False)["input_ids"]])).last_hidden_state[0, -1]
        for text in texts
    ]
    stacked = torch.stack(states)
    mean = stacked.mean(0)
    # Without what lies along the mean, whose sign is the same for every text.
    apart = (stacked - mean) - torch.outer((stacked - mean) @ mean, mean) / (mean @ mean)
    return torch.linalg.svd(apart).Vh[0]


@contextmanager
def transformers_serve(model: Path) -> Iterator[str]:
    """Yield the address of a server of that model."""
    pytest.importorskip("uvicorn", reason="transformers[serving] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [program, "serve", model, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (model / "server.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen([str(part) for part in command], env=env, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    raise AssertionError("the server did not start; its log is beside the model")
