"""Collecting: from finished stages to records and the run summary. No torch, no averages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.config.comparison import Arm, Comparison
from bench.core.data import DataSpec, Made
from bench.core.frozen import encode
from bench.core.policy import Built, Instructed, PolicySpec, Pretrained, Tuned
from bench.core.records import SCHEMA, concat
from bench.core.summary import ArmFacts, ArmRun, Missing, RunSummary, StageFacts
from bench.core.task import LENGTH_CONTROLLED, WIN_RATE, MetricInfo
from bench.engine.execute import versions
from bench.evaluator.judging import VERDICTS
from bench.evaluator.score import SCORES, metrics_of
from bench.plan import Judged, Plan, Scored
from bench.runner import Outcome
from bench.store import Store, read_manifest

LOG_ROWS = 200


def collect_records(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the records of every finished evaluation stage."""
    tables = [score_rows(cell, store) for cell in plan.scored if outcome.finished(cell.stage.key)]
    tables += [verdict_rows(cell, store) for cell in plan.judged if outcome.finished(cell.stage.key)]
    return concat(tables)


def score_rows(cell: Scored, store: Store) -> pa.Table:
    """Return the records of one arm at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / SCORES)
    labels: dict[str, str | int] = {"task": cell.task.NAME, "method": cell.arm, "run": cell.run, "source": "task"}
    return labelled(rows, labels, cell)


def verdict_rows(cell: Judged, store: Store) -> pa.Table:
    """Return the records of one judge's verdicts on one pair of arms at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / VERDICTS)
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.a,
        "versus": cell.b,
        "run": cell.run,
        "source": cell.judge.label,
        "metric": WIN_RATE.name,
    }
    return labelled(rows, labels, cell)


def labelled(rows: pa.Table, labels: Mapping[str, str | int], cell: Scored | Judged) -> pa.Table:
    """Return rows of the records' schema: the stage's own columns, the cell's labels, and the prompt's facts."""
    prompts = {prompt.id: prompt for prompt in cell.task.prompts()}
    names = rows["prompt"].to_pylist()
    columns: dict[str, Any] = {
        "cluster": pa.array([prompts[name].cluster for name in names], pa.string()),
        "kind": pa.array([prompts[name].kind for name in names], pa.string()),
    }
    for field in SCHEMA:
        if field.name in columns:
            continue
        if field.name in labels:
            columns[field.name] = pa.array([labels[field.name]] * rows.num_rows, field.type)
        elif field.name in rows.schema.names:
            columns[field.name] = rows[field.name]
        else:
            columns[field.name] = pa.nulls(rows.num_rows, field.type)
    return pa.table({field.name: columns[field.name] for field in SCHEMA}).cast(SCHEMA)


def summarise(plan: Plan, outcome: Outcome, store: Store) -> RunSummary:
    """Return what the report needs beside records and contrasts."""
    comparison = plan.comparison
    stages = {}
    for key, stage in plan.stages.items():
        if outcome.finished(key):
            manifest = read_manifest(store.place(stage))
            stages[key] = StageFacts(kind=manifest.kind, cost=dict(manifest.cost), provenance=dict(manifest.provenance))
    return RunSummary(
        name=comparison.name,
        question=comparison.question,
        base=policy_in_words(comparison.given.base),
        data={
            name: data_in_words(data)
            for name in ("demonstrations", "preferences", "prompts")
            if (data := getattr(comparison.given, name)) is not None
        },
        seeds=comparison.given.seeds,
        arms={arm.name: facts_of(arm, plan, outcome, store) for arm in comparison.arms},
        stages=stages,
        metrics={name: metric.model_dump() for name, metric in metrics_by_name(comparison).items()},
        versions=versions(),
        missing=missing_cells(plan, outcome),
    )


def metrics_by_name(comparison: Comparison) -> dict[str, MetricInfo]:
    """Return every metric of the comparison by name, the win rate included when there is a judge."""
    found = {metric.name: metric for task in comparison.evaluation.tasks for metric in metrics_of(task)}
    if comparison.evaluation.judges:
        found[WIN_RATE.name] = WIN_RATE
        if comparison.evaluation.length_control != "none":
            found[LENGTH_CONTROLLED.name] = LENGTH_CONTROLLED
    return found


def facts_of(arm: Arm, plan: Plan, outcome: Outcome, store: Store) -> ArmFacts:
    """Return what an arm is and what its policies rest on."""
    runs = {}
    for run in plan.comparison.given.seeds:
        stages = plan.stages_of_arm(arm.name, run)
        keys = tuple(stage.key for stage in stages if outcome.finished(stage.key))
        last = stages[-1] if stages and stages[-1].key in keys else None
        runs[str(run)] = ArmRun(stages=keys, log=read_log(store.place(last)) if last else ())
    about = (type(arm.method).__doc__ or "").strip().partition("\n")[0]
    return ArmFacts(
        method=type(arm.method).__module__.rpartition(".")[2],
        fields={name: value for name, value in encode(arm.method).items() if name != "is"},
        lora=None if arm.lora is None else arm.lora.model_dump(),
        replicate=arm.replicate,
        about=about,
        runs=runs,
    )


def read_log(folder: Path) -> tuple[dict[str, float], ...]:
    """Return the rows a training stage logged, thinned evenly to at most 200; none when it logged nothing."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return ()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    every = -(-len(rows) // LOG_ROWS) or 1
    return tuple(rows[::every])


def missing_cells(plan: Plan, outcome: Outcome) -> tuple[Missing, ...]:
    """Return the cells whose scores or verdicts are not there, with the reason that a person can act on."""
    cells: dict[tuple[str, int, str], str] = {}
    for scored in plan.scored:
        why = outcome.why_missing(scored.stage.key)
        if why is not None:
            cells.setdefault((scored.arm, scored.run, scored.task.NAME), why)
    for judged in plan.judged:
        why = outcome.why_missing(judged.stage.key)
        if why is not None and (judged.b, judged.run, judged.task.NAME) not in cells:
            cells.setdefault((judged.a, judged.run, judged.task.NAME), why)
    return tuple(Missing(arm=arm, run=run, task=task, reason=why) for (arm, run, task), why in cells.items())


def without_missing(comparison: Comparison, missing: tuple[Missing, ...]) -> Comparison:
    """Return the comparison with only those contrasts of which every cell is there."""
    broken = {cell.arm for cell in missing}
    kept = tuple(pair for pair in comparison.evaluation.contrasts if not broken & set(pair))
    evaluation = comparison.evaluation.model_copy(update={"contrasts": kept})
    return comparison.model_copy(update={"evaluation": evaluation})


def policy_in_words(value: PolicySpec) -> str:
    """Return a short description of a policy for the report."""
    match value:
        case Pretrained():
            return f"{value.repo}@{value.revision}" if value.repo else f"{Path(value.path or '').name} (local folder)"
        case Built():
            return f"{value.by.KIND} ({short_fields(value.by)})"
        case Tuned():
            return f"{value.by.KIND} on {policy_in_words(value.base)}"
        case Instructed():
            return f"{policy_in_words(value.base)}, instructed: {value.instruction}"


def data_in_words(value: DataSpec) -> str:
    """Return a short description of a data set for the report."""
    if isinstance(value, Made):
        return f"{value.by.KIND} ({short_fields(value.by)})"
    return f"{Path(value.path).name}, sha256 {value.digest[:12]}"


def short_fields(stage: Any) -> str:
    """Return the plain fields of a stage as ``name=value``."""
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    return ", ".join(f"{name}={value}" for name, value in fields.items() if isinstance(value, str | int | float))
