"""What a model folder says of itself, known without loading it: its configuration, and the heads of its weights.

The safetensors format: 8 bytes, the length of the head; the head, JSON of tensors by name with type, shape and place;
the tensors (https://github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, abridged, some_of
from bench.core.files import kind_at, text_in
from bench.core.formats.json_rows import Strict

CONFIG, WEIGHTS, ADAPTER = "config.json", "*.safetensors", "adapter_config.json"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_MOST_CONFIG = 10_000_000  # bytes
_MOST_HEAD = 100_000_000  # bytes, the format's own limit
_MOST_SIZE = 100_000_000  # the largest that is known are 10,485,760 positions (Llama 4)
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16,
         "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4,
         "F6_E2M3": 6, "F6_E3M2": 6}  # fmt: skip
# How transformers names models that write text: causal ones, and those of images and text that it loads as such.
_CAUSAL = ("ForCausalLM", "LMHeadModel", "ModelWithLMHead", "ForConditionalGeneration")
# The encoder-decoder models that tests/families/ holds this program to, by their model_type.
ENCODER_DECODERS = ("t5", "mt5", "umt5", "switch_transformers", "bart", "pegasus")
# The sizes that configurations name, each with its names.
_WIDTH = ("hidden_size", "n_embd", "d_model")
_DEPTH = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_OTHER_HEADS = ("num_key_value_heads",)
_INNER = ("intermediate_size", "n_inner", "ffn_dim")
_POSITIONS = ("max_position_embeddings", "n_positions")
_VOCABULARY = ("vocab_size",)
_SIZES = (*_WIDTH, *_DEPTH, *_HEADS, *_OTHER_HEADS, *_INNER, *_POSITIONS, *_VOCABULARY, "head_dim")
_OTHER_WEIGHTS = {
    ".bin": "pickled weights, which are programs", ".pt": "pickled weights, which are programs",
    ".pth": "pickled weights, which are programs", ".gguf": "a GGUF file", ".onnx": "an ONNX file",
    ".h5": "a TensorFlow file", ".msgpack": "a Flax file",
}  # fmt: skip
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def check_model_files(folder: Path, where: str) -> None:
    """Raise DataError for a folder that holds no whole causal language model with weights in safetensors.

    ``where`` is how messages name the folder. Reads the configuration and the heads of the weights, and no weight.
    """
    config = read_config(folder, where)
    check_sizes(config, where)
    tensors: Tensors = {}
    for file in weight_files(folder):
        tensors |= heads_of(file, f"{where}: {file.name}")
    if not tensors:
        raise DataError(f"{where}: its weights hold no tensor")
    _check_index(folder, tensors, where)
    _check_against(config, tensors, where)


def read_config(folder: Path, where: str) -> dict[str, Any]:
    """Return the configuration of a model folder; raises DataError where it is none of a causal language model."""
    _check_there(folder, where)
    config = config_in(folder, where)
    names, called = architectures_in(config)
    if _has_encoder(config):
        check_encoder_decoder(config, where, called)
    if names and not any(name.endswith(_CAUSAL) for name in names):
        raise DataError(f"{where}: {called} is no causal language model; give one, such as LlamaForCausalLM")
    if not isinstance(config.get("model_type", "llama"), str):
        raise DataError(f"{where}: its config.json names no model_type as a text, so nobody knows what the model is")
    return config


def config_in(folder: Path, where: str) -> dict[str, Any]:
    """Return what stands in the config.json of a folder; raises DataError where it is no mapping."""
    try:
        config = Strict().value(text_in(folder / CONFIG, _MOST_CONFIG))
    except (DataError, ValueError) as error:
        raise DataError(f"{where}: its config.json cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise DataError(f"{where}: its config.json is no mapping, so no model is described")
    return config


def architectures_in(config: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the classes that a configuration names, and what an error message calls the model."""
    listed = config.get("architectures")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    called = some_of(names[:3]) if names else f"a model of the type {abridged(repr(config.get('model_type')), 60)}"
    return names, called


def check_encoder_decoder(config: Mapping[str, Any], where: str, called: str) -> None:
    """Raise DataError for a configuration of an encoder-decoder model of a type that is not known here."""
    if config.get("model_type") not in ENCODER_DECODERS:
        raise DataError(
            f"{where}: {called} is an encoder-decoder model of a type that is not known here; known: "
            f"{', '.join(ENCODER_DECODERS)}; or give a causal (decoder-only) one"
        )


