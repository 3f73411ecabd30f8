"""Baselines: made from a run's rows, refused where they cannot be compared, and held against a later run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from bench.config.comparison import BASELINE, Comparison, Criterion
from bench.core.errors import DataError, did_you_mean
from bench.core.frozen import PLUGIN_PREFIX
from bench.core.metrics import DIVERGENCE_K3, WIN_RATE
from bench.gate.decide import Evidence, evidence
from bench.gate.earlier_contrast import NOT_THERE, Sides, earlier_contrast
from bench.results.baseline import Baseline, Column, PromptValues, TaskValues, rounded
from bench.results.identity import changed_settings, differences
from bench.results.lock import Lock
from bench.results.summary import RunSummary
from bench.statistics.crossing.crossing import OK, UNDEFINED, UNREAD, RecordIndex, Request
from bench.statistics.tests.confidence import FloatArray

TASK = "task"


def make_baseline(
    comparison: Comparison, summary: RunSummary, lock: Lock, records: pa.Table, reason: str
) -> Baseline:  # fmt: skip
    """Return the baseline that a whole run makes: every metric of every method per prompt and seed.

    Win rates are those against ``evaluate.win_rate.versus``. Raises DataError for a value that is not there.
    """
    index = RecordIndex(records)
    revision = lock.program.get("revision")
    return Baseline(
        name=comparison.name,
        reason=reason,
        code=" ".join(part for part in (lock.program.get("version"), revision) if part) or None,
        seeds=lock.seeds,
        identity=lock.identity,
        given=given_of(summary, lock),
        arms=arms_of(summary),
        tasks={task: task_values(index, comparison, task) for task in tasks_of(comparison)},
        computed_on=lock.computed_on,
    )


def tasks_of(comparison: Comparison) -> list[str]:
    """Return the names of all tasks, those of lm-eval included."""
    evaluation = comparison.evaluation
    return [*(task.NAME for task in evaluation.tasks), *(task.name for task in evaluation.benchmarks)]


def arms_of(summary: RunSummary) -> dict[str, dict[str, object]]:
    """Return every arm's settings as the run recorded them."""
    return {
        name: {"method": method_text(arm.method), "replicate": arm.replicate, "lora": arm.lora, **arm.fields}
        for name, arm in summary.arms.items()
    }


def method_text(name: str) -> str:
    """Return a method's name, and for a file beside the comparison the beginning of its digest."""
    return f"file {name.removeprefix(PLUGIN_PREFIX)[:12]}" if name.startswith(PLUGIN_PREFIX) else name


def given_of(summary: RunSummary, lock: Lock) -> dict[str, object]:
    """Return what all arms were given, as a later check lists it."""
    return {"base": summary.base, **lock.data, **lock.models}


def task_values(index: RecordIndex, comparison: Comparison, task: str) -> TaskValues:
    """Return the values of one task; raises DataError for one that is not there."""
    found = [(column, matrix(index, comparison, task, column)) for column in columns_of(index, comparison, task)]
    prompts = clusters_of(index, comparison, task)
    rows = {}
    for place, (name, cluster) in enumerate(prompts.items()):
        values = tuple(tuple(None if np.isnan(value) else value for value in side[place]) for _, side in found)
        short = tuple(tuple(rounded(value) for value in column) for column in values)
        rows[name] = PromptValues(cluster=cluster, values=short)
    return TaskValues(columns=tuple(column for column, _ in found), prompts=rows)


def columns_of(index: RecordIndex, comparison: Comparison, task: str) -> Iterator[Column]:
    """Yield what a baseline keeps of a task: every metric of every arm, and win rates against the one of the file."""
    arms = [arm.name for arm in comparison.arms]
    for metric in index.metrics(task):
        if metric != DIVERGENCE_K3.name:
            for source in index.sources(task, metric):
                yield from (Column(metric=metric, method=arm, source=source) for arm in arms)
    versus = comparison.evaluation.versus
    for source in index.sources(task, WIN_RATE.name):
        for arm in arms:
            if versus is not None and arm != versus:
                yield Column(metric=WIN_RATE.name, method=arm, source=source, versus=versus)


def clusters_of(index: RecordIndex, comparison: Comparison, task: str) -> dict[str, str]:
    """Return every prompt of a task that has a row, with its cluster, by id."""
    found: dict[str, str] = {}
    for column in columns_of(index, comparison, task):
        found |= index.universe(request_of(column, task, comparison.given.seeds)).prompts
    return dict(sorted(found.items()))


def request_of(column: Column, task: str, seeds: Sequence[int]) -> Request:
    """Return the request for a column's rows."""
    return Request(column.method, column.versus or column.method, task, column.metric, column.source, tuple(seeds))


