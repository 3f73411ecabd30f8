"""The disk that a run will need: what its stages will keep, and their checkpoints meanwhile. No torch.

Weights are nearly all of it, so these are counted: the shapes in the headers of the base's weights, once per policy
that is made whole, and what an adapter's rank makes of them. Everything else is a rule of thumb per row and token. It
was within a factor of two of what the quickstart and the tests' comparison came to (docs/store.md).
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.data import Data, Made, Mixture
from bench.core.datasets import rows_known
from bench.core.errors import DataError
from bench.core.formats.gguf_header import SUFFIX, header_of
from bench.core.formats.model_files import heads_of, weight_files
from bench.core.frozen import Frozen, Open, address, digest
from bench.core.method import Lora
from bench.core.policy import BestOf, Built, Instructed, Pretrained, Proxy, Tuned
from bench.core.stage import Stage
from bench.engine.holdings import size_in_words
from bench.engine.manifest import MANIFEST
from bench.engine.processes import slots_of_this_machine
from bench.engine.store import Store
from bench.evaluation.generate import Generate

FLOAT32, BFLOAT16 = 4, 2  # bytes
# AdamW's state: the weights and two moments of each, in float32; the new one is written while the old one is there.
COPIES_IN_A_CHECKPOINT, CHECKPOINTS_AT_A_TIME = 3, 2
BYTES_OF_A_ROW, BYTES_OF_A_TOKEN = 400, 2
BYTES_OF_A_STAGE = 8_000  # beside its description: verdicts or scores of some hundred prompts, or a training's log
BESIDE_A_NAME = 6  # quotes, colon and comma of JSON
WORDS_OF_A_WORLD, BESIDE_A_WORLD = 600, 17_000  # its vocabulary, and the bytes of its tokenizer and configuration


class DiskNeed(Frozen):
    """Bytes that a run adds to the disk of its store.

    ``kept``: what its stages leave. ``meanwhile``: checkpoints, at most, while stages train side by side. ``free``:
    what is free there, of ``at``, the nearest folder that exists. ``not_known``: models whose size is not known here,
    and which are not counted.
    """

    kept: int
    meanwhile: int
    free: int
    at: str
    not_known: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the need in lines; a second one where there is too little, or where something is not counted."""
        if not self.kept and not self.not_known:
            return []
        lines = [
            f"disk: about {size_in_words(self.kept)} for the stages to compute, and at most "
            f"{size_in_words(self.meanwhile)} of checkpoints meanwhile; {size_in_words(self.free)} are free "
            f"at {self.at}"
        ]
        if self.not_known:
            lines.append(f"disk: not counted: what rests on {', '.join(self.not_known)}, whose size is not known here")
        if self.kept + self.meanwhile > self.free:
            lines.append(
                "disk: THIS DOES NOT FIT. Make room (`bench store prune` removes what is used by nobody), or name a "
                "place with more by --store DIR"
            )
        return lines


@dataclass(frozen=True)
class Shapes:
    """A model's weights by name with their shapes, and the bytes of the tokenizer and configuration beside them."""

    of: dict[str, tuple[int, ...]]
    beside: int

    def parameters(self) -> int:
        """Return how many numbers the weights are."""
        return sum(math.prod(shape) for shape in self.of.values())

    def adapter_parameters(self, lora: Lora) -> int:
        """Return how many numbers an adapter over them is: of every linear layer that it targets but the head."""
        layers = (shape for name, shape in self.of.items() if is_adapted(name, shape, lora))
        return sum(lora.rank * sum(shape) for shape in layers)


def is_adapted(name: str, shape: tuple[int, ...], lora: Lora) -> bool:
    """Return whether an adapter changes a weight."""
    apart = any(part in name for part in ("embed", "token_embd", "lm_head", "wte", "wpe"))
    return len(shape) == 2 and not apart and (not lora.targets or any(target in name for target in lora.targets))


def disk_need(stages: Iterable[Stage], store: Store) -> DiskNeed:
    """Return what computing these stages, none of which is in the store, needs of its disk."""
    kept, checkpoints, not_known = 0, [], []
    known: dict[str, Shapes | None] = {}  # a base is the start of many stages, and its files are looked at once
    sizes: dict[str, int] = {}
    for stage in stages:
        kept += BYTES_OF_A_STAGE + form_bytes(stage, sizes) + rows_and_tokens(stage)
        model = made_from(stage)
        if model is None:
            continue
        if (name := digest(model)) not in known:
            known[name] = shapes_of(model, store)
        shapes = known[name] or planned_shapes(stage, store)
        if shapes is None:
            not_known.append(name_of(model))
            continue
        lora = getattr(stage, "lora", None)
        if isinstance(lora, Lora):
            trained = shapes.adapter_parameters(lora)
            kept += trained * FLOAT32
        else:
            trained = shapes.parameters()
            width = BFLOAT16 if getattr(stage, "keep", "float32") == "bfloat16" else FLOAT32
            kept += trained * width + shapes.beside
        checkpoints.append(trained * FLOAT32 * COPIES_IN_A_CHECKPOINT * CHECKPOINTS_AT_A_TIME)
    at = store.root
    while not at.exists():
        at = at.parent
    return DiskNeed(
        kept=kept,
        meanwhile=sum(sorted(checkpoints, reverse=True)[: side_by_side()]),
        free=shutil.disk_usage(at).free,
        at=str(at),
        not_known=tuple(dict.fromkeys(not_known)),
    )


