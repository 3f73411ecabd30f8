"""What an adapter folder says of itself, known without loading it: its kind, its settings, and the model it is for.

The format is PEFT's: ``adapter_config.json`` and ``adapter_model.safetensors`` (https://github.com/huggingface/peft,
docs, "PEFT checkpoint format"; the settings are those of its 0.21). An adapter that this program does not compute as
PEFT does is refused with the reason; none is loaded in part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, abridged, some_of
from bench.core.files import kind_at, text_in
from bench.core.formats.json_rows import Strict
from bench.core.formats.model_files import ADAPTER, Tensors, heads_of, weight_files

WEIGHTS = "adapter_model.safetensors"
_MOST_CONFIG = 10_000_000  # bytes
# Kinds of PEFT that change weights by a sum or a product, so that they can be merged into them.
_KINDS = ("LORA", "LOHA", "LOKR", "IA3", "VERA", "OFT", "HRA")
# What models that write text are called there: causal ones, and encoder-decoders.
_TASKS = ("CAUSAL_LM", "SEQ_2_SEQ_LM")
# What has no part in what a trained adapter computes: where it comes from, and how it was trained.
_ASIDE = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "inference_mode",
    "init_weights", "lora_dropout", "lora_ga_config", "loftq_config", "megatron_core", "module_dropout", "peft_type",
    "peft_version", "qalora_group_size", "rank_dropout", "rank_dropout_scale", "revision", "runtime_config",
    "task_type",
})  # fmt: skip
# What LoRA beside the weights computes here: W x + scale * B A x.
_BESIDE = frozenset({
    "alpha_pattern", "exclude_modules", "fan_in_fan_out", "init_lora_weights", "layers_pattern", "layers_to_transform",
    "lora_alpha", "r", "rank_pattern", "target_modules", "use_rslora",
})  # fmt: skip
# What PEFT merges into the weights, and is computed here merged.
_MERGED = frozenset({"bias", "modules_to_save", "target_parameters", "trainable_token_indices", "use_dora"})
# Beginnings of training that change the model's own weights too, which the folder of the adapter does not hold.
_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter is. ``base``: the model that its configuration names, None where it names none.

    ``beside``: it is a plain LoRA, which is computed beside the weights; any other is merged into them in float32.
    """

    kind: str
    base: str | None
    beside: bool


def read_adapter(folder: Path, where: str) -> AdapterFacts:
    """Return what an adapter in a folder is; raises DataError for one that is not whole, or is not computed here.

    ``where`` is how messages name the folder. Reads the configuration and the head of the weights, and no weight.
    """
    _check_there(folder, where)
    try:
        config = Strict().value(text_in(folder / ADAPTER, _MOST_CONFIG))
    except (DataError, ValueError) as error:
        raise DataError(f"{where}: its {ADAPTER} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise DataError(f"{where}: its {ADAPTER} is no mapping, so no adapter is described")
    kind = str(config.get("peft_type") or "").upper()
    _check_kind(config, kind, where)
    if not heads_of(folder / WEIGHTS, f"{where}: {WEIGHTS}"):
        raise DataError(f"{where}: its weights hold no tensor")
    base = config.get("base_model_name_or_path")
    plain = kind == "LORA" and not any(_says(name, config.get(name)) for name in _MERGED)
    return AdapterFacts(kind=kind, base=base if isinstance(base, str) and base else None, beside=plain)


def check_fits(adapter: Path, base: Path, where: str) -> None:
    """Raise DataError for a LoRA adapter whose layers have other sizes than those of the same names in the base."""
    layers: Tensors = {}
    for file in weight_files(base):
        layers |= heads_of(file, file.name)
    by_end = {_end_of(name): shape for name, (_, shape) in layers.items()}
    for name, (_, shape) in heads_of(adapter / WEIGHTS, f"{where}: {WEIGHTS}").items():
        layer, part, _ = name.partition(".lora_A.")
        known = by_end.get(_end_of(f"{layer}.weight"))
        if part and known is not None and len(shape) == 2 and shape[1] not in known:
            raise DataError(
                f"{where}: its layer {abridged(layer, 80)} reads {shape[1]:,} numbers, and that of the model has the "
                f"sizes {some_of([f'{size:,}' for size in known])}: it was trained on another model\n"
                "give the model that it was trained on as `path:` or `repo:` beside it"
            )


def _end_of(name: str) -> str:
    """Return the name of a weight from its layer's number on, which wrappers leave as it is."""
    parts = name.split(".")
    first = next((place for place, part in enumerate(parts) if part.isdigit()), 0)
    return ".".join(parts[first:])


def _check_there(folder: Path, where: str) -> None:
    if kind_at(folder) != "folder":
        what = "a file, and no such folder" if kind_at(folder) == "file" else "no such folder"
        raise DataError(f"{where}: {what}\ngive the folder that holds {ADAPTER} and {WEIGHTS}")
    if kind_at(folder / ADAPTER) != "file":
        whole = " (a whole model lies there: give it as `path:`)" if kind_at(folder / "config.json") == "file" else ""
        raise DataError(f"{where}: no adapter: {ADAPTER} missing{whole}\ngive the folder that PEFT has saved")
    if kind_at(folder / WEIGHTS) != "file":
        pickled = kind_at(folder / "adapter_model.bin") == "file"
        raise DataError(
            f"{where}: {WEIGHTS} missing{' (it holds pickled weights, which are programs)' if pickled else ''}\n"
            "load the adapter with PEFT and save it again with save_pretrained(..., safe_serialization=True)"
        )


def _check_kind(config: Mapping[str, Any], kind: str, where: str) -> None:
    """Raise DataError for an adapter that is not computed here as PEFT computes it."""
    if kind not in _KINDS:
        named = f"an adapter of the kind {abridged(repr(config.get('peft_type')), 40)}"
        raise DataError(
            f"{where}: {named} is not computed here; known: {', '.join(_KINDS)}\n"
            "merge it with PEFT where that can be done (merge_and_unload), and give the whole model as `path:`"
        )
    task = config.get("task_type")
    if task not in (None, *_TASKS):
        raise DataError(f"{where}: an adapter for the task {abridged(repr(task), 40)}, not for one that writes text")
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_CHANGING):
        raise DataError(
            f"{where}: its training began by changing the model's own weights (init_lora_weights {begun}), which this "
            "folder does not hold\nsave it with PEFT's path_initial_model_for_weight_conversion, or merged"
        )
    if other := list(_not_known(config, kind)):
        raise DataError(
            f"{where}: an adapter with {some_of(other)}, which is not computed here\n"
            "merge it with PEFT (merge_and_unload), and give the whole model as `path:`"
        )


def _not_known(config: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yield the settings of a LoRA that say something and are not known here; PEFT's own code reads other kinds."""
    known = _ASIDE | _BESIDE | _MERGED
    if kind == "LORA":
        yield from (str(name) for name, value in config.items() if name not in known and _says(name, value))


def _says(name: str, value: Any) -> bool:
    """Return whether a setting is more than left out: null, false, empty, and for biases ``none``."""
    return value not in (None, False, "", [], {}) and not (name == "bias" and value == "none")