def matrix(index: RecordIndex, comparison: Comparison, task: str, column: Column) -> FloatArray:
    """Return the values (prompts, seeds) of a column, means over draws and orders.

    A cell is nan where the metric is undefined, or the prompt too long. With ``statistics.missing: drop_prompts`` a
    cell without a usable row is nan too, otherwise DataError is raised.
    """
    request = request_of(column, task, comparison.given.seeds)
    prompts = clusters_of_column(index, request)
    if column.versus is None:
        turned, side = False, index.cells(request, column.method, None)
    else:
        turned = not index.has_pair(request)
        arm, versus = (column.versus, column.method) if turned else (column.method, column.versus)
        side = index.cells(request, arm, versus)
    usable = (side.states == OK).all(axis=2)
    lost = ~(usable | np.isin(side.states, (UNDEFINED, UNREAD)).any(axis=2))
    if lost.any() and comparison.statistics.missing == "refuse":
        first = prompts[int(np.flatnonzero(lost.any(axis=1))[0])]
        raise DataError(
            f"{task}: {int(lost.any(axis=1).sum())} of {len(prompts)} prompts have no usable {column.metric} of "
            f"{column.method} ({column.source}), the first: {first}. {NOT_THERE}"
        )
    values = side.values.mean(axis=2)
    return np.where(usable, 1 - values if turned else values, np.nan)


def clusters_of_column(index: RecordIndex, request: Request) -> list[str]:
    """Return the ids of the prompts that a column's matrix has as rows, in order."""
    return list(index.universe(request).prompts)


def refuse_what_differs(baseline: Baseline, lock: Lock, where: str) -> None:
    """Raise DataError, naming everything, where values of the two runs do not measure the same."""
    found = differences(lock.identity, baseline.identity)
    if found:
        raise DataError(
            "\n    ".join([f"{where}: the baseline was measured with something else, so nothing is compared", *found])
            + "\n  Measure as the baseline did, or make a new one from a run that you trust: "
            'bench baseline PATH --replace --reason "..."'
        )


def what_changed(baseline: Baseline, summary: RunSummary, lock: Lock) -> list[str]:
    """Return what is not the same in training: this is what a check tests, so it is listed and not refused."""
    arms = arms_of(summary)
    changes = [
        f"{name}.{change}"
        for name in sorted(arms.keys() & baseline.arms.keys())
        for change in changed_settings(arms[name], baseline.arms[name])
    ]
    return changed_settings(given_of(summary, lock), baseline.given) + changes


def evidence_against(
    comparison: Comparison, summary: RunSummary, records: pa.Table, baseline: Baseline
) -> list[Evidence]:  # fmt: skip
    """Return what there is to judge the criteria against the baseline by; raises DataError where it has no values."""
    index = RecordIndex(records)
    found = []
    for criterion in comparison.gate:
        if criterion.against_baseline:
            for task, column in asked_columns(index, comparison, criterion, baseline):
                sides = Sides(matrix(index, comparison, task, column), baseline, task, column)
                prompts = clusters_of_column(index, request_of(column, task, comparison.given.seeds))
                contrast = earlier_contrast(sides, prompts, comparison, summary)
                level = comparison.statistics.level
                found.append(evidence(criterion, contrast, level, f"its {BASELINE}", column.versus))
    return found


def asked_columns(
    index: RecordIndex, comparison: Comparison, criterion: Criterion, baseline: Baseline
) -> list[tuple[str, Column]]:
    """Return the (task, column) pairs that a criterion asks for; raises DataError when one side has none."""
    found: list[tuple[str, Column]] = []
    tasks = [task for task in tasks_of(comparison) if criterion.task in (None, task)]
    for task in tasks:
        for column in columns_of(index, comparison, task):
            judge = None if column.source == TASK else column.source
            same = (column.metric, column.method) == (criterion.metric, criterion.method)
            if same and criterion.judge in (None, judge):
                found.append((task, column))
    about = f"gate criterion on {criterion.metric}, {criterion.method} versus {BASELINE}"
    if not found:
        raise DataError(f"{about}: the run has no rows of it. Run `bench run` again, or correct the criterion.")
    for task, column in found:
        known = baseline.tasks[task].columns if task in baseline.tasks else ()
        if column not in known:
            names = {f"{one.metric} of {one.method}" for one in known}
            raise DataError(
                f"{about}: the baseline has no such values on task {task}. "
                f"{did_you_mean(f'{criterion.metric} of {criterion.method}', names)}"
            )
    return found
