"""Checkpoints as others save them: in shards, with a tied head, pickled, as an adapter; all is known at plan."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.config.fields.named_files import digest_of_gguf, digest_of_model
from bench.core.errors import DataError
from bench.core.policy import Pretrained
from bench.core.task import user
from bench.models.load import load_policy
from tests.methods.tiny import LETTERS, Bench, tokenizer


def tied(folder: Path, shard: str = "1GB") -> LlamaForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 4 + len(LETTERS)}
    with torch.random.fork_rng():
        made = LlamaForCausalLM(LlamaConfig(**sizes, **ids, tie_word_embeddings=True))
    made.save_pretrained(folder, max_shard_size=shard)
    tokenizer().save_pretrained(folder)
    return made


def logprob(folder: Path, bench: Bench) -> float:
    return load_policy(Pretrained(path=str(folder)), bench.io()).loglikelihood([(user("ask"), "red.")])[0].logprob


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        digest_of_model(folder)
    return str(refused.value)


def test_shards_and_a_tied_head_are_one_model(tmp_path: Path) -> None:
    made = tied(tmp_path / "shards", "4KB")
    made.save_pretrained(tmp_path / "whole")
    tokenizer().save_pretrained(tmp_path / "whole")
    assert digest_of_model(tmp_path / "shards") and len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())
    assert "lm_head.weight" not in index["weight_map"]
    bench = Bench(tmp_path)
    assert logprob(tmp_path / "shards", bench) == logprob(tmp_path / "whole", bench)


def test_what_is_missing_of_shards_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    tied(folder, "4KB")
    index, second = folder / "model.safetensors.index.json", sorted(folder.glob("*.safetensors"))[1]
    content, text = second.read_bytes(), index.read_text()
    second.unlink()
    assert f"names {second.name}, which is not in the folder" in refusal(folder)
    second.write_bytes(content)
    named = json.loads(text)
    named["weight_map"]["model.layers.9.x"] = second.name
    index.write_text(json.dumps(named))
    assert "names model.layers.9.x, which none of its files holds" in refusal(folder)
    index.unlink()
    assert "neither model.safetensors nor model.safetensors.index.json" in refusal(folder)


def test_pickled_weights_come_with_the_command_that_converts_them(tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    made = tied(folder)
    (folder / "model.safetensors").unlink()
    torch.save(made.state_dict(), folder / "pytorch_model.bin")
    said = refusal(folder)
    assert "pickled weights, which are programs" in said
    command = shlex.split(said.splitlines()[-1])
    assert command[:2] == ["python", "-c"]
    exec(command[2], {})
    assert digest_of_model(folder) and logprob(folder, Bench(tmp_path)) < 0


def test_an_adapter_given_as_a_base_says_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    said = refusal(tmp_path)
    assert "holds an adapter of org/base" in said and "`adapter: " in said
    (tmp_path / "adapter_config.json").write_text("{")
    assert "holds an adapter (adapter_config.json)" in refusal(tmp_path)


def test_a_gguf_file_is_named_by_its_own_key(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    assert "name it with `gguf:`" in refusal(file)
    assert "/m.gguf`" in refusal(tmp_path)
    with pytest.raises(DataError, match=r"ends with \.gguf"):
        digest_of_gguf(tmp_path)
