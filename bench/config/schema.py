"""JSON Schema of comparison.yaml, for the completion and the checks of editors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from bench.config.comparison import (
    AlignmentTax,
    Common,
    Criterion,
    Evaluation,
    Factuality,
    GateSettings,
    LengthControl,
    StatisticsSettings,
)
from bench.config.fields.forms import Form, Nested, nested_fields
from bench.config.fields.plugins import MODEL, REWARD, TASK, WEIGHT, settable
from bench.config.fields.sources import COLUMNS, PREFERENCES, Columns
from bench.config.load import REQUIRED
from bench.config.sections.evaluate import FROM, LABEL, LENGTH_CONTROL
from bench.config.sections.factuality import FACTUALITY, GAMMA, RETRIEVER
from bench.config.sections.gap_closed import GAP_KEYS
from bench.config.sections.gate import CRITERIA, MARGINS
from bench.config.sections.given import NO_ADAPTER, POLICIES
from bench.config.sections.length_control import CALIBRATION, DIFFICULTY_FILE
from bench.config.sections.lm_eval import KEYS as LM_EVAL_KEYS
from bench.config.sections.lm_eval import WORD as LM_EVAL
from bench.config.sections.tax import NONE as NO_TAX
from bench.core import plugins as discover
from bench.core.benchmark import LmEvalTask
from bench.core.checker import Knowledge
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
    _forms(definitions)
    root = {
        "question": {**_TEXT, "description": "the question that this comparison answers"},
        "extends": {"type": "string", "description": "another comparison file; what stands here goes over it"},
        "given": _given(definitions),
        "methods": _methods(definitions),
        "evaluate": _evaluate(definitions),
        "statistics": _model(StatisticsSettings, definitions),
        "gate": _gate(definitions),
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
            **dict.fromkeys(POLICIES, _form("policy")),
            **{name: {"$ref": f"{REFERENCE}data.{name}"} for name in COLUMNS},
            "labeller": {**_form("judge"), "description": "stands in for a human labeller"},
            "lora": {**lora, "description": "the adapter of every arm, or none for full fine-tuning"},
            "budget": _model(Budget, definitions),
            **common,
            "seeds": {**seeds, "description": "training seeds: one training run of every method for each"},
        }
    )


def _policy(definitions: dict[str, Schema], beside: Mapping[str, Schema]) -> Schema:
    """Return the schema of a policy; ``beside`` are keys of the same mapping that belong to whoever holds it."""
    own = {**_fields(Pretrained, definitions, ("template", "dtype")), **beside}
    folder = {"type": "string", "description": "a folder with config.json and *.safetensors"}
    forms = [
        _mapping({"path": folder, **own}, required=("path",)),
        _mapping({"repo": _TEXT, "revision": _TEXT, **own}, required=("repo", "revision")),
    ]
    for name, entry in discover.worlds().items():
        sizes = {"enum": list(entry.cls().sizes())} if _ready(entry.cls) else _TEXT
        fields = {**_fields(entry.cls, definitions, entry.cls.model_fields), **beside}
        forms.append(_mapping({"world": {"const": name}, "size": sizes, **fields}, required=("world", "size")))
    return {"anyOf": [*forms, _outside("world")]}


def _data(definitions: dict[str, Schema], columns: Columns) -> Schema:
    limit = _fields(Data, definitions, ("limit",))
    names = _mapping(dict.fromkeys(columns.names, _TEXT))
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


def _forms(definitions: dict[str, Schema]) -> None:
    """Define the forms that fields of plug-ins take: plug-ins, policies, data and rewards, inside one another."""
    definitions.update({f"data.{name}": _data(definitions, columns) for name, columns in COLUMNS.items()})
    definitions["policy"] = _policy(definitions, {})
    label = {LABEL: {**_TEXT, "description": "the name of this judge in rows and tables"}}
    task = {TASK: {**_form("task"), "description": "the task whose truth the judge needs"}}
    definitions["method"] = _plugins("method", discover.methods(), definitions, "inner")
    definitions["task"] = _plugins("task", discover.tasks(), definitions, "task")
    for word, beside in (("judge", {}), ("named", label), ("rewarding", task)):
        form = _plugins("judge", discover.judges(), definitions, word, beside)
        definitions[word] = {"anyOf": [*form["anyOf"], _policy(definitions, beside)]}
    # A text is never a judge here: it is `model` or a file.
    judges = [form for form in definitions["rewarding"]["anyOf"] if "enum" not in form and form is not _FILE]
    reward = {"anyOf": [{"const": MODEL}, _FILE, *judges]}
    definitions["one_reward"] = reward
    single = {"$ref": f"{REFERENCE}one_reward"}
    part = _mapping({REWARD: single, WEIGHT: {"type": "number", "default": 1.0}}, required=(REWARD,))
    mixed = {"type": "array", "items": {"anyOf": [single, part]}, "minItems": 1}
    definitions["reward"] = {"anyOf": [single, mixed]}


def _form(form: Form, field: str = PREFERENCES) -> Schema:
    """Return a reference to the schema of a form; data has the columns of the field's name."""
    if form == "data":
        return {"$ref": f"{REFERENCE}data.{field if field in COLUMNS else PREFERENCES}"}
    return {"$ref": f"{REFERENCE}{form}"}