def form_bytes(value: Any, sizes: dict[str, int]) -> int:
    """Return about how long the JSON form of a value is; ``sizes``: of stages that were asked for, by their keys.

    A stage's form holds those of all stages that it rests on, so the same ones come again and again.
    """
    if isinstance(value, Stage):
        if value.key not in sizes:
            sizes[value.key] = _form_of_fields(value, sizes)
        return sizes[value.key]
    if isinstance(value, Frozen):
        return _form_of_fields(value, sizes)
    if isinstance(value, Mapping):
        return sum(len(str(name)) + BESIDE_A_NAME + form_bytes(item, sizes) for name, item in value.items())
    if isinstance(value, tuple | list | frozenset):
        return sum(BESIDE_A_NAME + form_bytes(item, sizes) for item in value)
    return len(str(value))


def _form_of_fields(value: Frozen, sizes: dict[str, int]) -> int:
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    own = len(address(type(value))) if isinstance(value, Open) else 0
    return own + form_bytes(fields, sizes)


def side_by_side() -> int:
    """Return how many stages train at a time on this machine, where ``bench run`` is not told otherwise."""
    slots = slots_of_this_machine(None)
    return sum(bool(slot.accelerators) for slot in slots) or len(slots)


def rows_and_tokens(stage: Stage) -> int:
    """Return about how many bytes the rows and responses are that a stage writes."""
    if isinstance(stage, Generate):
        return len(stage.task.prompts()) * stage.draws * stage.task.decoding().max_new_tokens * BYTES_OF_A_TOKEN
    rows = getattr(stage, "rows", None)
    pairs = getattr(stage, "pairs", None)
    if rows is None and isinstance(pairs, Data | Mixture | Made):
        rows = rows_known(pairs)
    return rows * BYTES_OF_A_ROW if isinstance(rows, int) else 0


def made_from(stage: Stage) -> Any:
    """Return what a stage that writes weights starts from: a policy, or itself where it starts from nothing.

    None for all others. Methods and worlds are not known here, so it is told by the fields that all such stages have.
    """
    if not hasattr(stage, "optimisation"):
        return None
    return getattr(stage, "init", getattr(stage, "base", stage))


def shapes_of(model: Any, store: Store) -> Shapes | None:
    """Return the shapes of a policy's weights where they are here or planned, else None."""
    match model:
        case Tuned() | Instructed() | BestOf() | Proxy():
            return shapes_of(model.base, store)
        case Built():
            place = store.place(model.by)
            found = shapes_in(place / "policy") if (place / MANIFEST).is_file() else None
            return found or planned_shapes(model.by, store)
        case Pretrained():
            place = Path(model.path) if model.path is not None else in_hub_cache(str(model.repo), model.revision)
            return shapes_in(place)
    return None  # outputs have no weights


def planned_shapes(stage: Stage, store: Store) -> Shapes | None:
    """Return the shapes of the Llama of a world that a stage is to make; None where its fields do not say its size."""
    base, shape = getattr(stage, "base", None), getattr(stage, "shape", None)
    if base is not None:
        return shapes_of(base, store)
    width, layers, inner = (getattr(shape, name, None) for name in ("width", "layers", "inner"))
    if not (isinstance(width, int) and isinstance(layers, int) and isinstance(inner, int)):
        return None
    layer = dict.fromkeys(("q", "k", "v", "o"), (width, width)) | dict.fromkeys(("gate", "up", "down"), (inner, width))
    found: dict[str, tuple[int, ...]] = {"embed_tokens": (WORDS_OF_A_WORLD, width)}
    found |= {f"layers.{number}.{name}_proj": sides for number in range(layers) for name, sides in layer.items()}
    return Shapes(found, BESIDE_A_WORLD)


def shapes_in(folder: Path) -> Shapes | None:
    """Return the shapes of the weights in a folder or a GGUF file, from headers; None where none can be read."""
    found: dict[str, tuple[int, ...]] = {}
    try:
        if folder.suffix == SUFFIX:
            return Shapes(header_of(folder, folder.name).shapes, BESIDE_A_WORLD)
        for file in weight_files(folder):
            found |= {name: shape for name, (_, shape) in heads_of(file, file.name).items()}
        beside = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in {".json", ".jinja", ".model"})
    except (OSError, DataError):
        return None  # whoever loads the model says what is wrong with it
    return Shapes(found, beside) if found else None


def in_hub_cache(repo: str, revision: str | None) -> Path:
    """Return the folder in which a model of the hub would lie that was loaded before."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub")) / f"models--{repo.replace('/', '--')}"
    named = cache / "refs" / (revision or "main")
    commit = named.read_text(encoding="utf-8").strip() if named.is_file() else str(revision)
    return cache / "snapshots" / commit


def name_of(model: Any) -> str:
    """Return what a model is called to a reader."""
    match model:
        case Tuned() | Instructed() | BestOf() | Proxy():
            return name_of(model.base)
        case Pretrained():
            return model.repo or Path(model.path or "").name
    return "a model that is made first"
