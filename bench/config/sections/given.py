"""What the comparison gives to every method: base, data, labeller, adapter, budget and training seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.config.comparison import Common
from bench.config.document.problems import KeyPath
from bench.config.document.section import Sheet, said
from bench.config.fields.plugins import read_judge
from bench.config.fields.sources import COLUMNS, read_data, read_policy
from bench.core.method import Budget, Lora

NO_ADAPTER = "none"
POLICIES = ("base", "small")


def read_given(sheet: Sheet, value: Any) -> Common | None:
    """Return what is given to all methods, None when something in it is wrong."""
    path: KeyPath = ("given",)
    given = sheet.keys(path, value, list(Common.model_fields), required=("base", "seeds"))
    if given is None:
        return None
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[Sheet, KeyPath, Any], Any]] = {
        "labeller": read_judge,
        "lora": read_lora,
        "budget": _budget,
        "seeds": _seeds,
    }
    for name, item in given.items():
        here = (*path, name)
        if name in POLICIES:
            found[name] = read_policy(sheet, here, item)
        elif name in COLUMNS:
            found[name] = read_data(sheet, here, item, COLUMNS[name])
        elif name in readers:
            found[name] = readers[name](sheet, here, item)
        elif sheet.field(Common, name, here, item):
            found[name] = item
    needed = set(given) - ({"lora"} if given.get("lora") == NO_ADAPTER else set())
    if not {"base", "seeds"} <= needed or any(found.get(name) is None for name in needed):
        return None
    return sheet.build(Common, path, found)


def read_lora(sheet: Sheet, path: KeyPath, value: Any) -> Lora | None:
    """Return an adapter; None for ``none`` (full fine-tuning), and for a wrong one, which is told."""
    if value == NO_ADAPTER:
        return None
    if not isinstance(value, dict):
        sheet.problem(path, f"must be `none` or a mapping such as {{rank: 8}}, not {said(value)}")
        return None
    fields = sheet.keys(path, value, list(Lora.model_fields))
    return None if fields is None else sheet.build(Lora, path, fields)


def _budget(sheet: Sheet, path: KeyPath, value: Any) -> Budget | None:
    fields = sheet.keys(path, value, list(Budget.model_fields))
    return None if fields is None else sheet.build(Budget, path, fields)


def _seeds(sheet: Sheet, path: KeyPath, value: Any) -> tuple[int, ...] | None:
    seeds = sheet.items(path, value, "seed")
    right = bool(seeds)
    for index, seed in enumerate(seeds):
        here = (*path, index)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            sheet.problem(here, f"a seed must be a whole number from 0 on, not {said(seed)}")
            right = False
        elif seed in seeds[:index]:
            sheet.problem(here, f"the seed {seed} stands twice", "each training run needs a seed of its own")
            right = False
    return tuple(seeds) if right else None