def is_encoder_decoder(folder: Path) -> bool:
    """Return whether a model folder says that it is an encoder-decoder; False where it says nothing."""
    try:
        return _has_encoder(json.loads(text_in(folder / CONFIG, _MOST_CONFIG)))
    except (OSError, DataError, ValueError, AttributeError, RecursionError):
        return False  # whoever reads the folder for a run says what is wrong with it


def _has_encoder(config: Mapping[str, Any]) -> bool:
    return bool(config.get("is_encoder_decoder", config.get("model_type") in ENCODER_DECODERS))


def _check_there(folder: Path, where: str) -> None:
    if kind_at(folder) == "file":
        folder_of = "give the folder that holds config.json and *.safetensors"
        what = "name it with `gguf:`" if folder.suffix == ".gguf" else folder_of
        raise DataError(f"{where}: a file, and no such folder\n{what}")
    if kind_at(folder) != "folder":
        raise DataError(f"{where}: no such folder\ngive the folder that holds config.json and *.safetensors")
    if kind_at(folder / ADAPTER) == "file":
        base = adapted_model(folder)
        of = f" of {abridged(base, 80)}" if base else ""
        raise DataError(
            f"{where}: holds an adapter{of} ({ADAPTER}), which is no whole model\n"
            f"name its base (`path:`, or `repo:` and `revision:`) and beside it `adapter: {where}`"
        )
    lacking = [] if kind_at(folder / CONFIG) == "file" else [CONFIG]
    if not any(kind_at(file) == "file" for file in folder.glob(WEIGHTS)):
        lacking.append(WEIGHTS)
    if lacking:
        others = {_OTHER_WEIGHTS[file.suffix] for file in folder.iterdir() if file.suffix in _OTHER_WEIGHTS}
        instead = f" (it holds {some_of(sorted(others))})" if others else ""
        raise DataError(
            f"{where}: no model folder: {' and '.join(lacking)} missing{instead}\n{_what_to_do(folder, where)}"
        )
    if kind_at(folder / INDEX) != "file" and kind_at(folder / WHOLE) != "file":
        names = some_of([file.name for file in weight_files(folder)][:3])
        raise DataError(
            f"{where}: holds {names}, and neither {WHOLE} nor {INDEX}, by which transformers finds weights\n"
            "get the index of its shards, or save the model with save_pretrained"
        )


def _what_to_do(folder: Path, where: str) -> str:
    """Return how a folder without safetensors gets them, the whole command where it has pickled weights."""
    if kind_at(folder / CONFIG) != "file" or not any(folder.glob("pytorch_model*.bin")):
        packed = sorted(file.name for file in folder.glob("*.gguf"))
        named = f"name the file itself, with `gguf: {where}/{packed[0]}`" if packed else ""
        return named or "save the model with save_pretrained(..., safe_serialization=True)"
    kind = "AutoModelForSeq2SeqLM" if is_encoder_decoder(folder) else "AutoModelForCausalLM"
    read = f"{kind}.from_pretrained({str(folder)!r}, use_safetensors=False, dtype='auto')"
    return (
        "where you trust whoever made them, convert them in place (torch reads numbers alone, no code):\n"
        f'python -c "from transformers import {kind}; {read}.save_pretrained({str(folder)!r})"'
    )


def adapted_model(folder: Path) -> str | None:
    """Return the model that the adapter in a folder was trained on, as its configuration names it; None for none."""
    try:
        found = json.loads(text_in(folder / ADAPTER, _MOST_CONFIG)).get("base_model_name_or_path")
    except (OSError, DataError, ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, str) and found else None


def check_sizes(config: Mapping[str, Any], where: str) -> None:
    """Raise DataError for a configuration with a size that is no whole number above 0, or beyond every model."""
    for part in _parts(config):
        for name in _SIZES:
            size = part.get(name)
            listed = size if isinstance(size, list) and size else [size]
            if size is not None and not all(_is_size(one) for one in listed):
                what = f"its config.json says {name} {abridged(json.dumps(size), 60)}"
                raise DataError(f"{where}: {what}, wanted a whole number from 1 to {_MOST_SIZE:,}")
        heads, others = _first(part, _HEADS), _first(part, _OTHER_HEADS)
        if heads is not None and others is not None and others > heads:
            what = f"{others:,} key and value heads for {heads:,} attention heads"
            raise DataError(f"{where}: its config.json says {what}; there can be no more of them")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_SIZE


