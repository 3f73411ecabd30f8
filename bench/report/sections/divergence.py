"""What judges make of the responses on their own scale, and how far each policy has moved."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from bench.core.metrics import DIVERGENCE
from bench.report.facts.frontier import Point, mean, placed, points_of, root
from bench.report.facts.names import OWN
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Pictures, Table, Text, drawn
from bench.results.wording import NONE, listed, number, percent

RATING_DECIMALS = 3
NATS_DECIMALS = 3


def divergence_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the ratings and divergences of every arm with their pictures; nothing without either."""
    points = points_of(inputs.records, list(inputs.summary.arms))
    if not points:
        return []
    tasks = list(dict.fromkeys(point.task for point in points))
    judges = list(dict.fromkeys(judge for point in points for judge in point.ratings))
    reference = inputs.comparison.evaluation.divergence
    rows = [
        _row(inputs, [point for point in points if (point.task, point.arm) == (task, arm)], judges)
        for task in tasks
        for arm in inputs.summary.arms
        if any((point.task, point.arm) == (task, arm) for point in points)
    ]
    distances = (f"KL from {reference} (k1)", "k3", "square root") if reference else ()
    columns = ("arm", "task", *(f"rated by {judge}" for judge in judges), *distances)
    align = "ll" + "r" * (len(columns) - 2)
    title = "Ratings and divergence" if judges and reference else "Ratings" if judges else "Divergence"
    blocks: list[Block] = [Heading(2, title), Table(columns, align, tuple(rows)), Text(_note(inputs, judges))]
    figures = drawn(pictures, "frontier", "over_optimisation")
    return [*blocks, *figures, *_dominance(inputs, points, judges)]


def _row(inputs: Inputs, points: Sequence[Point], judges: Sequence[str]) -> tuple[str, ...]:
    """Return an arm's means over its seeds, of which each is a mean over responses."""
    arm = points[0].arm
    cells = [arm, points[0].task]
    for judge in judges:
        values = [point.ratings[judge] for point in points if judge in point.ratings]
        own = f" ({OWN})" if arm in inputs.summary.own_rewards.get(judge, ()) else ""
        cells.append(number(mean(values), RATING_DECIMALS) + own if values else NONE)
    if inputs.comparison.evaluation.divergence is None:
        return tuple(cells)
    bound = inputs.summary.divergence_bounds.get(arm)
    ones = [point.divergence for point in points if point.divergence is not None]
    threes = [point.divergence_k3 for point in points if point.divergence_k3 is not None]
    if not ones and bound is not None:
        return (*cells, f"at most {number(bound, NATS_DECIMALS)}", NONE, f"at most {number(root(bound), 2)}")
    if not ones:
        return (*cells, "undefined", NONE, NONE)
    return (*cells, number(mean(ones), NATS_DECIMALS), number(mean(threes), NATS_DECIMALS), number(root(mean(ones)), 2))


def _note(inputs: Inputs, judges: Sequence[str]) -> str:
    """Return how to read the table, and why a divergence is not there."""
    note = ["Means over training seeds and responses."]
    if inputs.comparison.evaluation.divergence is not None:
        note.append(
            "The divergence is that of whole responses, in nats, estimated on each policy's own samples at temperature "
            "1: k1 is the mean log-ratio, k3 has the same expectation and less variance while policies are close."
        )
    without = _undefined(inputs)
    if without:
        note.append(f"It is undefined for {listed(without)}, whose policies have no likelihood of what they write.")
    if any(arm in inputs.summary.divergence_bounds for arm in without):
        note.append("For the best of n samples it is at most log n - (n - 1)/n.")
    if any(judge in inputs.summary.own_rewards for judge in judges):
        note.append(f"Cells marked {OWN!r} are those of arms that learnt from the judge.")
    return " ".join(note)


def _undefined(inputs: Inputs) -> list[str]:
    rows = inputs.records.filter(pc.equal(inputs.records["metric"], DIVERGENCE.name))
    found = {row["method"] for row in rows.select(["method", "status"]).to_pylist() if row["status"] == "undefined"}
    return [arm for arm in inputs.summary.arms if arm in found]


def _dominance(inputs: Inputs, points: Sequence[Point], judges: Sequence[str]) -> list[Block]:
    """Return, for pairs of methods, the share of points of one that a point of the other is no worse than.

    No worse: rated at least as high, at no larger divergence (the frontier experiment of arXiv 2305.18290, section
    6.1). Only judges that neither method learnt from count.
    """
    summary = inputs.summary
    rows: list[tuple[str, ...]] = []
    methods = list(dict.fromkeys(facts.method for facts in summary.arms.values() if facts.replicate is None))
    at = {method: [] for method in methods}  # type: dict[str, list[tuple[Point, float]]]
    for point, x in placed(points, summary):
        if summary.arms[point.arm].replicate is None:
            at[summary.arms[point.arm].method].append((point, x))
    several = [method for method in methods if len({point.arm for point, _ in at[method]}) > 1]
    for judge in judges:
        own = {summary.arms[arm].method for arm in summary.own_rewards.get(judge, ())}
        untaught = [method for method in several if method not in own]
        for method in untaught:
            for other in untaught:
                if method != other:
                    rows.append((judge, method, other, *_beaten(at[other], at[method], judge)))
    if not rows:
        return []
    columns = ("judge", "method", "against", "points of the second", "no better than a point of the first")
    note = "No better: rated no higher at no smaller divergence, on the same task. One point per arm and seed."
    return [Heading(3, "Dominance"), Table(columns, "lllrr", tuple(rows)), Text(note)]


def _beaten(
    points: Sequence[tuple[Point, float]], by: Sequence[tuple[Point, float]], judge: str
) -> tuple[str, str]:  # fmt: skip
    rated = [(point, x) for point, x in points if judge in point.ratings]
    beaten = [
        any(
            other.task == point.task and judge in other.ratings
            and other.ratings[judge] >= point.ratings[judge] and y <= x
            for other, y in by
        )
        for point, x in rated
    ]  # fmt: skip
    return f"{len(rated):,}", percent(mean([float(one) for one in beaten])) if beaten else NONE
