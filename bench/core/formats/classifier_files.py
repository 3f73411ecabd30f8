"""What a folder with a sequence classifier says of itself, known without loading it: its labels and its head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, did_you_mean
from bench.core.files import kind_at
from bench.core.formats.model_files import CONFIG, Tensors, architectures_in, config_in, heads_of, weight_files

_KIND = "ForSequenceClassification"
_HEADS = ("score", "classif", "regression", "summary", "logits_proj")  # what transformers calls heads


def check_classifier_files(folder: Path, label: int | str | None, where: str) -> None:
    """Raise DataError for a folder that holds no whole sequence classifier with the label that is asked for.

    ``label``: its number, counted from 0, or its name; None where the model has one only. ``where`` is how messages
    name the folder. Reads the configuration and the heads of the weights, and no weight.
    """
    if kind_at(folder) != "folder" or kind_at(folder / CONFIG) != "file":
        raise DataError(f"{where}: no model folder: {CONFIG} missing\ngive the folder of a sequence classifier")
    config = config_in(folder, where)
    names, called = architectures_in(config)
    if not any(name.endswith(_KIND) for name in names):
        raise DataError(
            f"{where}: {called} is no sequence classifier, so it has no head that rates\n"
            f"give a model that transformers knows as ...{_KIND}; a policy rates by `judge: implicit_reward`"
        )
    label_of(config, label, where)
    tensors: Tensors = {}
    for file in weight_files(folder):
        tensors |= heads_of(file, f"{where}: {file.name}")
    if not tensors:
        raise DataError(f"{where}: no *.safetensors\nsave it with save_pretrained(..., safe_serialization=True)")
    if not any(part in name.lower() for name in tensors for part in _HEADS):
        raise DataError(f"{where}: its weights hold no head (score, classifier), so its ratings would be random")


def label_of(config: Mapping[str, Any], label: int | str | None, where: str) -> int:
    """Return the number of the label that is asked for, by a model's configuration; see ``check_classifier_files``.

    Raises DataError for a label that the model has not, and for none where it has several.
    """
    listed = config.get("id2label")
    # transformers: two labels where the configuration says nothing (PreTrainedConfig.num_labels).
    names = {int(number): str(name) for number, name in listed.items()} if isinstance(listed, dict) else {}
    names = names or {number: f"LABEL_{number}" for number in range(int(config.get("num_labels", 2)))}
    shown = ", ".join(f"{number} ({name})" for number, name in sorted(names.items())[:6])
    if label is None:
        if len(names) == 1:
            return 0
        raise DataError(
            f"{where}: its head has {len(names)} labels, and a rating is one number\n"
            f"name the one that rates by `label:`; it has {shown}"
        )
    if isinstance(label, str):
        number = next((number for number, name in names.items() if name == label), None)
        if number is None:
            raise DataError(f"{where}: no label {label!r}. {did_you_mean(label, names.values())}")
        return number
    if label not in names:
        raise DataError(f"{where}: no label {label}; it has {shown}")
    return label
