"""The gate's criteria: each names a metric, two arms, and exactly one margin, and all of it must be computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.config.comparison import Criterion
from bench.config.evaluation import Scoring, check_arm
from bench.config.findings import KeyPath
from bench.config.sheet import Sheet
from bench.core.choices import MC1, MC2, offers_choices
from bench.core.errors import BenchError, did_you_mean
from bench.core.factuality import FACTUALITY_METRICS
from bench.core.task import HYGIENE, LENGTH_CONTROLLED, RATING, WIN_RATE, Task

MARGINS = ("superior_by", "not_worse_by", "equivalent_within")


def read_gate(sheet: Sheet, value: Any, names: Sequence[str], scoring: Scoring | None) -> tuple[Criterion, ...]:
    """Return the criteria; one that names what is not computed is told. Without ``scoring`` only the form counts."""
    path: KeyPath = ("gate",)
    found = []
    for index, item in enumerate(sheet.items(path, value, "criterion")):
        here = (*path, index)
        fields = sheet.keys(here, item, list(Criterion.model_fields), required=("metric", "method", "versus"))
        if fields is None or not {"metric", "method", "versus"} <= set(fields):
            continue
        criterion = sheet.build(Criterion, here, fields)
        if criterion is None:
            continue
        found.append(criterion)
        _check_margin(sheet, here, criterion)
        arms = [check_arm(sheet, (*here, key), fields[key], names) for key in ("method", "versus")]
        if all(arms) and criterion.method == criterion.versus:
            sheet.problem(here, f"'{criterion.method}' cannot be held against itself", "name two methods")
        if scoring is not None:
            _check_metric(sheet, here, criterion, scoring)
    return tuple(found)


def _check_margin(sheet: Sheet, path: KeyPath, criterion: Criterion) -> None:
    values = {name: value for name, value in criterion if name in MARGINS}
    given = [name for name in MARGINS if values[name] is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        sheet.problem(path, f"needs exactly one of {', '.join(MARGINS)}, and has {got}")


def _check_metric(sheet: Sheet, path: KeyPath, criterion: Criterion, scoring: Scoring) -> None:
    tasks = {task.NAME: task for task in scoring.tasks}
    if criterion.task is not None and criterion.task not in tasks:
        what = f"no task '{criterion.task}' in this file. {did_you_mean(criterion.task, tasks)}"
        sheet.problem((*path, "task"), what)
        return
    if criterion.metric == WIN_RATE.name or (criterion.metric == LENGTH_CONTROLLED.name and scoring.length_controlled):
        _check_judge(sheet, path, criterion, [judge.label for judge in scoring.judges], "win_rate")
        return
    if criterion.metric == RATING.name:
        _check_judge(sheet, path, criterion, [named.label for named in scoring.settings.get("ratings", ())], "ratings")
        return
    if criterion.judge is not None:
        what = f"the metric '{criterion.metric}' comes from a task, so it has no judge"
        sheet.problem((*path, "judge"), what, f"drop `judge`, or use the metric {WIN_RATE.name}")
    directions = {metric.name: metric.higher_is_better for metric in HYGIENE}
    for name, task in tasks.items():
        if criterion.task in (None, name):
            directions.update({metric.name: metric.higher_is_better for metric in task.METRICS})
    directions.update(_of_claims(scoring, criterion.task))
    directions.update(_of_choices(sheet, path, criterion, tasks))
    if criterion.metric not in directions:
        near = did_you_mean(criterion.metric, [*directions, WIN_RATE.name])
        sheet.problem((*path, "metric"), f"no task of this file has the metric '{criterion.metric}'. {near}")
    elif directions[criterion.metric] is None and criterion.equivalent_within is None:
        what = f"neither more nor less '{criterion.metric}' is better"
        sheet.problem((*path, "metric"), what, "use `equivalent_within`, the one margin without a direction")


def _of_claims(scoring: Scoring, task: str | None) -> dict[str, bool | None]:
    """Return the directions of the metrics of claims where claims are checked on the task, or on any task for None."""
    factuality = scoring.settings.get("factuality")
    if factuality is None or task not in (None, *factuality.tasks):
        return {}
    return {metric.name: metric.higher_is_better for metric in FACTUALITY_METRICS}


def _of_choices(
    sheet: Sheet, path: KeyPath, criterion: Criterion, tasks: Mapping[str, Task]
) -> dict[str, bool | None]:  # fmt: skip
    """Return the directions of the metrics of choices where a task of the criterion offers some."""
    found = {metric.name: metric.higher_is_better for metric in (MC1, MC2)}
    asked = [task for name, task in tasks.items() if criterion.task in (None, name)]
    try:
        return found if criterion.metric in found and any(offers_choices(task) for task in asked) else {}
    except BenchError as error:
        sheet.refused(path, error)
        return found


def _check_judge(sheet: Sheet, path: KeyPath, criterion: Criterion, judges: Sequence[str], section: str) -> None:
    words = criterion.metric.replace("_", " ")
    if not judges:
        sheet.problem((*path, "metric"), f"there is no {words} without a judge", f"add `{section}:` under `evaluate:`")
    elif criterion.judge is None and len(judges) > 1:
        what = f"several judges give a {words} ({', '.join(judges)}), and none is named"
        sheet.problem((*path, "judge"), what, f"add `judge: {judges[0]}`")
    elif criterion.judge is not None and criterion.judge not in judges:
        what = f"no judge '{criterion.judge}' in this file. {did_you_mean(criterion.judge, judges)}"
        sheet.problem((*path, "judge"), what)
