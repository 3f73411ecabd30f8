"""Frozen values: content identity, JSON form, and loading the JSON form back in another process."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from bench.core.errors import BenchError

PLUGIN_PREFIX = "alignment_bench_plugin_"


class Frozen(BaseModel):
    """An immutable value whose fields are all part of its identity, except those named in ``LOCATIONS``.

    ``LOCATIONS`` names fields that say only where something lies or how it is reached (a path beside a digest of its
    content, the address of a server). ``ADDED`` names fields that came when stages had keys already: at their default
    they are not part of the identity either, so that what was computed before them is found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
    LOCATIONS: ClassVar[frozenset[str]] = frozenset()
    ADDED: ClassVar[frozenset[str]] = frozenset()

    def identifying(self) -> list[str]:
        """Return the names of the fields that are part of this value's identity, sorted."""
        fields = type(self).model_fields
        later = {
            name for name in self.ADDED if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        }
        return sorted(fields.keys() - self.LOCATIONS - later)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a new, validated value with some fields replaced.

        Pydantic's own copy would skip validation and carry a cached key over to a value that it does not belong to.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**fields, **(update or {})})


class Open(Frozen):
    """A frozen value that may be any subclass of the declared type; its JSON form carries the class's address.

    ``VERSION`` is raised by hand when the class computes something else from the same fields; it is in every digest.
    ``FILE_TO_COME``: for a class that reads a file which may not be there yet, its name where none is given.
    ``SPREAD``: for a class with one field whose own keys a comparison writes in the class's place, the field's name.
    """

    VERSION: ClassVar[int] = 1
    FILE_TO_COME: ClassVar[str | None] = None
    SPREAD: ClassVar[str | None] = None

    @model_validator(mode="wrap")
    @classmethod
    def _as_its_own_class(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, Mapping) and "is" in value:
            target = locate(value["is"])
            if not issubclass(target, cls):
                raise ValueError(f"{value['is']} is not a {cls.__name__}")
            rest = {name: item for name, item in value.items() if name != "is"}
            return handler(rest) if target is cls else target.model_validate(rest)
        return handler(value)

    @classmethod
    def source_digest(cls) -> str | None:
        """Return the digest of the defining file for a class from outside the packages, else None.

        A stage of ours has a VERSION guarded by a lock file; a file of a user has none, so its whole text counts.
        """
        module = cls.__module__
        if not module.startswith(PLUGIN_PREFIX):
            return None
        return module.removeprefix(PLUGIN_PREFIX)


def identity(value: Any) -> Any:
    """Return the JSON value that a digest is taken over: classes by name, stages by key, locations left out.

    Raises TypeError for anything without a canonical form (sets of mixed values, paths, objects), because a
    representation that guesses can collide.
    """
    if isinstance(value, Frozen):
        key = getattr(value, "key", None)
        return {"stage": key} if isinstance(key, str) else own_identity(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return {"float": value.hex()}
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError("only text keys have a canonical form")
        return {"map": {name: identity(value[name]) for name in sorted(value)}}
    if isinstance(value, tuple | list):
        return [identity(item) for item in value]
    if isinstance(value, frozenset):
        return {"set": sorted(json.dumps(identity(item), sort_keys=True) for item in value)}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def own_identity(value: Frozen) -> dict[str, Any]:
    """Return the identity of a frozen value by its own fields, even when it is a stage."""
    fields = {name: identity(getattr(value, name)) for name in value.identifying()}
    found: dict[str, Any] = {"type": type(value).__name__, "fields": fields}
    if isinstance(value, Open):
        found["version"] = value.VERSION
        source = type(value).source_digest()
        if source:
            found["source"] = source
    return found


def digest(value: Any) -> str:
    """Return the sha256 (64 hexadecimal digits) of a value's identity."""
    text = json.dumps(identity(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode(value: Any) -> Any:
    """Return the JSON form of a value, from which ``decode`` builds an equal value in any process."""
    if isinstance(value, Frozen):
        body = {name: encode(getattr(value, name)) for name in type(value).model_fields}
        return {"is": address(type(value)), **body} if isinstance(value, Open) else body
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(encode(item) for item in value)
    return value


def decode(form: Any) -> Any:
    """Return the value that ``encode`` wrote for an open class (a stage, a task, a judge)."""
    return locate(form["is"]).model_validate(form)


def children(value: Any) -> Iterator[Any]:
    """Yield the direct parts of a frozen value, a mapping or a sequence."""
    if isinstance(value, Frozen):
        for name in type(value).model_fields:
            yield getattr(value, name)
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, tuple | list | frozenset):
        yield from value


def address(cls: type) -> str:
    """Return ``module:Class``, or ``file:/path.py:Class`` for a class from a file beside a comparison."""
    if cls.__module__.startswith(PLUGIN_PREFIX):
        return f"file:{sys.modules[cls.__module__].__file__}:{cls.__qualname__}"
    return f"{cls.__module__}:{cls.__qualname__}"


def locate(where: str) -> type[Open]:
    """Return the class at an address; raises BenchError when there is none."""
    module_name, _, qualname = where.rpartition(":")
    if module_name.startswith("file:"):
        module = load_file(Path(module_name.removeprefix("file:")))
    else:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise BenchError(f"no module for {where}: {error}") from error
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Open)):
        raise BenchError(f"{where} names no class of this program")
    return found


def load_file(path: Path) -> ModuleType:
    """Return the module in a Python file outside the packages, loaded once per content."""
    if not path.is_file():
        raise BenchError(f"{path}: no such file")
    name = PLUGIN_PREFIX + digest_of_file(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BenchError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
