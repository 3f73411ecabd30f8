"""What the comparison gives to every method: base, data, labeller, adapter, budget and training seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.config.comparison import Common
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.config.fields.forms import form_fields
from bench.config.fields.named_plugins import read_form
from bench.core.errors import BenchError
from bench.core.method import Budget, Lora
from bench.core.policy import computing_in

NO_ADAPTER = "none"
_COMPUTING = {"base", "small"}  # the policies that given.dtype is meant for


def read_given(section: Section, value: Any) -> Common | None:
    """Return what is given to all methods, None when something in it is wrong."""
    path: KeyPath = ("given",)
    given = section.keys(path, value, list(Common.model_fields), required=("base", "seeds"))
    if given is None:
        return None
    found: dict[str, Any] = {}
    forms = form_fields(Common)
    readers: dict[str, Callable[[Section, KeyPath, Any], Any]] = {
        "lora": read_lora, "budget": _budget, "seeds": _seeds
    }  # fmt: skip
    for name, item in given.items():
        here = (*path, name)
        if name in forms:
            found[name] = read_form(section, here, item, forms[name].form)
        elif name in readers:
            found[name] = readers[name](section, here, item)
        elif section.field(Common, name, here, item):
            found[name] = item
    if "dtype" in found:
        for name in _COMPUTING & found.keys():
            found[name] = _computing(section, (*path, name), given[name], found[name], found["dtype"])
    needed = set(given) - ({"lora"} if given.get("lora") == NO_ADAPTER else set())
    if not {"base", "seeds"} <= needed or any(found.get(name) is None for name in needed):
        return None
    return section.build(Common, path, found)


def read_lora(section: Section, path: KeyPath, value: Any) -> Lora | None:
    """Return an adapter; None for ``none`` (full fine-tuning), and for a wrong one, which is reported."""
    if value == NO_ADAPTER:
        return None
    if not isinstance(value, dict):
        section.problem(path, f"must be `none` or a mapping such as {{rank: 8}}, not {as_written(value)}")
        return None
    return section.model(Lora, path, value)


def _computing(section: Section, path: KeyPath, written: Any, policy: Any, dtype: Any) -> Any:
    """Return a policy computing in ``given.dtype``, unless its own form says another type; None when it cannot."""
    if policy is None or "dtype" in written:
        return policy
    try:
        return computing_in(policy, dtype)
    except BenchError as error:
        section.refused(path, error)
        return None


def _budget(section: Section, path: KeyPath, value: Any) -> Budget | None:
    return section.model(Budget, path, value)


def _seeds(section: Section, path: KeyPath, value: Any) -> tuple[int, ...] | None:
    seeds = section.items(path, value, "seed")
    right = bool(seeds)
    seen: set[int] = set()
    for index, seed in enumerate(seeds):
        here = (*path, index)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            section.problem(here, f"a seed must be a whole number from 0 on, not {as_written(seed)}")
            right = False
        elif seed in seen:
            section.problem(here, f"the seed {seed} stands twice", "each training run needs a seed of its own")
            right = False
        else:
            seen.add(seed)
    return tuple(seeds) if right else None
