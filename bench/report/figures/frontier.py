"""Reward against divergence: how far each arm moved, what a judge makes of it, and where more is no longer better."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.report.facts.frontier import Point, mean, placed, points_of, root_of_mean, same_method
from bench.report.facts.names import OWN
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.summary import RunSummary
from bench.results.wording import counted, listed, number, shortened

ACROSS = 2
PANEL_INCHES = (4.3, 3.3)


def frontier(
    records: pa.Table, summary: RunSummary, reference: str | None, folder: Path, name: str
) -> Picture | None:  # fmt: skip
    """Return the picture of ratings over the square root of the divergence, one panel per task and judge.

    ``reference`` is the arm that divergences are measured from. None without ratings or without divergences. Arms of
    one method are joined: they differ in their settings.
    """
    arms = list(summary.arms)
    shown = placed(points_of(records, arms), summary)
    if reference is None or not shown:
        return None
    tasks = list(dict.fromkeys(point.task for point, _ in shown))
    judges = list(dict.fromkeys(judge for point, _ in shown for judge in point.ratings))
    cells = [(task, judge) for task in tasks for judge in judges]
    across, down = min(ACROSS, len(cells)), -(-len(cells) // ACROSS)
    with theme.styled():
        figure = theme.new_figure(across * PANEL_INCHES[0] + 1.6, down * PANEL_INCHES[1])
        panels = figure.subplots(down, across, squeeze=False).flat
        for axes, cell in zip(panels, cells, strict=False):
            _panel(axes, shown, summary, cell)
            of = f", {shortened(cell[0], 20)}" if len(tasks) > 1 else ""
            axes.set_title(f"{shortened(cell[1], 24)} judge{of}")
            axes.set_xlabel(f"square root of the KL from {shortened(reference, 16)} in nats")
            axes.set_ylabel("mean rating")
        for axes in list(panels)[len(cells) :]:
            axes.set_axis_off()
        _legend(figure, arms, shown, summary)
        theme.save(figure, folder, name)
    return Picture(name, "Rating over divergence", _caption(shown, summary, reference, judges))


def _panel(axes: Any, shown: Sequence[tuple[Point, float]], summary: RunSummary, cell: tuple[str, str]) -> None:
    """Draw the seeds of every arm as small marks, their mean as a large one, hollow where the judge taught the arm."""
    task, judge = cell
    means: dict[str, tuple[float, float]] = {}
    for place, arm in enumerate(summary.arms):
        at = [(nats, point.ratings[judge]) for point, nats in shown if _is(point, arm, cell)]
        if not at:
            continue
        hollow = arm in summary.own_rewards.get(judge, ())
        look: dict[str, Any] = {"linestyle": "none", "marker": theme.marker(place), "color": theme.colour(place)}
        seeds = [(root_of_mean([nats]), rating) for nats, rating in at]
        axes.plot(*zip(*seeds, strict=True), markersize=4, alpha=0.6, markeredgewidth=0, **look)
        means[arm] = (root_of_mean([nats for nats, _ in at]), mean([rating for _, rating in at]))
        axes.plot(
            [means[arm][0]], [means[arm][1]], markersize=9, markeredgewidth=1.8,
            markerfacecolor="white" if hollow else theme.colour(place), zorder=3, **look,
        )  # fmt: skip
    for arms in same_method(summary, means):
        line = sorted(means[arm] for arm in arms)
        axes.plot(*zip(*line, strict=True), color=theme.FAINT, linewidth=1.0, zorder=1)
    axes.grid(color=theme.GRID, linewidth=0.6)
    axes.margins(0.08)


def _is(point: Point, arm: str, cell: tuple[str, str]) -> bool:
    return (point.arm, point.task) == (arm, cell[0]) and cell[1] in point.ratings


def _legend(figure: Any, arms: Sequence[str], shown: Sequence[tuple[Point, float]], summary: RunSummary) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - as in the theme

    there = {point.arm for point, _ in shown}
    look: dict[str, Any] = {"linestyle": "none", "markersize": 8}
    handles = [
        Line2D(
            [], [], color=theme.colour(place), marker=theme.marker(place),
            label=shortened(arm, 22) + (" (at most)" if arm in summary.divergence_bounds else ""), **look,
        )
        for place, arm in enumerate(arms)
        if arm in there
    ]  # fmt: skip
    if summary.own_rewards:
        handles.append(Line2D([], [], label=OWN, markerfacecolor="white", color=theme.INK, marker="o", **look))
    figure.legend(handles=handles, loc="outside right upper")


def _caption(
    shown: Sequence[tuple[Point, float]], summary: RunSummary, reference: str, judges: Sequence[str]
) -> str:  # fmt: skip
    """Return what the picture shows: for each judge the arm with the highest mean rating, and where it stands."""
    highest = []
    tasks = list(dict.fromkeys(point.task for point, _ in shown))
    for cell in [(task, judge) for judge in judges for task in tasks]:
        best: tuple[float, str, float] | None = None
        task, judge = cell
        for arm in summary.arms:
            at = [(x, point.ratings[judge]) for point, x in shown if _is(point, arm, cell)]
            if at and (best is None or mean([y for _, y in at]) > best[0]):
                best = (mean([y for _, y in at]), arm, root_of_mean([x for x, _ in at]))
        if best is not None:
            own = f" ({OWN})" if best[1] in summary.own_rewards.get(judge, ()) else ""
            on = f" on {task}" if len(tasks) > 1 else ""
            highest.append(f"{judge} rates {best[1]} highest{on}{own}: {number(best[0], 3)} at {number(best[2], 2)}")
    hollow = "; hollow marks are arms that learnt from the judge" if summary.own_rewards else ""
    seeds = counted(len(summary.seeds), "training seed")
    joined = ", lines joining arms of one method" if same_method(summary, {point.arm for point, _ in shown}) else ""
    rated = {point.arm for point, _ in shown}
    missing = [arm for arm in summary.arms if arm not in rated]
    without = f" Without a rating or a divergence, and not drawn: {listed(missing)}." if missing else ""
    return (
        f"Mean rating over the square root of the KL divergence from {reference}, small marks single seeds, large "
        f"marks the means of {seeds}{joined}{hollow}. {listed(highest)}.{without}"
    )
