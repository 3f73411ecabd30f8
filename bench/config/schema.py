"""JSON Schema of comparison.yaml, for the completion and the checks of editors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from bench import discover
from bench.config.comparison import Common, Criterion, Evaluation, StatisticsSettings
from bench.config.gate import MARGINS
from bench.config.load import REQUIRED
from bench.config.plugins import DIGEST, PATH
from bench.config.sources import COLUMNS, NO_ADAPTER, ROW_ID
from bench.core.data import Data
from bench.core.frozen import Open
from bench.core.method import Budget, Lora
from bench.core.policy import Pretrained

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/"
_FILE = {"type": "string", "pattern": r"\.py$", "description": "a Python file beside the comparison"}
_TEXT = {"type": "string", "minLength": 1}


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a comparison file.

    It knows the methods, judges, tasks and worlds that are installed, with their fields, defaults and descriptions,
    and imports them all. What needs more than one place of the file to tell (a contrast that names an unknown arm) is
    left to ``load_comparison``.
    """
    definitions: dict[str, Schema] = {}
    root = {
        "question": {**_TEXT, "description": "the question that this comparison answers"},
        "extends": {"type": "string", "description": "another comparison file; what stands here goes over it"},
        "given": _given(definitions),
        "methods": _methods(definitions),
        "evaluate": _evaluate(definitions),
        "statistics": _model(StatisticsSettings, definitions),
        "gate": {"type": "array", "items": _gate(definitions), "minItems": 1},
    }
    whole = _mapping(root)
    # A file that extends another may leave out what the other one has.
    whole["anyOf"] = [{"required": ["extends"]}, {"required": list(REQUIRED)}]
    used = _used(whole, definitions)
    return {"$schema": DIALECT, "title": "comparison.yaml of alignment-bench", **whole, "$defs": used}


def _given(definitions: dict[str, Schema]) -> Schema:
    lora = {"anyOf": [{"const": NO_ADAPTER}, _model(Lora, definitions)]}
    common = _fields(Common, definitions, ("max_length",))
    seeds = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}
    return _mapping(
        {
            "base": _base(definitions),
            **{name: _data(definitions, needed) for name, needed in COLUMNS.items()},
            "lora": {**lora, "description": "the adapter of every arm, or none for full fine-tuning"},
            "budget": _model(Budget, definitions),
            **common,
            "seeds": {**seeds, "description": "training seeds: one training run of every method for each"},
        }
    )


def _base(definitions: dict[str, Schema]) -> Schema:
    own = _fields(Pretrained, definitions, ("template", "dtype"))
    folder = {"type": "string", "description": "a folder with config.json and *.safetensors"}
    forms = [
        _mapping({"path": folder, **own}, required=("path",)),
        _mapping({"repo": _TEXT, "revision": _TEXT, **own}, required=("repo", "revision")),
    ]
    for name, entry in discover.worlds().items():
        sizes = {"enum": list(entry.cls().sizes())} if _ready(entry.cls) else _TEXT
        fields = _fields(entry.cls, definitions, entry.cls.model_fields)
        forms.append(_mapping({"world": {"const": name}, "size": sizes, **fields}, required=("world", "size")))
    return {"anyOf": [*forms, _outside("world")]}


def _data(definitions: dict[str, Schema], needed: Iterable[str]) -> Schema:
    limit = _fields(Data, definitions, ("limit",))
    names = _mapping({name: _TEXT for name in (*needed, ROW_ID)})
    forms = [_mapping({"path": _TEXT, "columns": names, **limit}, required=("path",))]
    for name, entry in discover.worlds().items():
        splits = {"enum": list(entry.cls().splits())} if _ready(entry.cls) else _TEXT
        fields = _fields(entry.cls, definitions, entry.cls.model_fields)
        form = {"world": {"const": name}, "split": splits, **limit, **fields}
        forms.append(_mapping(form, required=("world", "split")))
    return {"anyOf": [*forms, _outside("world")]}


def _ready(cls: type[BaseModel]) -> bool:
    """Tell whether a world can be made without any field, so that its sizes and splits can be listed."""
    return not any(info.is_required() for info in cls.model_fields.values())


