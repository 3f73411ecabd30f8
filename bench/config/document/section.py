"""Reading the sections of a comparison file: a wrong value becomes a problem with a place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bench.config.document.merged import MergedDocument
from bench.config.document.problems import KeyPath, Place, Problems
from bench.config.fields.named_files import FilesToRead
from bench.core.errors import BenchError, abridged, did_you_mean
from bench.core.files import resolved
from bench.core.frozen import Frozen, Open
from bench.core.plugins import Kind, find

F = TypeVar("F", bound=Frozen)
P = TypeVar("P", bound=Open)
_KEYS_SHOWN = 10
_HINTS_WHOLE = 3  # unknown keys that are told all known ones
UNREAD = object()  # stands for a field whose problems have been reported, so that nothing else is reported about it
_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
}


class Section:
    """The merged document, which is read section by section, the problems found in it, and how its files are read."""

    def __init__(self, document: MergedDocument, problems: Problems, files: FilesToRead) -> None:
        self.root = document.value
        self.files = files
        self._places = document.places
        self._problems = problems

    @property
    def count(self) -> int:
        """How many problems have been found so far."""
        return len(self._problems)

    def place(self, path: KeyPath) -> Place:
        """Return where a key path stands, or the nearest mapping around it for a key that is missing."""
        while path not in self._places:
            path = path[:-1]
        return self._places[path]

    def problem(self, path: KeyPath, what: str, next_step: str | None = None) -> None:
        """Note a problem at a key path."""
        self._problems.add(self.place(path), path, what, next_step)

    def refused(self, path: KeyPath, error: BenchError) -> None:
        """Note the text of an error as a problem at a key path; its further lines say what to do next."""
        what, _, rest = str(error).partition("\n")
        self.problem(path, what, rest.strip() or None)

    def unusable(self, path: KeyPath, error: BenchError) -> None:
        """Note the text of an error about what a file says, unless the file's content is not used."""
        if not self.files.forgives(error):
            self.refused(path, error)

    def resolve(self, path: KeyPath, text: str) -> Path:
        """Return the file or folder that a text at a key path names, relative to where the text stands."""
        return resolved(self.place(path).folder / text)

    def plugin(self, kind: Kind[P], path: KeyPath, name: str, fields: Mapping[str, Any]) -> type[P] | P:
        """Return the class of the plug-in that a name or file at a key path names.

        What stands in for it, with ``fields`` as written, where it is of others and their code is not run. Raises
        BenchError where there is none.
        """
        stood_in = self.files.stand_in(kind, name, self.resolve(path, name), fields)
        return find(kind, name, self.place(path).folder) if stood_in is None else stood_in

    def keys(
        self, path: KeyPath, value: Any, known: Collection[str], required: Collection[str] = ()
    ) -> dict[str, Any] | None:
        """Return the known keys of a mapping, None when the value is no mapping; report unknown and missing ones."""
        if not isinstance(value, dict):
            self.problem(path, f"must be a mapping, not {as_written(value)}", f"known keys: {', '.join(known)}")
            return None
        unknown = [key for key in value if key not in known]
        for number, key in enumerate(unknown[:_KEYS_SHOWN]):
            hint = did_you_mean(key, known)
            hint = hint if number < _HINTS_WHOLE else hint.partition(" (")[0] if "?" in hint else ""
            self.problem((*path, key), f"unknown key '{abridged(key, 80)}'. {hint}".strip(), "remove or rename it")
        if len(unknown) > _KEYS_SHOWN:
            self.problem(path, f"and {len(unknown) - _KEYS_SHOWN:,} more unknown keys", "remove or rename them")
        for key in required:
            if key not in value:
                self.problem((*path, key), "is missing", f"add `{key}: ...`")
        return {key: item for key, item in value.items() if key in known}

    def items(self, path: KeyPath, value: Any, word: str) -> list[Any]:
        """Return a list's items; report a value that is no list, and an empty list."""
        if isinstance(value, list) and value:
            return value
        got = "this list is empty" if value == [] else f"not {as_written(value)}"
        self.problem(path, f"must be a list with at least one {word}; {got}", f"write [{word}, ...]")
        return []

    def build(
        self, cls: type[F], path: KeyPath, fields: Mapping[str, Any], computed: Mapping[str, Any] | None = None
    ) -> F | None:
        """Return the frozen value of the fields at a key path, None (and the problems reported) when they are wrong.

        ``computed`` are fields that the file does not give itself, or that were read before; ``UNREAD`` for one that
        could not be.
        """
        computed = computed or {}
        try:
            return cls.model_validate({**_frozen(fields), **computed}, strict=True)
        except ValidationError as error:
            self._report(path, error, cls, {name for name, value in computed.items() if value is UNREAD})
        except BenchError as error:
            self.refused(path, error)
        return None

    def field(self, cls: type[Frozen], name: str, path: KeyPath, value: Any) -> bool:
        """Return whether a value fits one field of a frozen class; the problem is noted when it does not."""
        info = cls.model_fields[name]
        kind: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        try:
            TypeAdapter(kind).validate_python(_frozen(value), strict=True)
        except ValidationError as error:
            self._report(path, error, None, ())
            return False
        return True

    def model(self, cls: type[F], path: KeyPath, value: Any) -> F | None:
        """Return the frozen value of a mapping that has the fields of ``cls`` for keys, None when wrong (reported)."""
        fields = self.keys(path, value, list(cls.model_fields))
        return None if fields is None else self.build(cls, path, fields)

    def settings(
        self, cls: type[Frozen], path: KeyPath, fields: Mapping[str, Any], names: Collection[str]
    ) -> dict[str, Any]:
        """Return those of the named fields of ``cls`` that a mapping has, wrong ones left out and reported."""
        there = {name: fields[name] for name in names if name in fields}
        return {name: value for name, value in there.items() if self.field(cls, name, (*path, name), value)}

    def _report(
        self, path: KeyPath, error: ValidationError, cls: type[BaseModel] | None, reported: Collection[str]
    ) -> None:
        """Note every problem of a validation error but those of fields reported before.

        Problems of one value's alternatives become one sentence.
        """
        by_path: dict[KeyPath, list[str]] = {}
        for detail in error.errors(include_url=False):
            if detail["loc"][:1] and detail["loc"][0] in reported:
                continue
            at = (*path, *detail["loc"])
            # A union adds the name of its alternative, which is no key: what stands in the file ends before it.
            while detail["type"] != "missing" and at not in self._places and len(at) > len(path):
                at = at[:-1]
            by_path.setdefault(at, []).append(sentence(detail, cls))
        for at, sentences in by_path.items():
            self.problem(at, " or ".join(dict.fromkeys(sentences)), _next_step(error, at[len(path) :]))