def _parts(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the configuration that has the sizes of the text model, and the whole one."""
    inner = config.get("text_config")
    if isinstance(inner, Mapping):
        yield inner
    yield config


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first size of those names; None where there is none, or one for each layer."""
    found = (config.get(name) for name in names)
    return next((size for size in found if isinstance(size, int)), None)


def weight_files(folder: Path) -> list[Path]:
    """Return the files of weights of a model folder, by name."""
    return sorted(file for file in folder.glob(WEIGHTS) if kind_at(file) == "file")


def heads_of(file: Path, where: str) -> Tensors:
    """Return type and shape of every tensor of a safetensors file; raises DataError for one that is not whole."""
    size = file.stat().st_size
    try:
        with file.open("rb") as content:
            first = content.read(8)
            length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
            if not 2 <= length <= min(_MOST_HEAD, size - 8):
                raise DataError(f"{where}: no safetensors, or cut off{_pointer(first)}. Get the file again.")
            head = Strict().value(content.read(length).decode())
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: no safetensors: its head cannot be read ({error})") from error
    if not isinstance(head, dict):
        raise DataError(f"{where}: no safetensors: its head is no mapping")
    found: Tensors = {}
    ends = [0]
    for name, entry in head.items():
        if name != "__metadata__":
            found[name], end = _tensor(entry, f"{where}: {abridged(name, 80)}")
            ends.append(end)
    if 8 + length + max(ends) != size:
        raise DataError(f"{where}: has {size:,} bytes, and its head tells of {8 + length + max(ends):,}. Get it again.")
    return found


def _pointer(first: bytes) -> str:
    return " (it is a pointer of Git LFS: `git lfs pull` fetches the file)" if first.startswith(b"version ") else ""


def _tensor(entry: Any, where: str) -> tuple[tuple[str, tuple[int, ...]], int]:
    """Return type and shape of a tensor, and where it ends behind the head."""
    fields = entry if isinstance(entry, dict) else {}
    kind, shape, place = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    numbers = [*(shape if isinstance(shape, list) else [None]), *(place if isinstance(place, list) else [None])]
    whole = all(isinstance(number, int) and number >= 0 for number in numbers)
    if not whole or not isinstance(place, list) or not isinstance(shape, list) or len(place) != 2:
        raise DataError(f"{where}: its entry in the head is broken")
    if kind not in _BITS:
        raise DataError(f"{where}: has the type {abridged(repr(kind), 40)}, which is none of safetensors")
    if place[1] - place[0] != -(-math.prod(shape) * _BITS[kind] // 8):
        raise DataError(f"{where}: its shape and its place in the file do not fit")
    return (kind, tuple(shape)), place[1]


def _check_index(folder: Path, tensors: Tensors, where: str) -> None:
    """Raise DataError for an index of weights that cannot be read, or that names what is not there."""
    if kind_at(folder / INDEX) != "file":
        return
    try:
        index = Strict().value(text_in(folder / INDEX, _MOST_HEAD))
    except (DataError, ValueError) as error:
        raise DataError(f"{where}: its {INDEX} cannot be read: {error}") from error
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise DataError(f"{where}: its {INDEX} has no weight_map of file names")
    named = sorted(set(files.values()))
    lacking = [name for name in named if Path(name).name != name or kind_at(folder / name) != "file"]
    if lacking:
        raise DataError(f"{where}: its {INDEX} names {some_of(lacking[:3])}, which is not in the folder")
    missing = sorted(str(name) for name in files.keys() - tensors.keys())
    if missing:
        raise DataError(f"{where}: its {INDEX} names {some_of(missing[:3])}, which none of its files holds")


def _check_against(config: Mapping[str, Any], tensors: Tensors, where: str) -> None:
    """Raise DataError for a configuration of sizes that no weight has."""
    text = next(_parts(config))
    sizes = {size for _, shape in tensors.values() for size in shape}
    depth = _first(text, _DEPTH)
    if depth is not None and depth > len(tensors):
        what = f"config.json says {depth:,} layers, and its weights are {len(tensors):,} tensors"
        raise DataError(f"{where}: {what}: one of the two belongs to another model")
    experts = any("expert" in name or "moe" in name for name in text)
    for names in (_WIDTH, _VOCABULARY, *(() if experts else (_INNER,))):
        size = _first(text, names)
        if size is not None and size not in sizes:
            name = next(name for name in names if text.get(name) == size)
            what = f"config.json says {name} {size:,}, and none of its weights has that size"
            raise DataError(f"{where}: {what}: one of the two belongs to another model")