def _methods(definitions: dict[str, Schema]) -> Schema:
    lora = {"anyOf": [{"const": NO_ADAPTER}, _model(Lora, definitions)]}
    arm = {"replicate": {**_TEXT, "description": "a name for an independent repetition: an A/A control"}, "lora": lora}
    named = []
    by_name = {}
    for name, entry in discover.methods().items():
        fields = _fields(entry.cls, definitions, entry.cls.model_fields)
        schema = _mapping({"method": {"const": name}, **arm, **fields})
        definitions[f"method.{name}"] = {**schema, "description": entry.about}
        reference = {"$ref": f"{REFERENCE}method.{name}"}
        by_name[name] = {"anyOf": [{"type": "null"}, reference, {"$ref": f"{REFERENCE}arm"}]}
        named.append({**reference, "required": ["method"]})
    definitions["arm"] = {"anyOf": [*named, _outside("method")]}
    rest = {"$ref": f"{REFERENCE}arm"}
    return {"type": "object", "properties": by_name, "additionalProperties": rest, "minProperties": 1}


def _evaluate(definitions: dict[str, Schema]) -> Schema:
    own = _fields(Evaluation, definitions, ("draws", "orders"))
    tasks = _plugins("task", discover.tasks(), definitions)
    judges = _plugins("judge", discover.judges(), definitions)
    win_rate = {"judges": judges, "versus": _TEXT, "orders": own["orders"]}
    pair = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
    return _mapping(
        {
            "tasks": tasks,
            "draws": own["draws"],
            "win_rate": _mapping(win_rate, required=("judges", "versus")),
            "contrasts": {
                "type": "array",
                "items": pair,
                "minItems": 1,
                "description": "pairs beside the default ones",
            },
        }
    )


def _plugins(word: str, entries: Mapping[str, discover.Entry[Any]], definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a list of plug-ins, each a name or a mapping with the plug-in's fields."""
    forms: list[Schema] = [{"enum": list(entries)}, _FILE, _outside(word)]
    for name, entry in entries.items():
        cls: type[Open] = entry.cls
        computed = DIGEST if {PATH, DIGEST} <= set(cls.model_fields) else None
        names = [field for field in cls.model_fields if field != computed]
        required = [field for field in names if cls.model_fields[field].is_required()]
        schema = _mapping({word: {"const": name}, **_fields(cls, definitions, names)}, required=(word, *required))
        definitions[f"{word}.{name}"] = {**schema, "description": entry.about}
        forms.append({"$ref": f"{REFERENCE}{word}.{name}"})
    return {"type": "array", "items": {"anyOf": forms}, "minItems": 1}


def _gate(definitions: dict[str, Schema]) -> Schema:
    fields = _fields(Criterion, definitions, Criterion.model_fields)
    schema = _mapping(fields, required=("metric", "method", "versus"))
    return {**schema, "oneOf": [{"required": [margin]} for margin in MARGINS]}


def _outside(word: str) -> Schema:
    """Return the schema of a plug-in from a file, whose fields are not known here."""
    return {"type": "object", "properties": {word: _FILE}, "required": [word]}


def _used(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the definitions that a schema refers to, directly or through others, sorted by name."""
    found: set[str] = set()
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix(REFERENCE)
            if name in definitions and name not in found:
                found.add(name)
                waiting.append(definitions[name])
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return {name: definitions[name] for name in sorted(found)}


def _mapping(properties: Mapping[str, Any], required: Iterable[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    needed = list(required)
    return {**schema, "required": needed} if needed else schema


def _model(cls: type[BaseModel], definitions: dict[str, Schema]) -> Schema:
    required = [name for name, info in cls.model_fields.items() if info.is_required()]
    schema = _mapping(_fields(cls, definitions, cls.model_fields), required)
    return {**schema, "description": (cls.__doc__ or "").strip().partition("\n")[0]}


def _fields(cls: type[BaseModel], definitions: dict[str, Schema], names: Iterable[str]) -> dict[str, Schema]:
    """Return the schema of some fields of a model; what they refer to goes to ``definitions``."""
    wanted = list(names)
    prefix = f"{cls.__module__}.{cls.__name__}"
    schema = cls.model_json_schema(ref_template=f"{REFERENCE}{prefix}.{{model}}")
    for name, part in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = part
    return {name: schema["properties"][name] for name in wanted}
