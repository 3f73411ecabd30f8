"""The baseline file: the values of an earlier run per prompt, and what they were measured with."""

from __future__ import annotations

import json
from typing import Any

from bench.core.frozen import Frozen
from bench.results.computed_on import ComputedOn
from bench.results.documents import CHECKSUM, JsonFile, checksum
from bench.results.identity import RunIdentity

BASELINE_VERSION = 1
VERSION_KEY = "alignment_bench_baseline"
# A value keeps this many significant digits: a file that is read in diffs, an error far below any seed's.
DIGITS = 4


class Column(Frozen):
    """What a column of values is: a metric of a method, by a judge or the task, against another method or nothing."""

    metric: str
    method: str
    source: str
    versus: str | None = None


class PromptValues(Frozen):
    """One prompt's values: one list per column, one value per training seed, None where the metric is undefined."""

    cluster: str
    values: tuple[tuple[float | None, ...], ...]


class TaskValues(Frozen):
    """The values of one task."""

    columns: tuple[Column, ...]
    prompts: dict[str, PromptValues]


class Baseline(Frozen):
    """An earlier run. ``arms`` and ``given`` are what it trained with: free to change, since that is what is tested.

    ``reason``: why it was made the baseline, in a person's words. ``code``: the program's version and revision.
    ``computed_on``: the processors, kernels and threads of its stages; one of an earlier version has none.
    """

    name: str
    reason: str
    code: str | None
    seeds: tuple[int, ...]
    identity: RunIdentity
    given: dict[str, Any]
    arms: dict[str, dict[str, Any]]
    tasks: dict[str, TaskValues]
    computed_on: ComputedOn | None = None


def baseline_text(baseline: Baseline) -> str:
    """Return the file's text; equal baselines give equal bytes. It has a checksum over the rest."""
    return _text(baseline, {CHECKSUM: checksum(json.loads(_text(baseline, {})))})


def _text(baseline: Baseline, further: dict[str, str]) -> str:
    """Return the text with further fields in it."""
    body = baseline.model_dump(mode="json", exclude=None if baseline.computed_on else {"computed_on"})
    tasks = sorted(body.pop("tasks").items())
    head = json.dumps({VERSION_KEY: BASELINE_VERSION, **body, **further}, indent=1, sort_keys=True, allow_nan=False)
    lines = [head.removesuffix("\n}") + ",", ' "tasks": {']
    for place, (name, task) in enumerate(tasks):
        lines += [f"  {json.dumps(name)}: {{", '   "columns": [', *_listed(_columns(task)), "   ],"]
        lines += ['   "prompts": {', *_listed(_rows(task)), "   }", "  }," if place + 1 < len(tasks) else "  }"]
    return "\n".join([*lines, " }", "}"]) + "\n"


def rounded(value: float | None) -> float | None:
    """Return a value with the digits that the file keeps."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _columns(task: dict[str, Any]) -> list[str]:
    return [_one_line(column) for column in task["columns"]]


def _rows(task: dict[str, Any]) -> list[str]:
    return [f"{json.dumps(name)}: {_one_line(row)}" for name, row in sorted(task["prompts"].items())]


def _listed(items: list[str]) -> list[str]:
    """Return the items as lines, all but the last with a comma."""
    return [f"    {item}," for item in items[:-1]] + [f"    {item}" for item in items[-1:]]


def _one_line(value: Any) -> str:
    return json.dumps(_short(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _short(value: Any) -> Any:
    """Return the value with whole numbers written without ``.0``."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fields(body: Any) -> Any:
    """Return the fields of a baseline of this version; raises ValueError for anything else."""
    version = body.get(VERSION_KEY) if isinstance(body, dict) else None
    if version is None:
        raise ValueError(f"it lacks `{VERSION_KEY}`")
    if version != BASELINE_VERSION:
        raise ValueError(f"it has version {version}, and this program reads version {BASELINE_VERSION}")
    if CHECKSUM in body and body[CHECKSUM] != checksum(body):
        raise ValueError("it differs from its checksum")
    return {name: item for name, item in body.items() if name not in (VERSION_KEY, CHECKSUM)}


BASELINE_FILE = JsonFile(
    "baseline.json", Baseline, "baseline", 'Make one: bench baseline PATH --reason "..."', baseline_text, _fields
)