def sentence(detail: ErrorDetails, cls: type[BaseModel] | None) -> str:
    """Return one validation error in this program's words."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        known = _fields_at(cls, detail["loc"][:-1])
        return f"unknown key '{detail['loc'][-1]}'. {did_you_mean(str(detail['loc'][-1]), known)}"
    if kind == "literal_error":
        near = did_you_mean(value, _quoted(context["expected"])) if isinstance(value, str) else ""
        hint = f". {near.partition(' (')[0]}" if near.startswith("Did") else ""
        return f"must be {context['expected']}, not {as_written(value)}{hint}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {as_written(value)}"
    return f"{detail['msg'].replace('Input should', 'must')}, not {as_written(value)}"


def as_written(value: Any) -> str:
    """Return a value as a reader of the file knows it, abridged."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _frozen(value: Any) -> Any:
    """Return a value with its lists as tuples, which is what frozen values hold."""
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _next_step(error: ValidationError, loc: KeyPath) -> str | None:
    """Return what to do about a value of the wrong type where that is clear."""
    for detail in error.errors(include_url=False):
        if detail["loc"][: len(loc)] != loc:
            continue
        value = detail["input"]
        if detail["type"] in ("int_type", "float_type", "bool_type") and isinstance(value, str):
            return "write it without quotes" if value.strip("+-.").replace(".", "").isdecimal() else None
        if detail["type"] == "string_type" and isinstance(value, int | float):
            return "put it in quotes"
        if detail["type"] == "missing":
            return f"add `{detail['loc'][-1]}: ...`"
    return None


def _quoted(expected: str) -> list[str]:
    return [part for part in expected.split("'") if part.strip() not in ("", ",", "or")]


def _fields_at(cls: type[BaseModel] | None, loc: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the model that a location inside ``cls`` leads to."""
    for part in loc:
        if cls is not None and isinstance(part, str) and part in cls.model_fields:
            cls = _model_in(cls.model_fields[part].annotation)
    return list(cls.model_fields) if cls is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
