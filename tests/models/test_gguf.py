"""A GGUF file is a base: its header says what it is, its weights are those that were written, and it is trained on."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.cli.app import main
from bench.config.fields.named_files import digest_of_gguf
from bench.core.errors import DataError
from bench.core.formats.gguf_header import header_of
from bench.core.frozen import digest_of_file
from bench.core.method import Given, Lora
from bench.core.policy import Decoding, Pretrained, Tuned
from bench.core.task import user
from bench.models.count_lengths import reader_of
from bench.models.load import load_policy, load_whole, save_weights
from methods.sft import SFT
from tests.methods.tiny import Bench, data, log, model
from tests.whole import write_whole

PAIRS = [(user("ask one"), "red."), (user("tell me four words"), "green tea.")]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(path: Path, entries: dict[str, Any], tensors: int = 1, data: bytes = b"\0" * 64) -> Path:
    """A file with text entries, a list of words, and tensors of 8 float32 numbers."""
    content = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries) + 1)
    for name, value in entries.items():
        content += text(name) + struct.pack("<I", 8) + text(value)
    content += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
    for number in range(tensors):
        content += text(f"blk.{number}.w") + struct.pack("<IQQIQ", 2, 4, 2, 0, 32 * number)
    path.write_bytes(content + b"\0" * (-len(content) % 32) + data)
    return path


def test_the_header_says_what_it_is(tmp_path: Path) -> None:
    found = header_of(header(tmp_path / "m.gguf", {"general.architecture": "llama"}, tensors=2), "m")
    assert (found.architecture, found.shapes) == ("llama", {"blk.0.w": (2, 4), "blk.1.w": (2, 4)})


@pytest.mark.parametrize(
    ("entries", "kept", "said"),
    [
        ({"general.architecture": "llama", "general.type": "adapter"}, None, "of the type 'adapter'"),
        ({"general.name": "x"}, None, "without a model"),
        ({"general.architecture": "llama"}, -40, "its header tells of at least"),
        ({"general.architecture": "llama"}, 60, "cannot be read, or cut off"),
        ({"general.architecture": "llama"}, 3, "no GGUF file"),
    ],
)
def test_what_is_no_whole_model_is_refused(
    entries: dict[str, Any], kept: int | None, said: str, tmp_path: Path
) -> None:
    file = header(tmp_path / "m.gguf", entries, data=b"\0" * 32)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=said):
        digest_of_gguf(file)


def test_a_plan_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.config.fields.named_files.find_spec", lambda _name: None)
    header(tmp_path / "m.gguf", {"general.architecture": "llama"})
    comparison = (
        "question: Is it read?\ngiven: {base: {gguf: ../../m.gguf}, seeds: [0]}\nmethods: {base: {}}\n"
        "evaluate: {tasks: [{task: prompts, path: ../../prompts.jsonl}]}\n"
    )
    with pytest.raises(SystemExit):
        main(["plan", str(write_whole(tmp_path, comparison))])
    said = " ".join("".join(capsys.readouterr()).split())
    assert "needs the package gguf" in said and "pip install 'alignment-bench[gguf]'" in said


def written(path: Path) -> torch.nn.Module:
    """Write a tiny Llama as llama.cpp's converter does: its queries and keys in another order, its words as bytes."""
    gguf = pytest.importorskip("gguf", reason="gguf is not installed (extra gguf)")
    net = model(seed=3, hidden=16)
    config, writer = net.config, gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    letters = [chr(ord("a") + place) for place in range(26)] + ["Ġ", ".", "ab"]
    tokens = ["<pad>", "<bos>", "<eos>", "<unk>", *letters]
    assert len(tokens) == config.vocab_size
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, 3, *[1] * len(letters)])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    names = {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight", "model.layers.": "blk.", "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm", "input_layernorm": "attn_norm",
    }  # fmt: skip
    for name, weight in net.state_dict().items():
        values = weight.float()
        if "q_proj" in name or "k_proj" in name:
            heads = config.num_attention_heads
            values = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1]).swapaxes(1, 2)
            values = values.reshape(weight.shape)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, values.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return net


def test_it_is_loaded_read_and_trained_on(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    net = written(file)
    spec, bench = Pretrained(path=str(file), digest=digest_of_gguf(file)), Bench(tmp_path)
    assert spec.digest == digest_of_file(file)
    policy = load_policy(spec, bench.io()).parts[0]
    theirs = dict(policy.model.named_parameters())
    for name, weight in net.named_parameters():
        assert torch.allclose(theirs[name], weight, atol=1e-6), name
    assert not hasattr(policy.model.config, "quantization_config")
    reader = reader_of(spec)
    assert reader.response("red.") == policy.response("red.") and policy.text(policy.response("red.")) == "red."
    assert policy.generate([PAIRS[0][0]], Decoding(temperature=0, max_new_tokens=4), seeds=[0])[0].tokens
    before = policy.loglikelihood(PAIRS)
    save_weights(load_whole(spec, bench.io()), tmp_path / "saved")
    saved = load_policy(Pretrained(path=str(tmp_path / "saved")), bench.io()).loglikelihood(PAIRS)
    assert [one.logprob for one in saved] == pytest.approx([one.logprob for one in before], abs=1e-4)
    rows = data(tmp_path / "rows.jsonl", [{"prompt": chat[0].content, "response": said} for chat, said in PAIRS])
    given = Given(base=spec, demonstrations=rows, lora=Lora(rank=2), seed=0, max_length=64)
    tuned = SFT.model_validate({"lr": 1e-2, "epochs": 4, "batch_size": 2}).policy(given)
    assert isinstance(tuned, Tuned)
    losses = [row["loss"] for row in log(bench.payload(tuned.by))]
    assert losses[-1] < losses[0]
