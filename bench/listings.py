"""What there is: methods, tasks, judges, a file to start from, and the state of this machine."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from bench import discover
from bench.config.template import new_comparison
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import Open
from bench.core.task import Task
from bench.engine.execute import processor, versions
from bench.engine.processes import accelerators, slots_of_this_machine

What = Literal["methods", "tasks", "judges"]

# What each optional package is needed for, as the extras of pyproject.toml have it.
OPTIONAL = {
    "statsmodels": "comparing statistics in tests (pip install 'alignment-bench[oracles]')",
    "trl": "parity tests against TRL (pip install 'alignment-bench[oracles]')",
    "hypothesis": "the project's own tests (pip install 'alignment-bench[dev]')",
}


def entries(what: What) -> Mapping[str, discover.Entry[Any]]:
    """Return every plug-in of a kind by name; worlds count with the tasks."""
    if what == "tasks":
        return {**discover.tasks(), **discover.worlds()}
    return discover.methods() if what == "methods" else discover.judges()


def show_listing(what: What, name: str | None, as_json: bool) -> None:
    """Print one line for each plug-in of a kind, or one plug-in in full."""
    found = entries(what)
    if name is not None and name not in found:
        raise BenchError(f"there is no {what[:-1]} {name!r}. {did_you_mean(name, found)}")
    shown = found if name is None else {name: found[name]}
    if as_json:
        sys.stdout.write(json.dumps({key: described(entry.cls) for key, entry in shown.items()}, indent=1) + "\n")
        return
    console = Console(highlight=False)
    if name is None:
        table = Table.grid(padding=(0, 2))
        for key, entry in found.items():
            table.add_row(f"[bold]{key}[/]", entry.about)
        console.print(table)
        console.print(f"\nbench {what} NAME shows one in full.")
        return
    show_one(console, name, found[name].cls)


def show_one(console: Console, name: str, cls: type[Open]) -> None:
    """Print a plug-in's documentation, its fields with defaults, and a task's metrics."""
    module = inspect.getmodule(cls)
    console.print(f"[bold]{name}[/]\n")
    for text in (inspect.getdoc(module) if module else None, cls.__doc__):
        if text:
            console.print(inspect.cleandoc(text) + "\n", markup=False)
    fields = described(cls)["fields"]
    table = Table("field", "type", "default", title="Fields in a comparison file", title_justify="left")
    for field, facts in fields.items():
        table.add_row(field, facts["type"], "required" if facts["required"] else json.dumps(facts["default"]))
    console.print(table if fields else "It has no fields.")
    if issubclass(cls, Task) and cls.METRICS:
        metrics = Table("metric", "unit", "better", "what it is", title="Metrics", title_justify="left")
        for metric in cls.METRICS:
            better = {True: "higher", False: "lower", None: "neither"}[metric.higher_is_better]
            metrics.add_row(metric.name, metric.unit, better, metric.description)
        console.print(metrics)


def described(cls: type[Open]) -> dict[str, Any]:
    """Return a plug-in's first line of documentation and its fields, as plain data."""
    schema = cls.model_json_schema()
    fields = {}
    for name, facts in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        fields[name] = {"type": type_in_words(facts), "required": required, "default": facts.get("default")}
    return {"about": (cls.__doc__ or "").strip().partition("\n")[0], "fields": fields}


def type_in_words(facts: Mapping[str, Any]) -> str:
    """Return a JSON schema type as a reader says it."""
    if "enum" in facts:
        return " | ".join(map(str, facts["enum"]))
    if "anyOf" in facts:
        return " or ".join(type_in_words(option) for option in facts["anyOf"])
    if "$ref" in facts:
        return str(facts["$ref"]).rpartition("/")[2]
    bounds = {
        "exclusiveMinimum": "above",
        "minimum": "at least",
        "exclusiveMaximum": "below",
        "maximum": "at most",
    }
    limits = [f"{word} {facts[bound]:g}" for bound, word in bounds.items() if bound in facts]
    words = str(facts.get("const", facts.get("type", "any")))
    return f"{words} {', '.join(limits)}".strip()


def write_new_comparison(name: str) -> None:
    """Write ``results/NAME/comparison.yaml``, or ``NAME/comparison.yaml`` when NAME is a path.

    Raises BenchError when there is one already.
    """
    folder = Path(name) if Path(name).parent != Path() else Path("results") / name
    target = folder / "comparison.yaml"
    if target.exists():
        raise BenchError(f"{target} is there already. Choose another name, or remove it first.")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_text(new_comparison(folder.name), encoding="utf-8")
    Console(highlight=False).print(
        f"wrote {target}\nnext: bench plan {folder}   and   bench run {folder}", markup=False
    )


def show_doctor(as_json: bool) -> None:
    """Print what is installed, which devices there are, and what is missing for which feature."""
    facts = examined()
    if as_json:
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
        return
    console = Console(highlight=False)
    for title, values in facts.items():
        console.print(f"[bold]{title}[/]")
        for key, value in values.items():
            console.print(f"  {key:<22} {value}", markup=False)


def examined() -> dict[str, dict[str, str]]:
    """Return the state of this machine by heading."""
    devices = accelerators()
    slots = slots_of_this_machine(None)
    offline = [name for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE") if os.environ.get(name) == "1"]
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    optional = {}
    for name, use in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        optional[name] = f"{metadata.version(name)} (for {use})" if there else f"missing; needed for {use}"
    return {
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processor": processor(),
            "accelerators": ", ".join(f"cuda:{index}" for index in devices) or "none: everything runs on the CPU",
            "stages side by side": str(len(slots)),
        },
        "packages": versions(),
        "optional": optional,
        "hub": {
            "cache": str(cache) if cache.is_dir() else "no cache yet",
            "offline": ", ".join(offline) or "no (models named by `repo:` are downloaded)",
        },
    }
