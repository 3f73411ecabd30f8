"""JSON Schema of comparison.yaml, for the completion and the checks of editors.

What a field may hold and what it is for is declared once, in the model of its section, and pydantic says it in JSON
Schema. Written here by hand is only what a comparison file writes in a form of its own: plug-ins by name, policies and
data by where they come from, lists and short forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from bench.config.comparison import (
    AlignmentTax,
    Arm,
    Common,
    Comparison,
    Criterion,
    Evaluation,
    Factuality,
    GapClosed,
    GateSettings,
    Labelling,
    LengthControl,
    StatisticsSettings,
)
from bench.config.fields.data_sources import COLUMNS, FILE_KEYS, HUB_KEYS, PREFERENCES, SHARE, Columns
from bench.config.fields.forms import FormField, form_fields
from bench.config.fields.named_plugins import MODEL, REWARD, WEIGHT, settable
from bench.config.fields.sources import ADAPTER, ADAPTER_FORMS, POLICY_FORMS
from bench.config.load import REQUIRED
from bench.config.sections.evaluate import EVALUATE_KEYS, FROM, LABEL, LENGTH_CONTROL, WIN_RATE_KEYS
from bench.config.sections.factuality import COUNTS, FACTUALITY
from bench.config.sections.gap_closed import GAP_KEYS
from bench.config.sections.gate import CRITERIA, MARGINS
from bench.config.sections.given import NO_ADAPTER
from bench.config.sections.length_control import CALIBRATION, DIFFICULTY_FILE
from bench.config.sections.length_control import KEYS as LENGTH_CONTROL_KEYS
from bench.config.sections.lm_eval import KEYS as LM_EVAL_KEYS
from bench.config.sections.lm_eval import WORD as LM_EVAL
from bench.config.sections.methods import REFERENCE as REFERENCE_POLICY
from bench.config.sections.methods import START
from bench.config.sections.tax import NONE as NO_TAX
from bench.core.benchmark import LmEvalTask
from bench.core.checker import Knowledge
from bench.core.data import Data, Weighted
from bench.core.frozen import Open
from bench.core.method import Lora
from bench.core.plugins import EXTRACTOR, JUDGE, METHOD, RETRIEVER, TASK, VERIFIER, WORLD, Kind, listing
from bench.core.policy import Built, Pretrained
from bench.core.row_formats.listing import PLAIN, serving
from bench.core.task import World

P = TypeVar("P", bound=Open)
Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/"
_FILE = {"type": "string", "pattern": r"\.py$", "description": "a Python file beside the comparison"}
_TEXT = {"type": "string", "minLength": 1}
_NULL = {"type": "null"}


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a comparison file.

    It knows the methods, judges, tasks and worlds that are installed, with their fields, defaults and descriptions,
    and imports them all. What needs more than one place of the file to tell (a contrast that names an unknown arm) is
    left to ``load_comparison``.
    """
    definitions: dict[str, Schema] = {}
    _define_forms(definitions)
    root = {
        "question": {**_TEXT, "description": "the question that this comparison answers"},
        "extends": {"type": "string", "description": "another comparison file; what stands here goes over it"},
        "given": _given(definitions),
        "methods": _methods(definitions),
        "evaluate": _evaluate(definitions),
        "statistics": _model(StatisticsSettings, definitions),
        "gate": _gate(definitions),
        **_fields(Comparison, definitions, ("timeout",)),
    }
    whole = _mapping(root)
    # A file that extends another may leave out what the other one has.
    whole["anyOf"] = [{"required": ["extends"]}, {"required": list(REQUIRED)}]
    used = _used(whole, definitions)
    return {"$schema": DIALECT, "title": "comparison.yaml of alignment-bench", **whole, "$defs": used}


def _given(definitions: dict[str, Schema]) -> Schema:
    fields = _fields(Common, definitions, forms={"lora": _adapter(definitions)})
    return _mapping({name: _without_null(part) for name, part in fields.items()})


def _methods(definitions: dict[str, Schema]) -> Schema:
    own = _fields(Arm, definitions, ("replicate", "lora"), {"lora": _adapter(definitions)})
    arm = {name: _without_null(part) for name, part in own.items()}
    named = []
    by_name = {}
    for name, entry in listing(METHOD).items():
        beside = {"method": {"const": name}, **arm}
        fields = _fields(entry.cls, definitions, settable(entry.cls))
        schema = _spread(entry.cls, definitions, beside) or _mapping({**beside, **fields, **_brought(fields)})
        definitions[f"method.{name}"] = {**schema, "description": entry.about}
        by_name[name] = {"anyOf": [_NULL, _reference(f"method.{name}"), _reference("arm")]}
        named.append({**_reference(f"method.{name}"), "required": ["method"]})
    definitions["arm"] = {"anyOf": [*named, _outside(METHOD)]}
    return {
        "type": "object", "properties": by_name, "additionalProperties": _reference("arm"), "minProperties": 1
    }  # fmt: skip


