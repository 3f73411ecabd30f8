"""Finding plug-ins by name at run time: the file name is the registry.

``methods/NAME.py`` holds one Method, ``tasks/NAME.py`` one Task or one World, ``bench/evaluation/judges/NAME.py`` one
Judge, and so for ``measurements`` beside them and for ``checkers/{extractors,retrievers,verifiers}``. A name that ends
in ``.py`` is a file beside the comparison. Packages of others announce theirs as entry points in the groups
``alignment_bench.methods``, ``.tasks`` (tasks and worlds), ``.judges``, ``.measurements``, ``.extractors``,
``.retrievers`` and ``.verifiers``; a file of this program comes before an entry point of the same name.
"""

# Kinds are known by abstract classes, of which nobody makes an instance.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABCMeta
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeGuard, TypeVar, cast

from bench.core.checker import Extractor, Retriever, Verifier
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import load_file
from bench.core.judge import Judge
from bench.core.method import Method
from bench.core.task import Task, World

P = TypeVar("P")
OUR_PACKAGES = ("bench", "methods", "tasks")
LM_EVAL = "lm_eval"  # tasks/lm_eval/NAME.yaml are tasks of lm-eval


@dataclass(frozen=True)
class Kind(Generic[P]):
    """A kind of plug-in: the word for it, the class its plug-ins derive from, and the package they are found in.

    ``named`` kinds carry a NAME, which must equal the file name. ``alone`` tells whether every file of the package
    must hold a plug-in of this kind.
    """

    word: str
    base: type[P]
    package: str
    named: bool = True
    alone: bool = True

    @property
    def group(self) -> str:
        """The group of entry points in which packages of others announce theirs."""
        return f"alignment_bench.{self.package.rpartition('.')[2]}"

    @property
    def folder(self) -> str:
        """The folder of the package, as a contributor writes it."""
        return self.package.replace(".", "/")


METHOD = Kind("method", Method, "methods", named=False)
TASK = Kind("task", Task, "tasks", alone=False)
WORLD = Kind("world", World, "tasks", alone=False)
JUDGE = Kind("judge", Judge, "bench.evaluation.judges")
EXTRACTOR = Kind("extractor", Extractor, "bench.evaluation.checkers.extractors")
RETRIEVER = Kind("retriever", Retriever, "bench.evaluation.checkers.retrievers")
VERIFIER = Kind("verifier", Verifier, "bench.evaluation.checkers.verifiers")


KINDS: tuple[Kind[Any], ...] = (METHOD, TASK, WORLD, JUDGE, EXTRACTOR, RETRIEVER, VERIFIER)


@dataclass(frozen=True)
class Plugin(Generic[P]):
    """A plug-in that is there: its name in a comparison, where it comes from, and its class."""

    name: str
    origin: str
    cls: type[P]

    @property
    def about(self) -> str:
        """The first line of the class's documentation, or of its module's when the class has none of its own."""
        text = self.cls.__dict__.get("__doc__") or inspect.getmodule(self.cls).__doc__ or ""
        return text.strip().partition("\n")[0]


def find(kind: Kind[P], name: str, folder: Path = Path()) -> type[P]:
    """Return the plug-in of that name, or the one in the file ``name`` relative to ``folder``.

    Imports that one module and no other. Raises BenchError when there is none, with the near matches.
    """
    if name.endswith(".py"):
        return _only_class(kind, _loaded(folder / name), name)
    if name in _module_names(kind):
        return _from_package(kind, name)
    if name in (points := _points(kind)):
        return _from_point(kind, points[name])
    raise BenchError(
        f"unknown {kind.word} '{name}'. {did_you_mean(name, _known(kind))}\n"
        f"    to add one: create {kind.folder}/{name}.py with one {kind.base.__name__} subclass"
    )


def listing(kind: Kind[P]) -> dict[str, Plugin[P]]:
    """Return every plug-in of a kind by name, sorted. Imports them all; raises BenchError for one that is unusable."""
    found: dict[str, Plugin[P]] = {}
    for name, origin in sorted(_origins(kind).items()):
        cls = _of_kind(kind, name, origin)
        if cls is not None:
            found[name] = Plugin(name, origin if isinstance(origin, str) else origin.value, cls)
    return found


def own(kind: Kind[P]) -> list[type[P]]:
    """Return the plug-ins that are files of this program, by name; what other packages announce is not looked at."""
    return [_from_package(kind, name) for name in sorted(_module_names(kind))]


def is_own(kind: Kind[P], name: str) -> bool:
    """Return whether a plug-in of that name is a file of this program; nothing of it is imported."""
    return name in _module_names(kind)


def package_of(kind: Kind[P], name: str) -> str | None:
    """Return the installed package that announces a plug-in of that name, with its version; None where none does.

    Nothing of the package is imported.
    """
    point = _points(kind).get(name)
    return None if point is None or point.dist is None else f"{point.dist.name} {point.dist.version}"


def announced_as(kind: Kind[P], cls: type[P]) -> str | None:
    """Return the name under which a package announces a class, None where none does."""
    top, end = cls.__module__.partition(".")[0], f":{cls.__qualname__}"
    points = _points(kind).values()
    return next((one.name for one in points if one.value.endswith(end) and one.module.partition(".")[0] == top), None)


def is_of_others(cls: type) -> bool:
    """Return whether a class is from a file beside a comparison, or from a package of others."""
    return cls.__module__.partition(".")[0] not in OUR_PACKAGES


