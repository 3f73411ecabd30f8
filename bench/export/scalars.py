"""What a tracker gets: for every arm and training seed its settings, curves, costs and final numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.results.conclusions.contrast import Contrast
from bench.results.summary import RunSummary


@dataclass(frozen=True)
class Curve:
    """What one training stage logged, row by row: the step and the value of every quantity under its own name.

    ``name`` is the stage's kind, numbered where an arm has several of one kind.
    """

    name: str
    rows: tuple[tuple[float, Mapping[str, float]], ...]


@dataclass(frozen=True)
class TrackedRun:
    """One run of a tracker: ``group`` is the arm, ``settings`` are flat, ``final`` has one number per name."""

    comparison: str
    name: str
    group: str
    settings: Mapping[str, str | int | float]
    curves: tuple[Curve, ...] = ()
    final: Mapping[str, float] = field(default_factory=dict)


def tracked_runs(summary: RunSummary, contrasts: Sequence[Contrast], records: pa.Table) -> list[TrackedRun]:
    """Return one run per arm and seed, and one named ``contrasts`` with the estimates over all seeds.

    Curves are those of run.json, at most 100 rows per stage. Final numbers: ``cost/AXIS``, means of records as
    ``TASK/METRIC`` (a judge's as ``TASK/METRIC/JUDGE``), and the preference or difference of this seed against another
    arm as ``TASK/METRIC/vs ARM``. What is missing is left out.
    """
    means = _means(records)
    found = []
    for arm, facts in summary.arms.items():
        for seed in summary.seeds:
            run = facts.runs.get(str(seed))
            if run is None:
                continue
            settings = {"method": facts.method, "seed": seed, "base": summary.base, **_flat(facts.fields)}
            settings |= {f"lora.{name}": value for name, value in _flat(facts.lora or {}).items()}
            final = {f"cost/{axis}": value for axis, value in summary.cost_of(arm, seed).items()}
            final |= means.get((arm, seed), {})
            final |= dict(_of_seed(contrasts, arm, summary.seeds.index(seed)))
            curves = tuple(_curves(summary, run.stages))
            found.append(TrackedRun(summary.name, f"{arm}-seed{seed}", arm, settings, curves, final))
    over_all = {
        f"{_measured(item)}/{item.a} vs {item.b}/{part}": value
        for item in contrasts
        for part in ("estimate", "low", "high", "p_adjusted")
        if (value := getattr(item, part)) is not None
    }
    return [*found, TrackedRun(summary.name, "contrasts", "contrasts", {"question": summary.question}, (), over_all)]


def _measured(contrast: Contrast) -> str:
    name = f"{contrast.task}/{contrast.metric}"
    return f"{name}/{contrast.judge}" if contrast.judge else name


def _of_seed(contrasts: Sequence[Contrast], arm: str, place: int) -> Iterator[tuple[str, float]]:
    """Yield the estimates of one seed of every contrast whose first arm this is."""
    for item in contrasts:
        value = item.per_run[place] if item.a == arm and place < len(item.per_run) else None
        if value is not None:
            yield f"{_measured(item)}/vs {item.b}", value


def _means(records: pa.Table) -> dict[tuple[str, int], dict[str, float]]:
    """Return the means of what is measured of single responses, by arm and seed."""
    rows = records.filter(pc.and_(pc.is_null(records["versus"]), pc.equal(records["status"], "ok")))
    keys = ["method", "run", "task", "metric", "source"]
    found: dict[tuple[str, int], dict[str, float]] = {}
    for row in (
        rows.group_by(keys).aggregate([("value", "mean")]).sort_by([(key, "ascending") for key in keys]).to_pylist()
    ):
        name = f"{row['task']}/{row['metric']}" + ("" if row["source"] == "task" else f"/{row['source']}")
        found.setdefault((row["method"], row["run"]), {})[name] = row["value_mean"]
    return found


def _curves(summary: RunSummary, stages: Sequence[str]) -> Iterator[Curve]:
    """Yield what the stages of one arm and seed logged."""
    logged = [summary.stages[key] for key in stages if summary.stages[key].log]
    several, seen = Counter(stage.kind for stage in logged), Counter[str]()
    for stage in logged:
        seen[stage.kind] += 1
        name = stage.kind if several[stage.kind] == 1 else f"{stage.kind} {seen[stage.kind]}"
        rows = tuple(
            (row.get("step", float(number)), {quantity: value for quantity, value in row.items() if quantity != "step"})
            for number, row in enumerate(stage.rows())
        )
        yield Curve(name, rows)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float]:
    """Return nested settings as one level of dotted names; what is no number is text."""
    found: dict[str, str | int | float] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, int | float) and value is not True else str(value)
    return found


def default_folder(comparison: Path, tracker: str) -> Path:
    """Return where a tracker's files go when no place is named: ``tracked/TRACKER`` beside the comparison file."""
    return comparison.parent / "tracked" / tracker
