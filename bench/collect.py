"""Collecting: from finished stages to records and the run summary. No torch, no averages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.config.comparison import Arm, Comparison
from bench.core.data import DataSpec, Made
from bench.core.frozen import Frozen, Open, address, encode
from bench.core.labels import LABELS_SCHEMA
from bench.core.meter import READ_FLOPS
from bench.core.policy import BestOf, Built, Instructed, PolicySpec, Pretrained, Proxy, Tuned
from bench.core.records import SCHEMA, concat
from bench.core.stage import DIAGNOSTICS_FILE, LOG_FILE
from bench.core.summary import ArmFacts, ArmRun, LabellerFacts, Missing, RunSummary, ShiftFacts, StageFacts
from bench.core.task import DIVERGENCE, DIVERGENCE_K3, LENGTH_CONTROLLED, RATING, WIN_RATE, MetricInfo
from bench.engine.execute import versions
from bench.evaluator.divergence import DIVERGENCES
from bench.evaluator.judging import VERDICTS
from bench.evaluator.label_pairs import LABELS
from bench.evaluator.lm_eval import DOCUMENTS, read_metrics
from bench.evaluator.rating import RATINGS
from bench.evaluator.score import SCORES, metrics_of
from bench.evaluator.token_shift import shift_facts
from bench.plan import Benchmarked, Diverged, Judged, Labelled, Plan, Rated, Scored
from bench.runner import Outcome
from bench.store import Store, read_manifest

T = TypeVar("T")
LOG_ROWS = 100
# Columns of a divergence's rows, and the metrics they are.
ESTIMATES = {"value": DIVERGENCE.name, "k3": DIVERGENCE_K3.name}


def collect_records(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the records of every finished evaluation stage."""
    tables = [score_rows(cell, store) for cell in plan.scored if outcome.finished(cell.stage.key)]
    tables += [verdict_rows(cell, store) for cell in plan.judged if outcome.finished(cell.stage.key)]
    tables += [rating_rows(cell, store) for cell in plan.rated if outcome.finished(cell.stage.key)]
    tables += [
        divergence_rows(cell, store, estimate)
        for cell in plan.diverged
        if outcome.finished(cell.stage.key)
        for estimate in ESTIMATES.items()
    ]
    tables += [benchmark_rows(cell, store) for cell in plan.benchmarked if outcome.finished(cell.stage.key)]
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


def rating_rows(cell: Rated, store: Store) -> pa.Table:
    """Return the records of one judge's ratings of one arm at one run on one task."""
    rows = pq.read_table(store.place(cell.stage) / RATINGS)
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.arm,
        "run": cell.run,
        "source": cell.judge.label,
        "metric": RATING.name,
    }
    return labelled(rows, labels, cell)


def divergence_rows(cell: Diverged, store: Store, estimate: tuple[str, str]) -> pa.Table:
    """Return the records of one arm's divergence at one run on one task; ``estimate``: a column and its metric."""
    column, metric = estimate
    rows = pq.read_table(store.place(cell.stage) / DIVERGENCES)
    rows = rows.select(["prompt", "draw", column, "status"]).rename_columns(["prompt", "draw", "value", "status"])
    labels: dict[str, str | int] = {
        "task": cell.task.NAME,
        "method": cell.arm,
        "run": cell.run,
        "source": "task",
        "metric": metric,
    }
    return labelled(rows, labels, cell)


def benchmark_rows(cell: Benchmarked, store: Store) -> pa.Table:
    """Return the records of one arm at one run on one task of lm-eval, each document a cluster of its own."""
    rows = pq.read_table(store.place(cell.stage) / DOCUMENTS)
    labels: dict[str, str | int] = {"task": cell.task.name, "method": cell.arm, "run": cell.run, "source": "task"}
    return in_schema(rows, labels, {"cluster": rows["prompt"], "kind": rows["kind"]})


