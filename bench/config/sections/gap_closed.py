"""``evaluate.gap_closed``: which share of the gap between two arms a third one closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.config.comparison import GapClosed, Named
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.core.errors import did_you_mean
from bench.core.metrics import DIVERGENCE, HYGIENE, RATING, WIN_RATE
from bench.core.task import Task

START, GOAL = "from", "to"
GAP_KEYS = ("of", START, GOAL, "metric", "judge")
Check = Callable[[Section, KeyPath, Any, Sequence[str]], bool]


def read_gaps(
    section: Section, path: KeyPath, value: Any, names: Sequence[str], check_arm: Check
) -> dict[KeyPath, GapClosed]:  # fmt: skip
    """Return the questions of a list by where they stand; those that are wrong are left out and reported."""
    found: dict[KeyPath, GapClosed] = {}
    for index, item in enumerate(section.items(path, value, "{of: NAME, from: NAME, to: NAME}")):
        here = (*path, index)
        fields = section.keys(here, item, GAP_KEYS, required=GAP_KEYS[:3])
        if fields is None or not set(GAP_KEYS[:3]) <= fields.keys():
            continue
        arms = [fields[key] for key in GAP_KEYS[:3]]
        right = all([check_arm(section, (*here, key), fields[key], names) for key in GAP_KEYS[:3]])
        if right and len(set(arms)) < 3:
            section.problem(here, "of, from and to must be three methods", "name each of them once")
            continue
        texts = {key: fields[key] for key in GAP_KEYS[3:] if key in fields}
        for key, text in texts.items():
            if not isinstance(text, str):
                section.problem((*here, key), f"must be a name, not {as_written(text)}")
                right = False
        if right:
            of, start, goal = arms
            metric, judge = texts.get("metric", WIN_RATE.name), texts.get("judge")
            found[here] = GapClosed(of=of, start=start, goal=goal, metric=metric, judge=judge)
            if list(found.values()).count(found[here]) > 1:
                section.problem(here, "this question stands twice", "remove one of the two")
    return found


def check_gaps(
    section: Section, gaps: Mapping[KeyPath, GapClosed], tasks: Sequence[Task], judges: Mapping[str, Sequence[Named]]
) -> None:
    """Report every question about a metric or a judge that this file lacks; ``judges``: those of each metric."""
    own = [metric.name for task in tasks for metric in task.METRICS] + [metric.name for metric in HYGIENE]
    for path, gap in gaps.items():
        labels = [named.label for named in judges.get(gap.metric, ())]
        if gap.metric in (WIN_RATE.name, RATING.name) and not labels:
            key = "win_rate" if gap.metric == WIN_RATE.name else "ratings"
            what = f"there is no {gap.metric.replace('_', ' ')} without a judge"
            section.problem((*path, "metric"), what, f"add `{key}:` under `evaluate:`, or name another `metric`")
        elif gap.metric not in (WIN_RATE.name, RATING.name, *own):
            near = did_you_mean(gap.metric, [*own, WIN_RATE.name, RATING.name])
            if gap.metric == DIVERGENCE.name:
                near = "A divergence has no better side."
            section.problem((*path, "metric"), f"no share of '{gap.metric}' can be closed in this file. {near}")
        elif gap.judge is not None and not labels:
            what = f"the metric '{gap.metric}' comes from a task, so it has no judge"
            section.problem((*path, "judge"), what, "drop `judge`")
        elif gap.judge is not None and gap.judge not in labels:
            section.problem((*path, "judge"), f"no judge '{gap.judge}' here. {did_you_mean(gap.judge, labels)}")
