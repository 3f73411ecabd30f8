"""Curves over training: what stages logged, one panel per stage and quantity, seeds as a band.

There are two pictures of one form: the last training stage of every arm, and the stages before it (a supervised start,
a reward model). What reinforcement learning logs per update is in ``updates``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.report.facts.curves import Logs, Quantity, band_of, curves_of, last_mean
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.summary import RunSummary
from bench.results.wording import counted, listed, shortened

ACROSS = 4
PANEL_INCHES = (2.75, 2.15)
LINES = ("-", "--", ":", "-.")
TICKS = 4

# The quantities worth a panel, in this order: what it is called, the logged name, and the logged name to subtract.
QUANTITIES: tuple[Quantity, ...] = (
    ("loss", "loss", None),
    ("margin in nats", "chosen_ratio", "rejected_ratio"),
    ("reward margin", "chosen_reward", "rejected_reward"),
    ("pairs ranked right", "accuracy", None),
)


@dataclass(frozen=True)
class PanelColumn:
    """One column of panels: its title, the place of its colour, and what its stage logged."""

    title: str
    place: int
    logs: Logs


def learning_curves(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of every arm's last training stage; None when none logged a loss or a ranking."""
    columns = [
        PanelColumn(arm, place, {seed: summary.last_log(arm, seed) for seed in facts.runs})
        for place, (arm, facts) in enumerate(summary.arms.items())
    ]
    return panels(columns, QUANTITIES, (folder, name, "Learning curves"), len(summary.seeds))


def earlier_curves(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of the training stages that other training rests on, each once; None without any."""
    last = {summary.last_stage(arm, seed) for arm, facts in summary.arms.items() for seed in facts.runs}
    seen: dict[tuple[str, ...], PanelColumn] = {}
    for place, arm in enumerate(summary.arms):
        parts = [keys for keys in summary.alike(arm, lambda stage: bool(stage.log)) if not last & set(keys.values())]
        new = [keys for keys in parts if tuple(dict.fromkeys(keys.values())) not in seen]
        for keys, title in zip(new, _titles(summary, arm, new), strict=True):
            once = tuple(dict.fromkeys(keys.values()))
            seen[once] = PanelColumn(
                title, place, {str(number): summary.stages[key].rows() for number, key in enumerate(once)}
            )
    return panels(list(seen.values()), QUANTITIES, (folder, name, "What the arms rest on"), len(summary.seeds))


def _titles(summary: RunSummary, arm: str, parts: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a name for each stage of an arm; of several of one kind what tells their data apart, or their number."""
    stages = [summary.stages[next(iter(keys.values()))] for keys in parts]
    titles = []
    for place, stage in enumerate(stages):
        kind = stage.kind.rpartition("/")[2].replace("_", " ")
        same = [other for other in stages if other.kind == stage.kind]
        others = {word for other in same if other is not stage for word in re.findall(r"\w+", other.data)}
        own = [word for word in re.findall(r"\w+", stage.data) if word not in others]
        if len(same) == 1:
            titles.append(f"{kind} of {arm}")
        elif own:
            titles.append(f"{kind} of {arm} ({own[0]})")
        else:
            number = 1 + sum(other.kind == stage.kind for other in stages[:place])
            titles.append(f"{kind} {number} of {arm}")
    return titles


def panels(
    columns: Sequence[PanelColumn], quantities: Sequence[Quantity], target: tuple[Path, str, str], seeds: int
) -> Picture | None:
    """Return a picture with a panel for every stage and quantity: each quantity in rows of its own, four panels wide.

    ``target``: folder, name and title. Panels have axes of their own, because losses of different objectives are not
    on one scale. None when no column has any of the quantities.
    """
    folder, name, title = target
    found = [_logged(column, quantities) for column in columns]
    shown = [(column, logged) for column, logged in zip(columns, found, strict=True) if logged]
    if not shown:
        return None
    lines: list[tuple[Quantity, list[PanelColumn]]] = []
    for quantity in quantities:
        having = [column for column, logged in shown if quantity in logged]
        lines += [(quantity, having[start : start + ACROSS]) for start in range(0, len(having), ACROSS)]
    across = max(len(group) for _, group in lines)
    with theme.styled():
        figure = theme.new_figure(max(2, across) * PANEL_INCHES[0], 0.2 + len(lines) * PANEL_INCHES[1])
        for row, (quantity, group) in zip(figure.subplots(len(lines), across, squeeze=False), lines, strict=True):
            for axes, column in zip(row, group, strict=False):
                _panel(axes, column, quantity)
            for axes in row[len(group) :]:
                axes.set_axis_off()
        theme.save(figure, folder, name)
    return Picture(name, title, _caption([(column, logged[0]) for column, logged in shown], seeds))


def _logged(column: PanelColumn, quantities: Sequence[Quantity]) -> list[Quantity]:
    return [quantity for quantity in quantities if curves_of(column.logs, quantity)]


def _panel(axes: Any, column: PanelColumn, quantity: Quantity) -> None:
    """Draw one stage's curves of one quantity: thin lines for seeds, a band from lowest to highest, a thick mean."""
    tint = theme.colour(column.place)
    curves = list(curves_of(column.logs, quantity).values())
    for (steps, values), line in zip(curves, cycle(LINES)):
        axes.plot(steps, values, color=tint, linewidth=0.7, linestyle=line, alpha=0.55)
    steps, mean, low, high = band_of(curves)
    if len(curves) > 1 and len(steps) > 1:
        axes.fill_between(steps, low, high, color=tint, alpha=0.2, linewidth=0)
        axes.plot(steps, mean, color=tint, linewidth=2.0)
    elif len(curves) == 1:
        axes.lines[0].set(alpha=1.0, linewidth=2.0)
    axes.set_title(shortened(column.title, 28))
    axes.set_ylabel(quantity[0])
    axes.set_xlabel("step")
    axes.grid(color=theme.GRID, linewidth=0.6)
    axes.locator_params(axis="both", nbins=TICKS)
    axes.margins(x=0.02)


def _caption(first: Sequence[tuple[PanelColumn, Quantity]], seeds: int) -> str:
    """Return what the picture shows, with the last mean value of each column's first quantity."""
    found = [(column.title, last_mean(column.logs, quantity)) for column, quantity in first]
    ends = [f"{title} ends at {value}" for title, value in found if value is not None]
    tail = f"; {listed(ends)}" if ends else ""
    if seeds == 1:
        return f"Lines are of one training seed{tail}."
    over = counted(seeds, "training seed")
    return (
        f"Thin lines are single seeds, the thick line and band their mean and range; a single line is a stage that all "
        f"{over} share or that ran at one of them{tail}."
    )