def collect_labels(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return the labels that the judges gave to the preference data, as far as they are finished."""
    tables = []
    for cell in plan.labelled:
        for call, stage in enumerate((cell.stage, cell.again)):
            if stage is not None and outcome.finished(stage.key):
                rows = pq.read_table(store.place(stage) / LABELS)
                count = rows.num_rows
                whose = {
                    "judge": pa.array([cell.judge.label] * count, pa.string()),
                    "run": pa.array([cell.run] * count, pa.int64()),
                    "call": pa.array([call] * count, pa.int64()),
                }
                names = {name: rows[name] for name in rows.schema.names}
                tables.append(pa.table({**whose, **names}).cast(LABELS_SCHEMA))
    return pa.concat_tables(tables) if tables else LABELS_SCHEMA.empty_table()


def labelled(
    rows: pa.Table, labels: Mapping[str, str | int], cell: Scored | Judged | Rated | Diverged
) -> pa.Table:  # fmt: skip
    """Return rows of the records' schema: the stage's own columns, the cell's labels, and the prompt's facts."""
    prompts = {prompt.id: prompt for prompt in cell.task.prompts()}
    names = rows["prompt"].to_pylist()
    facts = {
        "cluster": pa.array([prompts[name].cluster for name in names], pa.string()),
        "kind": pa.array([prompts[name].kind for name in names], pa.string()),
    }
    return in_schema(rows, labels, facts)


def in_schema(rows: pa.Table, labels: Mapping[str, str | int], facts: Mapping[str, Any]) -> pa.Table:
    """Return rows of the records' schema: ``facts`` as columns, labels as constant ones, the rest from the rows."""
    columns = dict(facts)
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
    trained = {stage.key for policy in plan.policies for stage in plan.stages_of_arm(*policy)}
    for key, stage in plan.stages.items():
        if outcome.finished(key):
            manifest = read_manifest(store.place(stage))
            told = told_by(store.place(stage)) if key in trained else {}
            stages[key] = StageFacts(
                kind=manifest.kind, cost=dict(manifest.cost), provenance=dict(manifest.provenance), **told
            )
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
        arms={arm.name: facts_of(arm, plan, outcome) for arm in comparison.arms},
        stages=stages,
        metrics={name: metric.model_dump() for name, metric in metrics_by_name(plan, outcome, store).items()},
        versions=versions(),
        missing=missing_cells(plan, outcome),
        own_rewards=plan.own_rewards(),
        divergence_bounds=plan.bounds() if comparison.evaluation.divergence else {},
        labellers=tuple(labeller_facts(cell, outcome, store) for cell in plan.labelled),
        shifts=token_shifts(plan, outcome, store),
    )


def metrics_by_name(plan: Plan, outcome: Outcome, store: Store) -> dict[str, MetricInfo]:
    """Return every metric of the comparison by name: the tasks' own, then what judges and policies are asked.

    What lm-eval measures is known once a stage of it is finished.
    """
    comparison = plan.comparison
    found = {metric.name: metric for task in comparison.evaluation.tasks for metric in metrics_of(task)}
    if comparison.evaluation.judges:
        found[WIN_RATE.name] = WIN_RATE
        if comparison.evaluation.length_control != "none":
            found[LENGTH_CONTROLLED.name] = LENGTH_CONTROLLED
    if comparison.evaluation.ratings:
        found[RATING.name] = RATING
    if comparison.evaluation.divergence:
        found |= {metric.name: metric for metric in (DIVERGENCE, DIVERGENCE_K3)}
    for cell in plan.benchmarked:
        if outcome.finished(cell.stage.key):
            for metric in read_metrics(store.place(cell.stage)):
                found.setdefault(metric.name, metric)
    return found


def facts_of(arm: Arm, plan: Plan, outcome: Outcome) -> ArmFacts:
    """Return what an arm is and what its policies rest on."""
    runs = {}
    for run in plan.comparison.given.seeds:
        keys = tuple(stage.key for stage in plan.stages_of_arm(arm.name, run) if outcome.finished(stage.key))
        answers = [cell.stage.responses.key for cell in plan.scored if (cell.arm, cell.run) == (arm.name, run)]
        runs[str(run)] = ArmRun(stages=keys, answers=tuple(key for key in answers if outcome.finished(key)))
    about = (type(arm.method).__doc__ or "").strip().partition("\n")[0]
    return ArmFacts(
        method=type(arm.method).__module__.rpartition(".")[2],
        fields={name: described(getattr(arm.method, name)) for name in type(arm.method).model_fields},
        lora=None if arm.lora is None else arm.lora.model_dump(),
        replicate=arm.replicate,
        about=about,
        runs=runs,
    )


