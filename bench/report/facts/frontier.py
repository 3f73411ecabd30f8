"""Ratings and divergences: what a judge makes of each arm, and how far the arm has moved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from bench.core.metrics import DIVERGENCE, DIVERGENCE_K3, RATING
from bench.results.summary import RunSummary

# (divergence, gain) of every seed and task, by arm and judge.
Gains = dict[tuple[str, str], list[tuple[float, float]]]


@dataclass(frozen=True)
class Point:
    """One arm at one training seed on one task: means over its responses.

    ``divergence`` and ``divergence_k3`` in nats, None where the policy has no likelihood; ``ratings`` by judge.
    """

    arm: str
    seed: int
    task: str
    divergence: float | None = None
    divergence_k3: float | None = None
    ratings: dict[str, float] = field(default_factory=dict)


def points_of(records: pa.Table, arms: Sequence[str]) -> list[Point]:
    """Return the points of every arm, task and seed that has a rating or a divergence, in that order."""
    wanted = pc.is_in(records["metric"], pa.array([DIVERGENCE.name, DIVERGENCE_K3.name, RATING.name]))
    rows = records.filter(pc.and_(wanted, pc.equal(records["status"], "ok")))
    groups = rows.group_by(["task", "method", "run", "metric", "source"]).aggregate([("value", "mean")]).to_pylist()
    means: dict[tuple[int, str, int], dict[tuple[str, str], float]] = {}
    for group in groups:
        if group["method"] in arms:
            cell = (list(arms).index(group["method"]), group["task"], group["run"])
            means.setdefault(cell, {})[group["metric"], group["source"]] = group["value_mean"]
    return [
        Point(
            arm=arms[place],
            seed=seed,
            task=task,
            divergence=found.get((DIVERGENCE.name, "task")),
            divergence_k3=found.get((DIVERGENCE_K3.name, "task")),
            ratings={source: value for (metric, source), value in sorted(found.items()) if metric == RATING.name},
        )
        for (place, task, seed), found in sorted(means.items())
    ]


def root(divergence: float | None) -> float | None:
    """Return the square root of a divergence; an estimate below 0, which only noise gives, counts as 0."""
    return None if divergence is None else max(divergence, 0.0) ** 0.5


def mean(values: Sequence[float]) -> float:
    """Return the mean of some numbers."""
    return sum(values) / len(values)


def placed(points: Sequence[Point], summary: RunSummary) -> list[tuple[Point, float]]:
    """Return the rated points with their divergence, in nats: the bound for arms of which only that is known."""
    found = []
    for point in points:
        known = point.divergence if point.divergence is not None else summary.divergence_bounds.get(point.arm)
        if known is not None and point.ratings:
            found.append((point, known))
    return found


def root_of_mean(divergences: Sequence[float]) -> float:
    """Return where an arm stands on the axis: the root of its mean divergence over seeds, not the mean of roots.

    So that picture, caption and table say one number, and it is the root of the divergence that stands beside it.
    """
    return max(mean(divergences), 0.0) ** 0.5


def same_method(summary: RunSummary, arms: Iterable[str]) -> list[list[str]]:
    """Return those of the arms that share method and teachers, where they are several; replicates left out."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for arm, facts in summary.arms.items():
        if arm in arms and facts.replicate is None:
            teachers = [judge for judge, taught in summary.own_rewards.items() if arm in taught]
            groups.setdefault((facts.method, *teachers), []).append(arm)
    return [group for group in groups.values() if len(group) > 1]


def gains_over(records: pa.Table, summary: RunSummary, reference: str) -> Gains:
    """Return (divergence, gain) per arm and judge, one for each seed and task.

    The gain is the mean rating minus that of the reference arm, in standard deviations of that arm's ratings. A judge
    that gives all of the reference's responses one rating has no scale, and is left out.
    """
    mask = pc.and_(pc.equal(records["metric"], RATING.name), pc.equal(records["status"], "ok"))
    rows = records.filter(pc.and_(mask, pc.equal(records["method"], reference)))
    spread = rows.group_by(["task", "source"]).aggregate([("value", "stddev"), ("value", "mean")]).to_pylist()
    scales = {(row["task"], row["source"]): (row["value_mean"], row["value_stddev"]) for row in spread}
    found: Gains = {}
    for point, x in placed(points_of(records, list(summary.arms)), summary):
        for judge, rating in point.ratings.items():
            centre, scale = scales.get((point.task, judge), (0.0, 0.0))
            if scale:
                found.setdefault((point.arm, judge), []).append((x, (rating - centre) / scale))
    return found