def lm_eval_folder(name: str) -> Path | None:
    """Return the folder of this program's own lm-eval tasks when one of that name is in it, else None."""
    package = _imported(TASK.package, f"the package {TASK.package}")
    folders = [Path(place) / LM_EVAL for place in package.__path__]
    return next((folder for folder in folders if (folder / f"{name}.yaml").is_file()), None)


def _known(kind: Kind[P]) -> set[str]:
    """Return the names to offer after a typo; a package shared with another kind must be imported to know them."""
    origins = _origins(kind)
    if kind.alone:
        return set(origins)
    known = set()
    for name, origin in origins.items():
        try:
            if _of_kind(kind, name, origin) is not None:
                known.add(name)
        except BenchError:
            continue  # a broken neighbour must not hide the error about the name that was asked for
    return known


def _origins(kind: Kind[P]) -> dict[str, str | EntryPoint]:
    files: Mapping[str, str | EntryPoint] = {name: f"{kind.folder}/{name}.py" for name in _module_names(kind)}
    return {**_points(kind), **files}


def _of_kind(kind: Kind[P], name: str, origin: str | EntryPoint) -> type[P] | None:
    """Return the plug-in of that name, or None for a file or entry point of the kind that shares the place."""
    if isinstance(origin, EntryPoint):
        cls = _load_point(kind, origin)
        return _from_point(kind, origin) if kind.alone or _is_a(cls, kind) else None
    if not kind.alone and not _candidates(kind, _imported(f"{kind.package}.{name}", origin)):
        return None
    return _from_package(kind, name)


def _module_names(kind: Kind[P]) -> set[str]:
    package = _imported(kind.package, f"the package {kind.package}")
    names = (info.name for info in pkgutil.iter_modules(package.__path__))
    return {name for name in names if not name.startswith("_")}


def _points(kind: Kind[P]) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=kind.group)}


def _from_package(kind: Kind[P], name: str) -> type[P]:
    where = f"{kind.folder}/{name}.py"
    cls = _only_class(kind, _imported(f"{kind.package}.{name}", where), where)
    return _named(kind, name, cls, where)


def _load_point(kind: Kind[P], point: EntryPoint) -> object:
    where = f"entry point {kind.group}:{point.name}"
    try:
        loaded: object = point.load()
    except Exception as error:  # code of others may fail in any way
        raise BenchError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    return loaded


def _from_point(kind: Kind[P], point: EntryPoint) -> type[P]:
    cls = _load_point(kind, point)
    where = f"entry point {kind.group}:{point.name} ({point.value})"
    if not _is_a(cls, kind):
        raise BenchError(f"{where} names no {kind.base.__name__} subclass")
    return _named(kind, point.name, _usable(kind, cls, where), where)


def _imported(module: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a plug-in may fail in any way; the user needs its file and the reason
        raise BenchError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error


def _loaded(path: Path) -> ModuleType:
    try:
        return load_file(path.resolve())
    except BenchError:
        raise
    except Exception as error:  # a plug-in may fail in any way; the user needs its file and the reason
        raise BenchError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error


def _is_a(value: object, kind: Kind[P]) -> TypeGuard[type[P]]:
    return isinstance(value, type) and issubclass(value, kind.base)


def _candidates(kind: Kind[P], module: ModuleType) -> list[type[P]]:
    """Return the classes of the kind that the module (or, for a package, a module in it) defines itself."""
    own = [value for name, value in vars(module).items() if _is_a(value, kind) and not name.startswith("_")]
    inside = module.__name__ + "."
    return [cls for cls in dict.fromkeys(own) if cls.__module__ == module.__name__ or cls.__module__.startswith(inside)]


def _only_class(kind: Kind[P], module: ModuleType, where: str) -> type[P]:
    classes = _candidates(kind, module)
    concrete = [cls for cls in classes if not inspect.isabstract(cls)]
    if len(concrete) > 1:
        names = ", ".join(cls.__name__ for cls in concrete)
        raise BenchError(
            f"{where} defines {len(concrete)} {kind.base.__name__} subclasses ({names}); wanted exactly one. "
            "Give each a file of its own, or start the name of a helper with an underscore."
        )
    if not classes:
        raise BenchError(f"{where} defines no {kind.base.__name__} subclass; wanted exactly one")
    return _usable(kind, concrete[0] if concrete else classes[0], where)


def _usable(kind: Kind[P], cls: type[P], where: str) -> type[P]:
    if inspect.isabstract(cls):
        lacking = ", ".join(f"{name}()" for name in sorted(cast(ABCMeta, cls).__abstractmethods__))
        raise BenchError(f"{where}: {cls.__name__} does not define {lacking}, which every {kind.word} must")
    if kind.named and not isinstance(_name_of(cls), str):
        raise BenchError(f"{where}: {cls.__name__} has no NAME; write NAME: ClassVar[str] = ... in the class")
    return cls


def _named(kind: Kind[P], name: str, cls: type[P], where: str) -> type[P]:
    if kind.named and _name_of(cls) != name:
        raise BenchError(
            f"{where}: NAME is {_name_of(cls)!r}, but a {kind.word} is found under '{name}'; make them equal"
        )
    return cls


def _name_of(cls: type[P]) -> object:
    return next((vars(parent)["NAME"] for parent in cls.__mro__ if "NAME" in vars(parent)), None)