def described(value: Any) -> Any:
    """Return the JSON form of a value for readers of other machines: a file is told by its name, not by its place."""
    if isinstance(value, Frozen):
        body = {name: described(getattr(value, name)) for name in type(value).model_fields}
        for name in value.LOCATIONS & body.keys():
            body[name] = Path(body[name]).name if isinstance(body[name], str) else body[name]
        module, _, name = address(type(value)).rpartition(":")
        return {"is": f"{Path(module).name}:{name}", **body} if isinstance(value, Open) else body
    if isinstance(value, Mapping):
        return {name: described(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [described(item) for item in value]
    return encode(value)


def labeller_facts(cell: Labelled, outcome: Outcome, store: Store) -> LabellerFacts:
    """Return what a labeller is: its settings without the policy, and its size by the cost of its calls."""
    settings = {
        name: Path(str(value)).name if name == "path" else value
        for name, value in encode(cell.judge.judge).items()
        if isinstance(value, str | int | float) and name not in ("is", "digest")
    }
    missing = outcome.why_missing(cell.stage.key) or (outcome.why_missing(cell.again.key) if cell.again else None)
    parameters = None
    if outcome.finished(cell.stage.key):
        cost = read_manifest(store.place(cell.stage)).cost
        tokens = cost["read_tokens"] + cost["generated_tokens"]
        parameters = cost["flops"] / (READ_FLOPS * tokens) if tokens else None
    return LabellerFacts(
        judge=cell.judge.label,
        run=cell.run,
        settings=settings,
        parameters=parameters,
        samples=cell.again is not None,
        missing=missing,
    )


def token_shifts(plan: Plan, outcome: Outcome, store: Store) -> tuple[ShiftFacts, ...]:
    """Return what steering changed in the answers of every proxied arm to every task, over its finished runs."""
    found: dict[tuple[str, str], list[Path]] = {}
    for cell in plan.shifted:
        if outcome.finished(cell.stage.key):
            found.setdefault((cell.arm, cell.task.NAME), []).append(store.place(cell.stage))
    facts = (shift_facts(arm, task, folders) for (arm, task), folders in found.items())
    return tuple(one for one in facts if one is not None)


def told_by(folder: Path) -> dict[str, Any]:
    """Return the log of a stage by column, thinned, and its diagnostics, as far as it wrote any; short numbers."""
    log, diagnostics = folder / LOG_FILE, folder / DIAGNOSTICS_FILE
    found: dict[str, Any] = {}
    if log.is_file():
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n") if line]
        kept = thinned(rows, LOG_ROWS)
        names = dict.fromkeys(name for row in kept for name, value in row.items() if isinstance(value, int | float))
        found["log"] = {name: tuple(short(row.get(name)) for row in kept) for name in names}
    if diagnostics.is_file():
        found["diagnostics"] = short(json.loads(diagnostics.read_text(encoding="utf-8")))
    return found


def thinned(rows: Sequence[T], most: int) -> list[T]:
    """Return at most that many rows, evenly chosen, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def short(value: Any) -> Any:
    """Return a JSON value whose numbers have at most six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: short(item) for name, item in value.items()}
    return [short(item) for item in value] if isinstance(value, list) else value


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
    others: list[Rated | Diverged] = [*plan.rated, *plan.diverged]
    for cell in others:
        why = outcome.why_missing(cell.stage.key)
        if why is not None:
            cells.setdefault((cell.arm, cell.run, cell.task.NAME), why)
    for benchmark in plan.benchmarked:
        why = outcome.why_missing(benchmark.stage.key)
        if why is not None:
            cells.setdefault((benchmark.arm, benchmark.run, benchmark.task.name), why)
    return tuple(Missing(arm=arm, run=run, task=task, reason=why) for (arm, run, task), why in cells.items())


def without_missing(comparison: Comparison, missing: tuple[Missing, ...]) -> Comparison:
    """Return the comparison with only those contrasts, and shares of gaps, of which every cell is there."""
    broken = {cell.arm for cell in missing}
    evaluation = comparison.evaluation
    kept = tuple(pair for pair in evaluation.contrasts if not broken & set(pair))
    gaps = tuple(gap for gap in evaluation.gap_closed if not broken & {gap.of, gap.start, gap.goal, evaluation.versus})
    evaluation = evaluation.model_copy(update={"contrasts": kept, "gap_closed": gaps})
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
        case BestOf():
            return f"best of {value.n} from {policy_in_words(value.base)}"
        case Proxy():
            expert, antiexpert = policy_in_words(value.expert), policy_in_words(value.antiexpert)
            return f"{policy_in_words(value.base)} + {value.alpha:g} x ({expert} - {antiexpert})"


def data_in_words(value: DataSpec) -> str:
    """Return a short description of a data set for the report."""
    if isinstance(value, Made):
        return f"{value.by.KIND} ({short_fields(value.by)})"
    return f"{Path(value.path).name}, sha256 {value.digest[:12]}"


def short_fields(stage: Any) -> str:
    """Return the plain fields of a stage as ``name=value``."""
    fields = {name: getattr(stage, name) for name in type(stage).model_fields}
    return ", ".join(f"{name}={value}" for name, value in fields.items() if isinstance(value, str | int | float))