def _methods(definitions: dict[str, Schema]) -> Schema:
    lora = {"anyOf": [{"const": NO_ADAPTER}, _model(Lora, definitions)]}
    arm = {"replicate": {**_TEXT, "description": "a name for an independent repetition: an A/A control"}, "lora": lora}
    named = []
    by_name = {}
    for name, entry in discover.methods().items():
        fields = _fields(entry.cls, definitions, settable(entry.cls))
        schema = _mapping({"method": {"const": name}, **arm, **fields})
        definitions[f"method.{name}"] = {**schema, "description": entry.about}
        reference = {"$ref": f"{REFERENCE}method.{name}"}
        by_name[name] = {"anyOf": [{"type": "null"}, reference, {"$ref": f"{REFERENCE}arm"}]}
        named.append({**reference, "required": ["method"]})
    definitions["arm"] = {"anyOf": [*named, _outside("method")]}
    rest = {"$ref": f"{REFERENCE}arm"}
    return {"type": "object", "properties": by_name, "additionalProperties": rest, "minProperties": 1}


def _evaluate(definitions: dict[str, Schema]) -> Schema:
    own = _fields(Evaluation, definitions, ("draws", "orders", "retest"))
    limit = _fields(Data, definitions, ("limit",))
    judges = _list({"$ref": f"{REFERENCE}named"})
    win_rate = {
        "judges": judges,
        "versus": _TEXT,
        "orders": own["orders"],
        "retest": own["retest"],
        LENGTH_CONTROL: _length_control(definitions),
    }
    labelling = {"data": _form("data"), "judges": judges, **limit}
    fields = _fields(LmEvalTask, definitions, [key for key in LM_EVAL_KEYS if key in LmEvalTask.model_fields])
    lm_eval = {**_mapping({LM_EVAL: _TEXT, **fields}, required=(LM_EVAL,)), "description": "a task of lm-eval"}
    pair = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
    return _mapping(
        {
            "tasks": _list({"anyOf": [lm_eval, _form("task")]}),
            "draws": own["draws"],
            "win_rate": _mapping(win_rate, required=("judges", "versus")),
            "ratings": {**judges, "description": "judges that rate every response on their own scale"},
            "divergence": {
                **_mapping({FROM: _TEXT}, required=(FROM,)),
                "description": "the KL divergence of every arm from the policy of this one",
            },
            "labelling": {
                **_mapping(labelling, required=("data", "judges")),
                "description": "how often judges agree with the labels of a data set",
            },
            FACTUALITY: _factuality(definitions),
            "contrasts": {**_list(pair), "description": "pairs beside the default ones"},
            "gap_closed": {
                **_list(_mapping(dict.fromkeys(GAP_KEYS, _TEXT), required=GAP_KEYS[:3])),
                "description": "which share of the gap between two methods a third one closes",
            },
            "tax": {
                "anyOf": [{"const": NO_TAX}, _model(AlignmentTax, definitions)],
                "description": "within which margin every arm must keep the benchmarks of this one",
            },
        }
    )


