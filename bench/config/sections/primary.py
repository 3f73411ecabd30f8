"""``statistics.primary``: the metric, and the judge, that the question is about."""

from __future__ import annotations

from bench.config.comparison import Primary, StatisticsSettings
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section
from bench.config.sections.evaluate import Scoring
from bench.core.errors import BenchError, did_you_mean
from bench.core.metrics import (
    DIVERGENCE,
    FACTUALITY_METRICS,
    HYGIENE,
    LENGTH_CONTROLLED,
    MC1,
    MC2,
    RATING,
    WIN_RATE,
    MetricInfo,
)
from bench.core.task import offers_choices

_ROOT: KeyPath = ("statistics", "primary")
# Corrections that keep the family-wise error, which is what a gatekeeper hands on.
FAMILY_WISE = ("holm", "max_t")


def check_primary(section: Section, settings: StatisticsSettings, scoring: Scoring) -> StatisticsSettings:
    """Return the settings with the primary's judge filled in; what the file does not measure is reported."""
    if settings.secondary == "after_primary" and settings.correction not in FAMILY_WISE:
        what = f"`after_primary` hands a family-wise error on, and `correction: {settings.correction}` keeps none"
        section.problem(("statistics", "secondary"), what, f"use `correction: {FAMILY_WISE[0]}`")
    primary = settings.primary
    if primary is None:
        return settings
    judges = judges_of(scoring)
    if primary.metric in judges:
        return settings.model_copy(update={"primary": _with_judge(section, primary, judges[primary.metric])})
    own = metrics_of(section, scoring)
    measured_elsewhere = bool(scoring.settings.get("measurements") or scoring.settings.get("benchmarks"))
    if primary.metric not in own and not measured_elsewhere:
        near = did_you_mean(primary.metric, [*own, *(name for name, labels in judges.items() if labels)])
        section.problem((*_ROOT, "metric"), f"nothing in this file measures '{primary.metric}'. {near}")
    elif primary.judge is not None:
        what = f"the metric '{primary.metric}' comes from a task, so it has no judge"
        section.problem((*_ROOT, "judge"), what, f"drop `judge`, or use the metric {WIN_RATE.name}")
    return settings


def check_test(section: Section, settings: StatisticsSettings, scoring: Scoring, seeds: int) -> None:
    """Report a betting test where there is none: over several seeds, without bounds, beside what takes its place."""
    if settings.test != "betting":
        return
    path: KeyPath = ("statistics", "test")
    if seeds > 1:
        section.problem(
            path, f"`betting` is for one training seed, and there are {seeds}", "use `t` with several seeds"
        )
    if settings.correction == "max_t":
        section.problem(path, "`betting` has no joint law that `max_t` could resample", "use `correction: holm`")
    if settings.interval != "t":
        section.problem(path, f"`betting` has its own interval, not `{settings.interval}`", "leave `interval` out")
    leading = _leading(settings, scoring)
    if leading is not None and leading.bounds is None:
        what = f"`betting` needs bounds, and the primary metric '{leading.name}' declares none"
        section.problem(path, what, "declare them, MetricInfo(bounds=(low, high)), or use `t`")


def _leading(settings: StatisticsSettings, scoring: Scoring) -> MetricInfo | None:
    """Return the primary metric's facts, as ``Comparison.primary`` chooses it; None where they are not known here."""
    declared = [info for task in scoring.tasks for info in task.METRICS]
    if settings.primary is not None:
        known = (*declared, *HYGIENE, DIVERGENCE, RATING)
        return next((info for info in known if info.name == settings.primary.metric), None)
    if scoring.judges:
        return WIN_RATE
    return next((info for info in declared if info.higher_is_better is not None), None)


def judges_of(scoring: Scoring) -> dict[str, list[str]]:
    """Return the labels of the judges of every metric that judges measure."""
    compare = [named.label for named in scoring.judges]
    found = {WIN_RATE.name: compare, RATING.name: [named.label for named in scoring.settings.get("ratings", ())]}
    return {**found, LENGTH_CONTROLLED.name: compare} if scoring.length_controlled else found


def metrics_of(section: Section, scoring: Scoring) -> list[str]:
    """Return the names of the metrics without a judge that are known before planning."""
    found = [metric.name for task in scoring.tasks for metric in task.METRICS]
    if scoring.tasks:
        found += [metric.name for metric in HYGIENE]
    if scoring.settings.get("factuality") is not None:
        found += [metric.name for metric in FACTUALITY_METRICS]
    if scoring.settings.get("divergence") is not None:
        found.append(DIVERGENCE.name)
    try:
        if any(offers_choices(task) for task in scoring.tasks):
            found += [MC1.name, MC2.name]
    except BenchError as error:
        section.unusable(_ROOT, error)
        found += [MC1.name, MC2.name]
    return list(dict.fromkeys(found))


def _with_judge(section: Section, primary: Primary, labels: list[str]) -> Primary:
    """Return the primary with its judge, the first declared one where none is named; a wrong one is reported."""
    if not labels:
        key = "ratings" if primary.metric == RATING.name else "win_rate"
        what = f"there is no {primary.metric.replace('_', ' ')} without a judge"
        section.problem((*_ROOT, "metric"), what, f"add `{key}:` under `evaluate:`, or name another `metric`")
        return primary
    if primary.judge is not None and primary.judge not in labels:
        what = f"no judge '{primary.judge}' gives a {primary.metric.replace('_', ' ')} here"
        section.problem((*_ROOT, "judge"), f"{what}. {did_you_mean(primary.judge, labels)}")
    return primary if primary.judge is not None else primary.model_copy(update={"judge": labels[0]})
