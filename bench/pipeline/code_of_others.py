"""Code of others in a comparison: what its lock keeps of it, so that a run is read later without executing any."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison
from bench.config.fields.forms import form_fields
from bench.config.fields.named_plugins import settable
from bench.config.fields.written import written
from bench.core.frozen import Open, children
from bench.core.judge import Judge, reseeded
from bench.core.plugins import KINDS, Kind, announced_as, is_of_others, package_of
from bench.core.stage import Stage
from bench.core.task import Task
from bench.report.references import ids_in
from bench.results.lock import PluginUse

PATH = "path"


def plugins_of(comparison: Comparison) -> tuple[PluginUse, ...]:
    """Return what a lock keeps of the code of others that a comparison names, each use once, sorted by its code."""
    found = {json.dumps(use.model_dump(), sort_keys=True): use for use in map(use_of, uses_in(comparison))}
    return tuple(found[text] for text in sorted(found))


def uses_in(value: Any) -> Iterator[Open]:
    """Yield the plug-ins of others in a value, those nested within stages left out."""
    for part in children(value):
        if isinstance(part, Open) and not isinstance(part, Stage) and is_of_others(type(part)) and kinds_of(type(part)):
            yield part
        if not isinstance(part, Stage):
            yield from uses_in(part)


def kinds_of(cls: type[Open]) -> list[Kind[Any]]:
    """Return the kinds of plug-in that a class is one of."""
    return [kind for kind in KINDS if issubclass(cls, kind.base)]


def use_of(value: Open) -> PluginUse:
    """Return what a lock keeps of a plug-in."""
    cls = type(value)
    kind = kinds_of(cls)[0]
    file = sys.modules[cls.__module__].__file__ if cls.source_digest() is not None else None
    called = announced_as(kind, cls) if file is None else Path(file).name
    code = called if called is not None else str(getattr(cls, "NAME", cls.__module__.rpartition(".")[2]))
    plain = [name for name in settable(cls) if name not in form_fields(cls) and name not in (PATH, *cls.LOCATIONS)]
    defaults = {
        name: written(cls.model_fields[name].get_default(call_default_factory=True))
        for name in plain
        if not cls.model_fields[name].is_required()
    }
    return PluginUse(
        kind=kind.word,
        code=code,
        name=str(getattr(cls, "NAME", code)),
        package=package_of(kind, code) if file is None else None,
        settings={name: written(getattr(value, name)) for name in plain},
        defaults=defaults,
        metrics=tuple(metric.model_dump() for metric in cls.METRICS) if issubclass(cls, Task) else (),
        cites=ids_in(value),
        seed=seed_of(value) if isinstance(value, Judge) else None,
    )


def seed_of(judge: Judge) -> int | None:
    """Return the seed of a judge's noise, None for one that draws none."""
    seed = getattr(judge, "seed", None)
    return seed if isinstance(seed, int) and reseeded(judge) is not None else None
