"""What there is: methods, tasks, judges, a file to start from, and the state of this machine."""

from __future__ import annotations

import importlib.util
import inspect
import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.config.fields.forms import Form, FormField, form_fields
from bench.config.fields.plugins import settable
from bench.config.fields.written import written
from bench.config.template import new_comparison
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import Open
from bench.core.plugins import EXTRACTOR, JUDGE, METHOD, RETRIEVER, TASK, VERIFIER, WORLD, Entry, Kind, listing
from bench.core.task import Task
from bench.engine.processes import accelerators, slots_of_this_machine
from bench.engine.provenance import processor, versions
from bench.evaluation.api.ask import OFFLINE_VARIABLE

What = Literal["methods", "tasks", "judges", "checkers"]

# Worlds count with the tasks. Checkers are what `evaluate.factuality` is made of, each listed with its role.
CHECKERS: tuple[Kind[Any], ...] = (EXTRACTOR, RETRIEVER, VERIFIER)
KINDS: dict[What, tuple[Kind[Any], ...]] = {
    "methods": (METHOD,), "tasks": (TASK, WORLD), "judges": (JUDGE,), "checkers": CHECKERS
}  # fmt: skip

# What a field that holds more than a plain value looks like in a comparison file.
FORMS: dict[Form, str] = {
    "method": "method (NAME or {method: NAME, ...})",
    "judge": "judge (NAME, {judge: NAME, ...} or a policy)",
    "task": "task (NAME or {task: NAME, ...})",
    "policy": "policy ({world: ...}, {path: ...} or {repo: ...})",
    "data": "data ({world: ...} or {path: ...})",
    "reward": "reward (model, ./file.py, {judge: NAME, ...}, or a list of these or of {reward: ..., weight: ...})",
}

# The extra of pyproject.toml that each optional package comes with, and what it is needed for.
OPTIONAL = {
    "openai": ("judge", "judges, labellers and verifiers behind an API"),
    "bm25s": ("retrieval", "the retriever bm25, which finds passages to check claims against"),
    "tensorboard": ("track", "bench track --to tensorboard"),
    "wandb": ("track", "bench track --to wandb"),
    "mlflow": ("track", "bench track --to mlflow"),
    "hypothesis": ("dev", "the project's own tests"),
    "playwright": ("dev", "tests of the report in a browser"),
    "trl": ("oracles", "tests and benchmarks against TRL"),
    "statsmodels": ("oracles", "tests of the statistics against another library"),
    "choix": ("oracles", "tests of the rankings against another library"),
}


def entries(what: What) -> Mapping[str, Entry[Any]]:
    """Return every plug-in of a group by name."""
    return {name: entry for kind in KINDS[what] for name, entry in listing(kind).items()}


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
            role = [kind.word for kind in CHECKERS if issubclass(entry.cls, kind.base)]
            table.add_row(f"[bold]{key}[/]", *role, entry.about)
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
        default = "required" if facts["required"] else default_in_words(facts["default"])
        table.add_row(field, escape(facts["type"]), escape(default))
    console.print(table if fields else "It has no fields.")
    if issubclass(cls, Task) and cls.METRICS:
        metrics = Table("metric", "unit", "better", "what it is", title="Metrics", title_justify="left")
        for metric in cls.METRICS:
            better = {True: "higher", False: "lower", None: "neither"}[metric.higher_is_better]
            metrics.add_row(metric.name, metric.unit, better, metric.description)
        console.print(metrics)


def described(cls: type[Open]) -> dict[str, Any]:
    """Return a plug-in's first line of documentation and its fields, as plain data.

    Defaults stand as a comparison file writes them; the digest of a file that a plug-in reads is no field of one.
    """
    properties = cls.model_json_schema().get("properties", {})
    nested = form_fields(cls)
    fields = {}
    for name in settable(cls):
        info = cls.model_fields[name]
        fields[name] = {
            "type": form_in_words(nested[name]) if name in nested else type_in_words(properties[name]),
            "required": info.is_required(),
            "default": None if info.is_required() else written(info.get_default(call_default_factory=True)),
        }
    return {"about": (cls.__doc__ or "").strip().partition("\n")[0], "fields": fields}


def form_in_words(nested: FormField) -> str:
    """Return the forms that a field takes in a comparison file, as a reader writes them."""
    words = FORMS[nested.form]
    return f"{f'list of {words}' if nested.many else words}{' or null' if nested.nullable else ''}"


def default_in_words(value: Any) -> str:
    """Return a default as a comparison file writes it: a line for each setting of a group of them."""
    if isinstance(value, dict):
        return "\n".join(f"{name}: {on_one_line(item)}" for name, item in value.items())
    return on_one_line(value)


def on_one_line(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("...\n").strip()


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
            console.print(f"  {key:<22} {value}", markup=False, soft_wrap=True)


def examined() -> dict[str, dict[str, str]]:
    """Return the state of this machine by heading."""
    devices = accelerators()
    slots = slots_of_this_machine(None)
    offline = [
        name for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", OFFLINE_VARIABLE) if os.environ.get(name) == "1"
    ]
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    optional = {}
    for name, (extra, use) in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        missing = f"missing; needed for {use}: pip install 'alignment-bench[{extra}]'"
        optional[name] = f"{metadata.version(name)}, for {use}" if there else missing
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
            "offline": ", ".join(offline) or "no (models named by `repo:` are downloaded, judges behind an API asked)",
        },
    }