def _factuality(definitions: dict[str, Schema]) -> Schema:
    found: dict[str, Mapping[str, discover.Entry[Any]]] = {
        "extractor": discover.extractors(),
        RETRIEVER: discover.retrievers(),
        "verifier": discover.verifiers(),
    }
    plugins = {word: _plugins(word, entries, definitions, word) for word, entries in found.items()}
    counts = _fields(Knowledge, definitions, ("passages", "words"))
    worlds = _plugins("world", discover.worlds(), definitions, "about")
    forms = [
        _mapping({name: schema, RETRIEVER: plugins[RETRIEVER], **counts}, required=(name,))
        for name, schema in (("path", _TEXT), ("world", worlds))
    ]
    properties = {
        "tasks": _list(_TEXT),
        "extractor": plugins["extractor"],
        "knowledge": {"anyOf": forms, "description": "what a verifier retrieves passages from"},
        "verifier": plugins["verifier"],
        **_fields(Factuality, definitions, (GAMMA,)),
    }
    about = "how the claims of responses are found and checked"
    return {**_mapping(properties, required=("extractor", "verifier")), "description": about}


def _length_control(definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a length control: its model's name, or a mapping with the model's settings."""
    own = _fields(LengthControl, definitions, ("model", "difficulty"))
    options = {DIFFICULTY_FILE: _TEXT, CALIBRATION: {"anyOf": [_TEXT, _list(_TEXT)]}}
    return {
        "anyOf": [own["model"], _mapping({**own, **options}, required=("model",))],
        "description": "how a second win rate is estimated at equal length",
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _plugins(
    word: str,
    entries: Mapping[str, discover.Entry[Any]],
    definitions: dict[str, Schema],
    prefix: str,
    beside: Mapping[str, Schema] | None = None,
) -> Schema:
    """Return the schema of a plug-in: a name, a file, or a mapping with the plug-in's fields and those ``beside``."""
    beside = beside or {}
    forms: list[Schema] = [{"enum": list(entries)}, _FILE, _outside(word)]
    for name, entry in entries.items():
        cls: type[Open] = entry.cls
        names = settable(cls)
        required = [field for field in names if cls.model_fields[field].is_required()]
        fields = {word: {"const": name}, **beside, **_fields(cls, definitions, names)}
        definitions[f"{prefix}.{name}"] = {**_mapping(fields, required=(word, *required)), "description": entry.about}
        forms.append({"$ref": f"{REFERENCE}{prefix}.{name}"})
    return {"anyOf": forms}


def _gate(definitions: dict[str, Schema]) -> Schema:
    fields = _fields(Criterion, definitions, Criterion.model_fields)
    one = _mapping(fields, required=("metric", "method", "versus"))
    criterion = {**one, "oneOf": [{"required": [margin]} for margin in MARGINS]}
    criteria: Schema = {"type": "array", "items": criterion, "minItems": 1}
    settings = _fields(GateSettings, definitions, GateSettings.model_fields)
    return {"anyOf": [criteria, _mapping({CRITERIA: criteria, **settings}, required=(CRITERIA,))]}


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
    """Return the schema of some fields of a model; what they refer to goes to ``definitions``.

    A field that holds a plug-in, a policy, data or a reward has the form that a comparison file writes.
    """
    wanted = list(names)
    nested = nested_fields(cls)
    prefix = f"{cls.__module__}.{cls.__name__}"
    schema = cls.model_json_schema(ref_template=f"{REFERENCE}{prefix}.{{model}}")
    for name, part in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = part
    return {name: _nested(nested[name], name) if name in nested else schema["properties"][name] for name in wanted}


def _nested(nested: Nested, name: str) -> Schema:
    form = _form(nested.form, name)
    schema = _list(form) if nested.many else form
    return {"anyOf": [schema, {"type": "null"}]} if nested.nullable else schema
