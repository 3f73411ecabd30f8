"""From finished stages to the run summary."""

from __future__ import annotations

from pathlib import Path

from bench.config.comparison import Arm
from bench.core.data import Data, Made
from bench.core.frozen import encode
from bench.core.meter import READ_FLOPS
from bench.core.metrics import (
    DIVERGENCE,
    DIVERGENCE_K3,
    FACTUALITY_METRICS,
    LENGTH_CONTROLLED,
    MC1,
    MC2,
    RATING,
    WIN_RATE,
    MetricInfo,
)
from bench.engine.provenance import versions
from bench.engine.scheduler import Outcome
from bench.engine.store import Store, read_manifest
from bench.evaluation.measurements.lm_eval import read_metrics
from bench.evaluation.measurements.scores import metrics_of
from bench.evaluation.measurements.token_shift import shift_facts
from bench.pipeline.collecting.told import told_by
from bench.pipeline.describe import data_in_words, described, policy_in_words
from bench.pipeline.missing import missing_cells
from bench.pipeline.plan import Plan
from bench.pipeline.planning.cells import Labelled
from bench.results.summary import ArmFacts, ArmRun, LabellerFacts, RunSummary, ShiftFacts, StageFacts


def summarise(plan: Plan, outcome: Outcome, store: Store) -> RunSummary:
    """Return what the report needs beside records and contrasts."""
    comparison = plan.comparison
    stages = {}
    trained = {stage.key for policy in plan.policies for stage in plan.stages_of_arm(*policy)}
    for key, stage in plan.stages.items():
        if outcome.finished(key):
            manifest = read_manifest(store.place(stage))
            told = told_by(store.place(stage)) if key in trained else {}
            data = getattr(stage, "data", None)
            stages[key] = StageFacts(
                kind=manifest.kind,
                cost=dict(manifest.cost),
                provenance=dict(manifest.provenance),
                data=data_in_words(data) if key in trained and isinstance(data, Data | Made) else "",
                **told,
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
        if comparison.evaluation.length_control.model != "none":
            found[LENGTH_CONTROLLED.name] = LENGTH_CONTROLLED
    if comparison.evaluation.ratings:
        found[RATING.name] = RATING
    if comparison.evaluation.divergence:
        found |= {metric.name: metric for metric in (DIVERGENCE, DIVERGENCE_K3)}
    if plan.weighed:
        found |= {metric.name: metric for metric in (MC1, MC2)}
    if comparison.evaluation.factuality:
        found |= {metric.name: metric for metric in FACTUALITY_METRICS}
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
