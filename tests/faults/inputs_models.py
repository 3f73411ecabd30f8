"""Model folders that nobody can train or ask: refused when they are planned, and when they are loaded all the same."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

from tests.faults._model_folders import Change, _loaded, _planned, _put, _right, _text
from tests.faults.case import Case

TITLE = "model folders that cannot be used"
IN_SUITE = 3

# What only the model's own code can tell, which a plan does not load: refused before anything is computed with it.
LATER = (
    "config: GPT-2 over Llama's weights",
    "config: activation unknown",
    "weights: a tensor lacks",
    "weights: a layer lacks",
)


def cases() -> list[Case]:
    """Return the cases: every folder planned, then loaded."""
    both = {
        **{f"config: {name}": _config(keys) for name, keys in CONFIGS.items()},
        **{f"config: {name}": _text("config.json", text) for name, text in CONFIG_TEXTS.items()},
        **{f"weights: {name}": change for name, change in WEIGHTS.items()},
        **{f"folder: {name}": change for name, change in FOLDERS.items()},
    }
    return [
        *(_planned(name, change) for name, change in both.items() if name not in LATER),
        *(_loaded(name, change) for name, change in both.items()),
        _right("as it is", lambda folder: None),
    ]


ABSURD = {"a million": 10**6, "10^12": 10**12, "0": 0, "below 0": -2, "text": "many", "half": 1.5, "a list": [[]]}
CONFIGS: dict[str, dict[str, Any]] = {
    **{f"{key} {name}": {key: value} for key in (
        "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "vocab_size",
        "intermediate_size",
    ) for name, value in ABSURD.items()},
    "positions 0": {"max_position_embeddings": 0},
    "positions text": {"max_position_embeddings": "long"},
    "positions below 0": {"max_position_embeddings": -128},
    "head_dim of 10^9": {"head_dim": 10**9},
    "heads that do not divide": {"num_attention_heads": 3},
    "unknown type": {"model_type": "nonesuch", "architectures": ["NonesuchForCausalLM"]},
    "type of a number": {"model_type": 3},
    "no type": {"model_type": None, "architectures": None},
    "T5": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
    "T5, told": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True},
    "BART": {"model_type": "bart", "architectures": ["BartForConditionalGeneration"]},
    "LLaVA": {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]},
    "CLIP": {"model_type": "clip", "architectures": ["CLIPModel"]},
    "BERT": {"model_type": "bert", "architectures": ["BertModel"]},
    "BERT that says nothing": {"model_type": "bert", "architectures": None},
    "Whisper": {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]},
    "a classifier": {"architectures": ["LlamaForSequenceClassification"]},
    "code of its own": {
        "model_type": "mine", "architectures": ["MineForCausalLM"],
        "auto_map": {"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineForCausalLM"},
    },
    "GPT-2 over Llama's weights": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
    "architectures of numbers": {"architectures": [3]},
    "rope of text": {"rope_parameters": "x"},
    "activation unknown": {"hidden_act": "nonesuch"},
    "quantised by text": {"quantization_config": "x"},
    "long architecture": {"architectures": ["A" * 100_000]},
    "long type": {"model_type": "m" * 100_000, "architectures": ["LlamaForCausalLM"]},
}  # fmt: skip

CONFIG_TEXTS: dict[str, str] = {
    "empty": "",
    "not JSON": "{",
    "a list": "[]",
    "null": "null",
    "an empty object": "{}",
    "deep": "[" * 100_000,
    "deep within": '{"a": ' * 100_000 + "1" + "}" * 100_000,
    "digits": '{"hidden_size": ' + "9" * 5000 + "}",
    "surrogate": '{"model_type": "\\ud800"}',
    "long": '{"model_type": "llama", "x": "' + "a" * 30_000_000 + '"}',
    "a key twice": '{"model_type": "llama", "model_type": "t5"}',
}


def _config(keys: dict[str, Any]) -> Change:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        now = {**json.loads(file.read_text()), **keys}
        file.write_text(json.dumps({name: value for name, value in now.items() if value is not None}))

    return change


def _cut(keep: float) -> Change:
    def change(folder: Path) -> None:
        file = folder / "model.safetensors"
        os.truncate(file, int(file.stat().st_size * keep))

    return change


def _head(head: bytes | dict[str, Any], rest: bytes = b"", length: int | None = None) -> Change:
    def change(folder: Path) -> None:
        text = json.dumps(head).encode() if isinstance(head, dict) else head
        size = struct.pack("<Q", len(text) if length is None else length)
        (folder / "model.safetensors").write_bytes(size + text + rest)

    return change


def _number(value: float, name: str = "model.norm.weight") -> Change:
    def change(folder: Path) -> None:
        file = folder / "model.safetensors"
        content = bytearray(file.read_bytes())
        length = struct.unpack("<Q", content[:8])[0]
        begin = 8 + length + json.loads(content[8 : 8 + length])[name]["data_offsets"][0]
        content[begin : begin + 4] = struct.pack("<f", value)
        file.unlink()
        file.write_bytes(content)

    return change


def _without(name: str) -> Change:
    def change(folder: Path) -> None:
        from safetensors.torch import load_file, save_file  # noqa: PLC0415

        file = folder / "model.safetensors"
        tensors = {key: tensor.clone() for key, tensor in load_file(file).items() if key != name}
        file.unlink()
        save_file(tensors, file, metadata={"format": "pt"})

    return change


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"a": [1]}, file)


def _index(files: dict[str, str] | str) -> Change:
    def change(folder: Path) -> None:
        content = files if isinstance(files, str) else json.dumps({"metadata": {}, "weight_map": files})
        (folder / "model.safetensors.index.json").write_text(content)
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")

    return change


WEIGHTS: dict[str, Change] = {
    "empty": _cut(0),
    "four bytes": _text("model.safetensors", "abcd"),
    "half": _cut(0.5),
    "one byte less": _cut(0.99999),
    "text": _text("model.safetensors", "hello " * 100),
    "zeros": _head(b"", b"\0" * 5000),
    "a head of 2^60 bytes": _head(b"{}", length=2**60),
    "a head of no JSON": _head(b"{not json"),
    "a deep head": _head(b'{"a":' * 100_000),
    "a list for a head": _head(b"[]"),
    "no tensors": _head({}),
    "an entry of text": _head({"a": "b"}),
    "an unknown type": _head({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "a shape of 10^18": _head({"a": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}}, b"\0" * 4),
    "a shape below 0": _head({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "offsets turned": _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"\0" * 4),
    "offsets beyond": _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**9]}}, b"\0" * 4),
    "another model's": _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    "NaN": _number(float("nan")),
    "infinite": _number(float("inf")),
    "below infinite": _number(float("-inf"), "model.embed_tokens.weight"),
    "a tensor lacks": _without("model.norm.weight"),
    "a layer lacks": _without("model.layers.1.mlp.up_proj.weight"),
    "pickled only": _pickled,
    "a folder": _put("model.safetensors", Path.mkdir),
    "a named pipe": _put("model.safetensors", os.mkfifo),
    "a link to /dev/zero": _put("model.safetensors", lambda file: file.symlink_to("/dev/zero")),
    "a link to itself": _put("model.safetensors", lambda file: file.symlink_to(file)),
    "a link to nothing": _put("model.safetensors", lambda file: file.symlink_to("nowhere")),
    "a part lacks": _index({"model.norm.weight": "model-00001-of-00002.safetensors",
                            "lm_head.weight": "model-00002-of-00002.safetensors"}),
    "a broken index": _index("{"),
    "an index elsewhere": _index({"model.norm.weight": "../../x.safetensors"}),
    "pointers of Git LFS": _text(
        "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 100\n"
    ),
}  # fmt: skip


def _only(*keep: str, **texts: str) -> Change:
    def change(folder: Path) -> None:
        for path in list(folder.iterdir()):
            if path.name not in keep:
                path.unlink()
        for name, text in texts.items():
            (folder / name.replace("__", ".")).write_text(text)

    return change


def _adapter(folder: Path) -> None:
    _only("tokenizer.json", "tokenizer_config.json")(folder)
    text = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8, "target_modules": ["q"]})
    (folder / "adapter_config.json").write_text(text)
    _head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4)(folder)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


def _adapter_with_config(folder: Path) -> None:
    config = (folder / "config.json").read_text()
    _adapter(folder)
    (folder / "config.json").write_text(config)


def _sentences(folder: Path) -> None:
    _config({"model_type": "bert", "architectures": ["BertModel"]})(folder)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "type": "sentence_transformers.models.Transformer"}]))


def _gguf(folder: Path) -> None:
    _only()(folder)
    (folder / "model.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + bytes(100))


def _gguf_file(folder: Path) -> None:
    _only()(folder)
    folder.rmdir()
    folder.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + bytes(100))


def _as_file(content: bytes) -> Change:
    def change(folder: Path) -> None:
        _only()(folder)
        folder.rmdir()
        folder.write_bytes(content)

    return change


def _away(folder: Path) -> None:
    _only()(folder)
    folder.rmdir()


def _circle(folder: Path) -> None:
    _away(folder)
    folder.symlink_to(folder)


def _pipe(folder: Path) -> None:
    _away(folder)
    os.mkfifo(folder)


FOLDERS: dict[str, Change] = {
    "nothing there": _away,
    "empty": _only(),
    "only a config": _only("config.json"),
    "only weights": _only("model.safetensors"),
    "an adapter": _adapter,
    "an adapter with a config": _adapter_with_config,
    "sentence-transformers": _sentences,
    "a GGUF in it": _gguf,
    "a GGUF file": _gguf_file,
    "a file of weights": _as_file(b"\x02\0\0\0\0\0\0\0{}"),
    "a link to itself": _circle,
    "a named pipe": _pipe,
    "ONNX": _only("config.json", "tokenizer.json", model__onnx="x"),
    "TensorFlow": _only("config.json", "tokenizer.json", tf_model__h5="x"),
    "a config that is a folder": _put("config.json", Path.mkdir),
    "a config that is a pipe": _put("config.json", os.mkfifo),
    "a config that is /dev/zero": _put("config.json", lambda file: file.symlink_to("/dev/zero")),
    "a config that links to itself": _put("config.json", lambda file: file.symlink_to(file)),
}
