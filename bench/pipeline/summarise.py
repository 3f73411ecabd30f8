"""From finished stages to the run summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from bench.config.comparison import Arm
from bench.core.data import Data, Made, Mixture
from bench.core.frozen import encode
from bench.core.meter import READ_FLOPS
from bench.core.metrics import MetricInfo
from bench.core.stage import DIAGNOSTICS_FILE, LOG_FILE
from bench.engine.manifest import read_manifest
from bench.engine.provenance import versions
from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.api.served import SERVED
from bench.evaluation.generate import COMPLETIONS, NO_ROOM
from bench.evaluation.measurement import Cell
from bench.evaluation.measurements.label_agreement import LabelAgreement, LabelPairs
from bench.evaluation.measurements.lm_eval import Benchmarks, read_cut
from bench.evaluation.measurements.responses import Responses
from bench.evaluation.measurements.token_shift import TokenShifts, shift_facts
from bench.pipeline.brought.defaults import defaults_of_arm
from bench.pipeline.brought.told import brought_by
from bench.pipeline.describe import describe_data, describe_policy, described
from bench.pipeline.missing import missing_cells
from bench.pipeline.plan import Plan
from bench.results.summary import (
    ArmAtSeed,
    ArmFacts,
    BenchmarkCuts,
    LabellerFacts,
    RunSummary,
    ShiftFacts,
    StageFacts,
    Unanswered,
)

T = TypeVar("T")
LOG_ROWS = 100


def summarise(plan: Plan, outcome: Outcome, store: Store) -> RunSummary:
    """Return what the report needs beside records and contrasts."""
    comparison = plan.comparison
    stages = {}
    trained = {stage.key for policy in plan.policies for stage in plan.stages_of_arm(*policy)}
    telling = trained | {cell.stage.key for cell in plan.of(Responses.NAME)}
    for key, stage in plan.stages.items():
        if outcome.finished(key):
            manifest = read_manifest(store.place(stage))
            reported = reported_by(store.place(stage)) if key in telling else {}
            data = getattr(stage, "data", None)
            stages[key] = StageFacts(
                kind=manifest.kind,
                cost=dict(manifest.cost),
                provenance=dict(manifest.provenance),
                data=describe_data(data) if key in trained and isinstance(data, Data | Mixture | Made) else "",
                **reported,
            )
    return RunSummary(
        name=comparison.name,
        question=comparison.question,
        base=describe_policy(comparison.given.base),
        data={
            name: describe_data(data)
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
        labellers=labeller_facts(plan, outcome, store),
        shifts=token_shifts(plan, outcome, store),
        unanswered=unanswered(plan, outcome, store),
        served_models=served_models(plan, outcome, store),
        benchmark_cuts=benchmark_cuts(plan, outcome, store),
        told=plan.told,
    )


def metrics_by_name(plan: Plan, outcome: Outcome, store: Store) -> dict[str, MetricInfo]:
    """Return every metric of the comparison by name, in the order of the measurements."""
    found: dict[str, MetricInfo] = {}
    for measurement in plan.design.measurements:
        cells = [cell for cell in plan.of(measurement.NAME) if outcome.finished(cell.stage.key)]
        for metric in measurement.metrics(plan.design, [store.place(cell.stage) for cell in cells]):
            found.setdefault(metric.name, metric)
    return found


def facts_of(arm: Arm, plan: Plan, outcome: Outcome) -> ArmFacts:
    """Return what an arm is and what its policies rest on."""
    by_seed = {}
    for seed in plan.comparison.given.seeds:
        keys = tuple(stage.key for stage in plan.stages_of_arm(arm.name, seed) if outcome.finished(stage.key))
        answers = [cell.stage.key for cell in plan.of(Responses.NAME) if (cell.arm, cell.seed) == (arm.name, seed)]
        by_seed[str(seed)] = ArmAtSeed(stages=keys, answers=tuple(key for key in answers if outcome.finished(key)))
    about = (type(arm.method).__doc__ or "").strip().partition("\n")[0]
    return ArmFacts(
        method=type(arm.method).__module__.rpartition(".")[2],
        fields=with_defaults(arm),
        lora=None if arm.lora is None else arm.lora.model_dump(),
        replicate=arm.replicate,
        about=about,
        runs=by_seed,
        brought=tuple(brought_by(plan.design, arm.name)),
    )


def with_defaults(arm: Arm) -> dict[str, Any]:
    """Return an arm's settings; one of None that stands for a number has it, marked as the method's default."""
    method = arm.method.written_out()
    fields = {name: described(getattr(method, name)) for name in type(method).model_fields}
    brought = {name: policy for name in ("start", "reference") if (policy := getattr(arm, name)) is not None}
    fields |= {name: described(policy) for name, policy in brought.items()}
    for name, number in defaults_of_arm(arm).items():
        *groups, last = name.split(".")
        place = fields
        for group in groups:
            place = place[group]
        place[last] = f"{number:g} (default)"
    return fields


def labeller_facts(plan: Plan, outcome: Outcome, store: Store) -> tuple[LabellerFacts, ...]:
    """Return what every labeller is: its settings without the policy, and its size by the cost of its calls."""
    calls: dict[tuple[str | None, int | None], list[Cell[LabelPairs]]] = {}
    for cell in plan.of(LabelAgreement.NAME):
        calls.setdefault((cell.judge_label, cell.seed), []).append(cell)
    return tuple(labeller_of(cells, outcome, store) for cells in calls.values())


def labeller_of(cells: Sequence[Cell[LabelPairs]], outcome: Outcome, store: Store) -> LabellerFacts:
    """Return the facts of one labeller; ``cells``: its first call, and the second where it draws noise."""
    first = cells[0]
    settings = {
        name: Path(str(value)).name if name == "path" else value
        for name, value in encode(first.stage.judge).items()
        if isinstance(value, str | int | float) and name not in ("is", "digest")
    }
    parameters = None
    if outcome.finished(first.stage.key):
        cost = read_manifest(store.place(first.stage)).cost
        tokens = cost["read_tokens"] + cost["generated_tokens"]
        parameters = cost["flops"] / (READ_FLOPS * tokens) if tokens else None
    missing = (outcome.why_missing(cell.stage.key) for cell in cells)
    return LabellerFacts(
        judge=str(first.judge_label),
        run=first.seed,
        settings=settings,
        parameters=parameters,
        samples=len(cells) > 1,
        missing=next((why for why in missing if why is not None), None),
    )


def unanswered(plan: Plan, outcome: Outcome, store: Store) -> tuple[Unanswered, ...]:
    """Return how many prompts of every task were too long for which arms; those that lack as many are together."""
    lacking: dict[tuple[str, str], int] = {}
    for cell in plan.of(Responses.NAME):
        if outcome.finished(cell.stage.key):
            table = pq.read_table(store.place(cell.stage) / COMPLETIONS, columns=["prompt", "finish"])
            rows = zip(table["prompt"].to_pylist(), table["finish"].to_pylist(), strict=True)
            about = (str(cell.task_name), str(cell.arm))
            count = len({prompt for prompt, finish in rows if finish == NO_ROOM})
            lacking[about] = max(count, lacking.get(about, 0))
    prompts = {task.NAME: len(task.prompts()) for task in plan.comparison.evaluation.tasks}
    alike: dict[tuple[str, int], list[str]] = {}
    for (task, arm), count in lacking.items():
        if count:
            alike.setdefault((task, count), []).append(arm)
    return tuple(
        Unanswered(task=task, arms=tuple(arms), prompts=count, of=prompts[task])
        for (task, count), arms in alike.items()
    )


def served_models(plan: Plan, outcome: Outcome, store: Store) -> dict[str, dict[str, int]]:
    """Return how many answers which model gave, by the model asked for, where a server named another one."""
    found: dict[str, Counter[str]] = {}
    for key, stage in plan.stages.items():
        diagnostics = store.place(stage) / DIAGNOSTICS_FILE
        if outcome.finished(key) and diagnostics.is_file():
            told = json.loads(diagnostics.read_text(encoding="utf-8")).get(SERVED, {})
            for asked, answers in told.items():
                found.setdefault(asked, Counter()).update(answers)
    return {asked: dict(sorted(answers.items())) for asked, answers in sorted(found.items())}


def benchmark_cuts(plan: Plan, outcome: Outcome, store: Store) -> tuple[BenchmarkCuts, ...]:
    """Return what every arm could not read of every task of lm-eval, at the seed with most; none where all was read."""
    found: dict[tuple[str, str], BenchmarkCuts] = {}
    for cell in plan.of(Benchmarks.NAME):
        if outcome.finished(cell.stage.key):
            about = (str(cell.task_name), str(cell.arm))
            one = BenchmarkCuts(task=about[0], arm=about[1], **read_cut(store.place(cell.stage)))
            if _lost(one) > (_lost(found[about]) if about in found else 0):
                found[about] = one
    return tuple(found.values())


def _lost(one: BenchmarkCuts) -> int:
    return one.contexts + one.undefined + one.without_system + one.examples_left_out


def token_shifts(plan: Plan, outcome: Outcome, store: Store) -> tuple[ShiftFacts, ...]:
    """Return what steering changed in the answers of every proxied arm to every task, over its finished seeds."""
    found: dict[tuple[str, str], list[Path]] = {}
    for cell in plan.of(TokenShifts.NAME):
        if outcome.finished(cell.stage.key):
            found.setdefault((str(cell.arm), str(cell.task_name)), []).append(store.place(cell.stage))
    facts = (shift_facts(arm, task, folders) for (arm, task), folders in found.items())
    return tuple(one for one in facts if one is not None)


def reported_by(folder: Path) -> dict[str, Any]:
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
