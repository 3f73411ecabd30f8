"""The gate: criteria that each name a metric, two arms and exactly one margin, all of it computed; and its settings.

``gate`` is the list of criteria, or a mapping with the list under ``criteria`` and the settings beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.config.comparison import BASELINE, Criterion, GateSettings
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section
from bench.config.sections.evaluate import Scoring, check_arm
from bench.core.errors import BenchError, did_you_mean
from bench.core.metrics import FACTUALITY_METRICS, HYGIENE, LENGTH_CONTROLLED, MC1, MC2, RATING, WIN_RATE
from bench.core.task import Task, offers_choices

MARGINS = ("superior_by", "not_worse_by", "equivalent_within")
CRITERIA = "criteria"
GATE_KEYS = (CRITERIA, *GateSettings.model_fields)
_ROOT: KeyPath = ("gate",)


def read_gate(
    section: Section, value: Any, names: Sequence[str], scoring: Scoring | None
) -> tuple[tuple[Criterion, ...], GateSettings]:
    """Return the criteria and the settings; what is wrong is reported. Without ``scoring`` only the form counts."""
    if not isinstance(value, dict):
        return _criteria(section, _ROOT, value, names, scoring), GateSettings()
    fields = section.keys(_ROOT, value, GATE_KEYS, required=(CRITERIA,)) or {}
    place = (*_ROOT, CRITERIA)
    criteria = _criteria(section, place, fields[CRITERIA], names, scoring) if CRITERIA in fields else ()
    settings = section.build(GateSettings, _ROOT, {name: item for name, item in fields.items() if name != CRITERIA})
    if settings is not None and settings.baseline is not None:
        file = section.resolve((*_ROOT, "baseline"), settings.baseline)
        settings = settings.model_copy(update={"baseline": str(file)})
    return criteria, settings or GateSettings()


def _criteria(
    section: Section, path: KeyPath, value: Any, names: Sequence[str], scoring: Scoring | None
) -> tuple[Criterion, ...]:
    """Return the criteria of the list at a key path; one that names what is not computed is reported."""
    found = []
    for index, item in enumerate(section.items(path, value, "criterion")):
        here = (*path, index)
        fields = section.keys(here, item, list(Criterion.model_fields), required=("metric", "method", "versus"))
        if fields is None or not {"metric", "method", "versus"} <= set(fields):
            continue
        criterion = section.build(Criterion, here, fields)
        if criterion is None:
            continue
        found.append(criterion)
        _check_margin(section, here, criterion)
        _check_arms(section, here, criterion, names)
        if scoring is not None:
            _check_metric(section, here, criterion, scoring)
    return tuple(found)


def _check_arms(section: Section, path: KeyPath, criterion: Criterion, names: Sequence[str]) -> None:
    right = check_arm(section, (*path, "method"), criterion.method, names)
    if criterion.against_baseline:
        if BASELINE in names:
            what = f"a method of this file is called '{BASELINE}', so `versus: {BASELINE}` would mean two things"
            section.problem((*path, "versus"), what, "give the method another name")
        return
    right &= check_arm(section, (*path, "versus"), criterion.versus, names)
    if right and criterion.method == criterion.versus:
        next_step = f"name two methods, or `versus: {BASELINE}` for its own earlier run"
        section.problem(path, f"'{criterion.method}' cannot be held against itself", next_step)


def _check_margin(section: Section, path: KeyPath, criterion: Criterion) -> None:
    values = {name: value for name, value in criterion if name in MARGINS}
    given = [name for name in MARGINS if values[name] is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        section.problem(path, f"needs exactly one of {', '.join(MARGINS)}, and has {got}")


def _check_metric(section: Section, path: KeyPath, criterion: Criterion, scoring: Scoring) -> None:
    tasks = {task.NAME: task for task in scoring.tasks}
    if criterion.task is not None and criterion.task not in tasks:
        what = f"no task '{criterion.task}' in this file. {did_you_mean(criterion.task, tasks)}"
        section.problem((*path, "task"), what)
        return
    if criterion.against_baseline and not _has_earlier_values(section, path, criterion, scoring):
        return
    if criterion.metric == WIN_RATE.name or (criterion.metric == LENGTH_CONTROLLED.name and scoring.length_controlled):
        _check_judge(section, path, criterion, [judge.label for judge in scoring.judges], "win_rate")
        return
    if criterion.metric == RATING.name:
        _check_judge(
            section, path, criterion, [named.label for named in scoring.settings.get("ratings", ())], "ratings"
        )
        return
    if criterion.judge is not None:
        what = f"the metric '{criterion.metric}' comes from a task, so it has no judge"
        section.problem((*path, "judge"), what, f"drop `judge`, or use the metric {WIN_RATE.name}")
    directions = {metric.name: metric.higher_is_better for metric in HYGIENE}
    for name, task in tasks.items():
        if criterion.task in (None, name):
            directions.update({metric.name: metric.higher_is_better for metric in task.METRICS})
    directions.update(_of_claims(scoring, criterion.task))
    directions.update(_of_choices(section, path, criterion, tasks))
    if criterion.metric not in directions and scoring.settings.get("measurements"):
        return  # planning knows what they measure
    if criterion.metric not in directions:
        near = did_you_mean(criterion.metric, [*directions, WIN_RATE.name])
        section.problem((*path, "metric"), f"no task of this file has the metric '{criterion.metric}'. {near}")
    elif directions[criterion.metric] is None and criterion.equivalent_within is None:
        what = f"neither more nor less '{criterion.metric}' is better"
        section.problem((*path, "metric"), what, "use `equivalent_within`, the one margin without a direction")


def _of_claims(scoring: Scoring, task: str | None) -> dict[str, bool | None]:
    """Return the directions of the metrics of claims where claims are checked on the task, or on any task for None."""
    factuality = scoring.settings.get("factuality")
    if factuality is None or task not in (None, *factuality.tasks):
        return {}
    return {metric.name: metric.higher_is_better for metric in FACTUALITY_METRICS}


def _of_choices(
    section: Section, path: KeyPath, criterion: Criterion, tasks: Mapping[str, Task]
) -> dict[str, bool | None]:  # fmt: skip
    """Return the directions of the metrics of choices where a task of the criterion offers some."""
    found = {metric.name: metric.higher_is_better for metric in (MC1, MC2)}
    scored = [task for name, task in tasks.items() if criterion.task in (None, name)]
    try:
        return found if criterion.metric in found and any(offers_choices(task) for task in scored) else {}
    except BenchError as error:
        section.unusable(path, error)
        return found


def _has_earlier_values(section: Section, path: KeyPath, criterion: Criterion, scoring: Scoring) -> bool:
    """Return whether a baseline can hold the metric of this method; the problem is noted when it cannot."""
    if criterion.metric == LENGTH_CONTROLLED.name:
        what = f"a {criterion.metric.replace('_', ' ')} is fitted to a whole run, so a baseline has no values of it"
        section.problem((*path, "metric"), what, f"use {WIN_RATE.name}")
        return False
    if criterion.metric == WIN_RATE.name and criterion.method == scoring.versus:
        what = f"win rates are against '{criterion.method}' itself, so it has none that could have changed"
        section.problem((*path, "method"), what, "name another method, or a metric of a task")
        return False
    return True


def _check_judge(section: Section, path: KeyPath, criterion: Criterion, judges: Sequence[str], key: str) -> None:
    words = criterion.metric.replace("_", " ")
    if not judges:
        section.problem((*path, "metric"), f"there is no {words} without a judge", f"add `{key}:` under `evaluate:`")
    elif criterion.judge is None and len(judges) > 1:
        what = f"several judges give a {words} ({', '.join(judges)}), and none is named"
        section.problem((*path, "judge"), what, f"add `judge: {judges[0]}`")
    elif criterion.judge is not None and criterion.judge not in judges:
        what = f"no judge '{criterion.judge}' in this file. {did_you_mean(criterion.judge, judges)}"
        section.problem((*path, "judge"), what)
