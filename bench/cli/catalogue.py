"""What there is to choose from: methods, tasks, judges, checkers; and a file to start from, with its schema."""

from __future__ import annotations

import inspect
import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from bench.cli.options import JsonOption, example, out, write
from bench.core.errors import BenchError, did_you_mean

if TYPE_CHECKING:
    from bench.config.fields.forms import Form, FormField
    from bench.core.frozen import Open
    from bench.core.plugins import Plugin

commands = typer.Typer()
What = Literal["methods", "tasks", "judges", "checkers"]

# What a field that holds more than a plain value looks like in a comparison file.
FORMS: dict[Form, str] = {
    "method": "method (NAME or {method: NAME, ...})",
    "judge": "judge (NAME, {judge: NAME, ...} or a policy)",
    "task": "task (NAME or {task: NAME, ...})",
    "policy": "policy ({world: ...}, {path: ...} or {repo: ...})",
    "data": "data ({world: ...} or {path: ...})",
    "reward": "reward (model, ./file.py, {judge: NAME, ...}, or a list of these or of {reward: ..., weight: ...})",
}


@commands.command(epilog=example("bench methods", "bench methods dpo"))
def methods(
    name: Annotated[str | None, typer.Argument(help="Show one method's fields and reference.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the alignment methods, or show one: its fields, defaults and reference."""
    listing("methods", name, as_json)


@commands.command(epilog=example("bench tasks", "bench tasks atlas_prompts"))
def tasks(
    name: Annotated[str | None, typer.Argument(help="Show one task's fields and metrics.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tasks and embedded worlds, or show one."""
    listing("tasks", name, as_json)


@commands.command(epilog=example("bench judges", "bench judges lexicon"))
def judges(
    name: Annotated[str | None, typer.Argument(help="Show one judge's fields.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the judges, or show one."""
    listing("judges", name, as_json)


@commands.command(epilog=example("bench checkers", "bench checkers nli"))
def checkers(
    name: Annotated[str | None, typer.Argument(help="Show one extractor's, retriever's or verifier's fields.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what checks claims: extractors, retrievers of passages, and verifiers; or show one."""
    listing("checkers", name, as_json)


def listing(what: What, name: str | None, as_json: bool) -> None:
    """Print one line for each plug-in of a kind, or one plug-in in full."""
    found = entries(what)
    if name is not None and name not in found:
        raise BenchError(f"there is no {what[:-1]} {name!r}. {did_you_mean(name, found)}")
    shown = found if name is None else {name: found[name]}
    if as_json:
        write(json.dumps({key: described(entry.cls) for key, entry in shown.items()}, indent=1) + "\n")
    elif name is None:
        table = Table.grid(padding=(0, 2))
        for key, entry in found.items():
            table.add_row(f"[bold]{escape(key)}[/]", *role(entry.cls), escape(entry.about))
        out.print(table)
        out.print(f"\nbench {what} NAME shows one in full.")
    else:
        show_one(name, found[name].cls)


def entries(what: What) -> Mapping[str, Plugin[Any]]:
    """Return every plug-in of a kind by name; worlds count with the tasks.

    Checkers are what ``evaluate.factuality`` is made of: extractors, then retrievers, then verifiers.
    """
    from bench.core.plugins import EXTRACTOR, JUDGE, METHOD, RETRIEVER, TASK, VERIFIER, WORLD, Kind
    from bench.core.plugins import listing as plugins_of

    kinds: dict[What, tuple[Kind[Any], ...]] = {
        "methods": (METHOD,),
        "tasks": (TASK, WORLD),
        "judges": (JUDGE,),
        "checkers": (EXTRACTOR, RETRIEVER, VERIFIER),
    }
    return {name: entry for kind in kinds[what] for name, entry in plugins_of(kind).items()}


def role(cls: type[Open]) -> list[str]:
    """Return what a checker does; nothing for a plug-in that is no checker."""
    from bench.core.plugins import EXTRACTOR, RETRIEVER, VERIFIER

    return [kind.word for kind in (EXTRACTOR, RETRIEVER, VERIFIER) if issubclass(cls, kind.base)]


def show_one(name: str, cls: type[Open]) -> None:
    """Print a plug-in's documentation, its fields with defaults, and a task's metrics."""
    from bench.core.task import Task

    module = inspect.getmodule(cls)
    out.print(f"[bold]{escape(name)}[/]\n")
    for text in (inspect.getdoc(module) if module else None, cls.__doc__):
        if text:
            out.print(inspect.cleandoc(text) + "\n", markup=False)
    fields = described(cls)["fields"]
    table = Table("field", "type", "default", title="Fields in a comparison file", title_justify="left")
    for field, facts in fields.items():
        default = "required" if facts["required"] else describe_default(facts["default"])
        table.add_row(field, escape(facts["type"]), escape(default))
    out.print(table if fields else "It has no fields.")
    if issubclass(cls, Task) and cls.METRICS:
        metrics = Table("metric", "unit", "better", "what it is", title="Metrics", title_justify="left")
        for metric in cls.METRICS:
            better = {True: "higher", False: "lower", None: "neither"}[metric.higher_is_better]
            metrics.add_row(*map(escape, (metric.name, metric.unit, better, metric.description)))
        out.print(metrics)


def described(cls: type[Open]) -> dict[str, Any]:
    """Return a plug-in's first line of documentation and its fields, as plain data.

    Defaults stand as a comparison file writes them; the digest of a file that a plug-in reads is no field of one.
    """
    from bench.config.fields.forms import form_fields
    from bench.config.fields.named_plugins import settable
    from bench.config.fields.written import written

    properties = cls.model_json_schema().get("properties", {})
    nested = form_fields(cls)
    fields = {}
    for name in settable(cls):
        info = cls.model_fields[name]
        fields[name] = {
            "type": describe_form(nested[name]) if name in nested else describe_type(properties[name]),
            "required": info.is_required(),
            "default": None if info.is_required() else written(info.get_default(call_default_factory=True)),
        }
    return {"about": (cls.__doc__ or "").strip().partition("\n")[0], "fields": fields}


def describe_form(nested: FormField) -> str:
    """Return the forms that a field takes in a comparison file, as a reader writes them."""
    words = FORMS[nested.form]
    return f"{f'list of {words}' if nested.many else words}{' or null' if nested.nullable else ''}"


def describe_default(value: Any) -> str:
    """Return a default as a comparison file writes it: a line for each setting of a group of them."""
    if isinstance(value, dict):
        return "\n".join(f"{name}: {on_one_line(item)}" for name, item in value.items())
    return on_one_line(value)


def on_one_line(value: Any) -> str:
    """Return a value as YAML on one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("...\n").strip()


def describe_type(facts: Mapping[str, Any]) -> str:
    """Return a JSON schema type as a reader says it."""
    if "enum" in facts:
        return " | ".join(map(str, facts["enum"]))
    if "anyOf" in facts:
        return " or ".join(describe_type(option) for option in facts["anyOf"])
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


@commands.command(epilog=example("bench new mine", "bench new results/mine"))
def new(name: Annotated[str, typer.Argument(help="Name of the comparison, or the folder to make.")]) -> None:
    """Write a commented comparison.yaml to start from, in results/NAME unless NAME is a path."""
    from bench.config.template import new_comparison

    if not Path(name).name:
        raise BenchError(f"{name!r} names no comparison. Give it a name: `bench new mine` writes results/mine.")
    folder = Path(name) if Path(name).parent != Path() else Path("results") / name
    target = folder / "comparison.yaml"
    text = new_comparison(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        there = target if folder.is_dir() else folder
        raise BenchError(f"{there} is there already. Choose another name, or remove it first.") from None
    except OSError as error:
        raise BenchError(f"{folder}: cannot be made: {error.strerror}. Choose another name.") from error
    here = shlex.quote(str(folder))
    out.print(f"wrote {target}\nnext: bench plan {here}   and   bench run {here}", markup=False, soft_wrap=True)


@commands.command(epilog=example("bench schema > comparison.schema.json"))
def schema() -> None:
    """Print the JSON Schema of comparison.yaml, for editors."""
    from bench.config.schema import json_schema

    write(json.dumps(json_schema(), indent=1) + "\n")