def _brought(fields: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the schema of the policies from elsewhere that an arm may have, beside its method's own fields."""
    policy = _reference("policy")
    start = {"anyOf": [fields[START], policy]} if START in fields else policy
    return {START: start, REFERENCE_POLICY: fields.get(REFERENCE_POLICY, policy)}


def _adapter(definitions: dict[str, Schema]) -> Schema:
    return {"anyOf": [{"const": NO_ADAPTER}, _model(Lora, definitions)]}


def _evaluate(definitions: dict[str, Schema]) -> Schema:
    judges: dict[str, Schema] = {"judges": _list(_reference("named"))}
    names = {"versus": _TEXT, LENGTH_CONTROL: _length_control(definitions)}
    win_rate = _fields(Evaluation, definitions, WIN_RATE_KEYS, {**judges, **names})
    labelling = _model(Labelling, definitions, forms={**judges, **_fields(Data, definitions, ("limit",))})
    lm_eval = _model(LmEvalTask, definitions, LM_EVAL_KEYS, {LM_EVAL: _TEXT}, required=(LM_EVAL,))
    gap = _model(GapClosed, definitions, GAP_KEYS, dict.fromkeys(GAP_KEYS, _TEXT), required=GAP_KEYS[:3])
    pair = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
    forms = {
        "tasks": _list({"anyOf": [lm_eval, _reference("task")]}),
        "win_rate": _mapping(win_rate, required=("judges", "versus")),
        "ratings": judges["judges"],
        "divergence": _mapping({FROM: _TEXT}, required=(FROM,)),
        "labelling": labelling,
        FACTUALITY: _factuality(definitions),
        "measurements": _list(_TEXT),
        "contrasts": {**_list(pair), "description": "pairs beside the default ones"},
        "gap_closed": _list(gap),
        "tax": {"anyOf": [{"const": NO_TAX}, _model(AlignmentTax, definitions)]},
    }
    return _mapping(_fields(Evaluation, definitions, EVALUATE_KEYS, forms))


def _factuality(definitions: dict[str, Schema]) -> Schema:
    retriever = {RETRIEVER.word: _plugins(RETRIEVER, definitions, "retriever")}
    counts = _fields(Knowledge, definitions, COUNTS)
    sources = {"path": _TEXT, WORLD.word: _plugins(WORLD, definitions, "about")}
    forms: dict[str, Schema] = {
        "tasks": _list(_TEXT),
        "extractor": _plugins(EXTRACTOR, definitions, "extractor"),
        "knowledge": {
            "anyOf": [_mapping({name: part, **retriever, **counts}, required=(name,)) for name, part in sources.items()]
        },
        "verifier": _plugins(VERIFIER, definitions, "verifier"),
    }
    return _model(Factuality, definitions, forms=forms, required=("extractor", "verifier"))


def _length_control(definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a length control: its model's name, or a mapping with the model's settings."""
    forms: dict[str, Schema] = {DIFFICULTY_FILE: _TEXT, CALIBRATION: {"anyOf": [_TEXT, _list(_TEXT)]}}
    whole = _model(LengthControl, definitions, LENGTH_CONTROL_KEYS, forms, required=("model",))
    return {"anyOf": [whole["properties"]["model"], whole]}


def _gate(definitions: dict[str, Schema]) -> Schema:
    one_margin = [{"required": [margin]} for margin in MARGINS]
    criteria = _list({**_model(Criterion, definitions), "oneOf": one_margin})
    settings = _fields(GateSettings, definitions)
    return {"anyOf": [criteria, _mapping({CRITERIA: criteria, **settings}, required=(CRITERIA,))]}


def _define_forms(definitions: dict[str, Schema]) -> None:
    """Define the forms that fields of plug-ins take: plug-ins, policies, data and rewards, inside one another."""
    definitions.update({f"data.{name}": _data(definitions, columns) for name, columns in COLUMNS.items()})
    definitions["policy"] = _policy(definitions, {})
    label = {LABEL: {**_TEXT, "description": "the name of this judge in rows and tables"}}
    task = {TASK.word: {**_reference("task"), "description": "the task whose truth the judge needs"}}
    definitions["method"] = _plugins(METHOD, definitions, "inner")
    definitions["task"] = _plugins(TASK, definitions, "task")
    beside: dict[str, Mapping[str, Schema]] = {"judge": {}, "named": label, "rewarding": task}
    for word, own in beside.items():
        form = _plugins(JUDGE, definitions, word, own)
        definitions[word] = {"anyOf": [*form["anyOf"], _policy(definitions, own)]}
    # A text is never a judge here: it is `model` or a file.
    judges = [form for form in definitions["rewarding"]["anyOf"] if "enum" not in form and form is not _FILE]
    definitions["one_reward"] = {"anyOf": [{"const": MODEL}, _FILE, *judges]}
    single = _reference("one_reward")
    part = _mapping({REWARD: single, WEIGHT: {"type": "number", "default": 1.0}}, required=(REWARD,))
    definitions["reward"] = {"anyOf": [single, _list({"anyOf": [single, part]})]}


def _policy(definitions: dict[str, Schema], beside: Mapping[str, Schema]) -> Schema:
    """Return the schema of a policy; ``beside`` are keys of the same mapping that belong to whoever holds it."""
    folder = {"type": "string", "description": "a folder with config.json and *.safetensors"}
    adapter = {ADAPTER: _adapters()}
    path = _fields(Pretrained, definitions, POLICY_FORMS["path"], {"path": folder, **adapter})
    repo = _fields(Pretrained, definitions, POLICY_FORMS["repo"], {"repo": _TEXT, "revision": _TEXT, **adapter})
    file = {"type": "string", "pattern": r"\.gguf$", "description": "a GGUF file of a whole model"}
    gguf = _fields(Pretrained, definitions, POLICY_FORMS["gguf"], {"gguf": file, **adapter})
    forms = [
        _mapping({**gguf, **beside}, required=("gguf",)),
        _mapping({**path, **beside}, required=("path",)),
        _mapping({**repo, **beside}, required=("repo", "revision")),
    ]
    own = {**_fields(Built, definitions, ("dtype",)), **beside}
    return {"anyOf": [*forms, *_worlds(definitions, "size", lambda world: world.sizes(), own)]}


def _adapters() -> Schema:
    """Return the schema of adapters made elsewhere: a folder, a folder or a repository as a mapping, or a list."""
    one = [_TEXT, *(_mapping(dict.fromkeys(keys, _TEXT), required=keys) for keys in ADAPTER_FORMS.values())]
    return {"anyOf": [*one, _list({"anyOf": one})], "description": "a folder with adapter_config.json, or several"}


def _spread(cls: type[Open], definitions: dict[str, Schema], beside: Mapping[str, Schema]) -> Schema | None:
    """Return the schema of a plug-in that is written as a policy is; None for any other."""
    if cls.SPREAD is None:
        return None
    alone = _mapping({ADAPTER: _adapters(), **beside}, required=(ADAPTER,))
    return {"anyOf": [alone, *_policy(definitions, beside)["anyOf"]]}


def _data(definitions: dict[str, Schema], columns: Columns) -> Schema:
    optional: Schema = {"anyOf": [_TEXT, {"type": "null"}]}
    known = {**dict.fromkeys(sorted(columns.of_formats()), optional), **dict.fromkeys(columns.names, optional)}
    formats = {"enum": [PLAIN, *(one.name for one in serving(columns.rows_of))]}
    forms: dict[str, Schema] = {"path": _TEXT, "columns": _mapping(known), "format": formats}
    path = _fields(Data, definitions, FILE_KEYS, forms)
    texts = dict.fromkeys(HUB_KEYS[: HUB_KEYS.index("columns")], _TEXT)
    repo = {**texts, **{name: item for name, item in path.items() if name in HUB_KEYS and name not in texts}}
    weight = _fields(Weighted, definitions, (SHARE,))
    files = {"path": path, "repo": repo}
    part = {"anyOf": [_TEXT, *(_mapping({**form, **weight}, required=(name,)) for name, form in files.items())]}
    mixture = _mapping({"paths": _list(part)}, required=("paths",))
    worlds = _worlds(definitions, "split", lambda world: world.splits(), _fields(Data, definitions, ("limit",)))
    return {"anyOf": [*(_mapping(form, required=(name,)) for name, form in files.items()), mixture, *worlds]}


def _worlds(
    definitions: dict[str, Schema],
    key: str,
    known: Callable[[World], Sequence[str]],
    beside: Mapping[str, Schema],
) -> list[Schema]:
    """Return a form for each world, and one for those of files; under ``key`` stands one of the ``known`` names."""
    forms = []
    for name, entry in listing(WORLD).items():
        # A world that needs a field cannot be made here, so nobody knows its sizes and splits.
        ready = not any(info.is_required() for info in entry.cls.model_fields.values())
        chosen = {"enum": list(known(entry.cls()))} if ready else _TEXT
        own = {WORLD.word: {"const": name}, key: chosen, **_fields(entry.cls, definitions), **beside}
        forms.append(_mapping(own, required=(WORLD.word, key)))
    return [*forms, _outside(WORLD)]


def _plugins(
    kind: Kind[P], definitions: dict[str, Schema], prefix: str, beside: Mapping[str, Schema] | None = None
) -> Schema:  # fmt: skip
    """Return the schema of a plug-in: a name, a file, or a mapping with the plug-in's fields and those ``beside``."""
    entries = listing(kind)
    forms: list[Schema] = [{"enum": list(entries)}, _FILE, _outside(kind)]
    for name, entry in entries.items():
        names = settable(entry.cls)
        required = [field for field in names if entry.cls.model_fields[field].is_required()]
        own = {kind.word: {"const": name}, **(beside or {})}
        schema = _spread(entry.cls, definitions, own) or _mapping(
            {**own, **_fields(entry.cls, definitions, names)}, required=(kind.word, *required)
        )
        definitions[f"{prefix}.{name}"] = {**schema, "description": entry.about}
        forms.append(_reference(f"{prefix}.{name}"))
    return {"anyOf": forms}


def _outside(kind: Kind[Any]) -> Schema:
    """Return the schema of a plug-in from a file, whose fields are not known here."""
    return {"type": "object", "properties": {kind.word: _FILE}, "required": [kind.word]}


def _model(
    cls: type[BaseModel],
    definitions: dict[str, Schema],
    names: Iterable[str] | None = None,
    forms: Mapping[str, Schema] | None = None,
    required: Iterable[str] | None = None,
) -> Schema:
    """Return the schema of a mapping with the fields of a model; see ``_fields``."""
    needed = [name for name, info in cls.model_fields.items() if info.is_required()] if required is None else required
    schema = _mapping(_fields(cls, definitions, names, forms), needed)
    return {**schema, "description": (cls.__doc__ or "").strip().partition("\n")[0]}


def _fields(
    cls: type[BaseModel],
    definitions: dict[str, Schema],
    names: Iterable[str] | None = None,
    forms: Mapping[str, Schema] | None = None,
) -> dict[str, Schema]:
    """Return the schema of the fields of those names, by name; what they refer to goes to ``definitions``.

    ``names``: all fields of the model and all ``forms`` where there are none. ``forms`` are what a comparison file
    writes in a form of its own, described as the model's field is; a field that holds a plug-in, a policy, data or a
    reward is one of them by its type.
    """
    prefix = f"{cls.__module__}.{cls.__name__}"
    schema = cls.model_json_schema(ref_template=f"{REFERENCE}{prefix}.{{model}}")
    for name, part in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = part
    own: dict[str, Schema] = schema.get("properties", {})
    written = {**{name: _form_field(field, name) for name, field in form_fields(cls).items()}, **(forms or {})}
    found: dict[str, Schema] = {}
    for name in {**own, **written} if names is None else names:
        described = {key: text for key, text in own.get(name, {}).items() if key == "description"}
        found[name] = {**described, **written[name]} if name in written else own[name]
    return found


def _form_field(field: FormField, name: str) -> Schema:
    """Return the schema of a field that holds a form; data has the columns of the field's name."""
    form = _reference(f"data.{name if name in COLUMNS else PREFERENCES}" if field.form == "data" else field.form)
    schema = _list(form) if field.many else form
    return {"anyOf": [schema, _NULL]} if field.nullable else schema


def _without_null(schema: Schema) -> Schema:
    """Return the schema of a key that is left out where it is not wanted, and never null."""
    options = [option for option in schema.get("anyOf", []) if option != _NULL]
    rest = {key: part for key, part in schema.items() if key != "anyOf" and (key, part) != ("default", None)}
    if len(options) == 1:
        return {**options[0], **rest}
    return {**rest, "anyOf": options} if options else rest


def _reference(name: str) -> Schema:
    return {"$ref": f"{REFERENCE}{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _mapping(properties: Mapping[str, Any], required: Iterable[str] = ()) -> Schema:
    schema: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    needed = list(required)
    return {**schema, "required": needed} if needed else schema


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
