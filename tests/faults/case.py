"""A case of the fault campaign, and the kinds of them that there are."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import tests.faults

NO_KINDS = ("case", "conftest", "given", "__main__")  # modules of the folder that are no kind


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong.

    ``do`` is handed an empty folder, does the thing there, and raises AssertionError unless what came of it is right.
    """

    name: str
    do: Callable[[Path], None]


def kinds() -> dict[str, ModuleType]:
    """Return the modules that are a kind of faults, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.faults.__path__))
    return {
        name: importlib.import_module(f"tests.faults.{name}")
        for name in names
        if name not in NO_KINDS and not name.startswith(("_", "test_"))
    }


def spread(cases: Sequence[Case], count: int) -> list[Case]:
    """Return ``count`` of the cases, evenly spread from the first to the last; all of them where they are fewer."""
    if count >= len(cases):
        return list(cases)
    return [cases[round(place * (len(cases) - 1) / max(count - 1, 1))] for place in range(count)]
