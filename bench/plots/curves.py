"""Learning curves: what each arm's last training stage logged, one panel per arm and quantity, seeds as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.core.summary import ArmRun, RunSummary
from bench.core.wording import counted, decimals_for, listed, number
from bench.plots import style
from bench.plots.style import Picture

ACROSS = 4
PANEL_INCHES = (2.75, 2.15)
LINES = ("-", "--", ":", "-.")
TICKS = 4

Quantity = tuple[str, str, str | None]
Curve = tuple[list[float], list[float]]

# The quantities worth a panel, in this order: what it is called, the logged name, and the logged name to subtract.
QUANTITIES: tuple[Quantity, ...] = (
    ("loss", "loss", None),
    ("margin in nats", "chosen_ratio", "rejected_ratio"),
    ("pairs ranked right", "accuracy", None),
    ("reward", "reward", None),
    ("KL in nats", "kl", None),
)


def learning_curves(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of all curves that were logged; None when no arm trained.

    One column per arm and one row per quantity, at most four columns beside each other. Panels have axes of their own,
    because losses of different objectives are not on one scale.
    """
    trained = {arm: quantities_of(facts.runs) for arm, facts in summary.arms.items()}
    arms = [arm for arm, quantities in trained.items() if quantities]
    if not arms:
        return None
    lines = _lines(arms, trained)
    columns = min(ACROSS, len(arms))
    with style.styled():
        figure = style.new_figure(max(2, columns) * PANEL_INCHES[0], 0.2 + len(lines) * PANEL_INCHES[1])
        for row, (group, quantity) in zip(figure.subplots(len(lines), columns, squeeze=False), lines, strict=True):
            for place, axes in enumerate(row):
                if place < len(group) and quantity in trained[group[place]]:
                    _panel(axes, summary, group[place], quantity)
                else:
                    axes.set_axis_off()
        style.save(figure, folder, name)
    return Picture(name, "Learning curves", _caption(summary, {arm: trained[arm][0] for arm in arms}))


def _lines(arms: Sequence[str], trained: Mapping[str, Sequence[Quantity]]) -> list[tuple[Sequence[str], Quantity]]:
    """Return the rows of panels as (arms, quantity), the arms in groups that fit beside each other."""
    groups = [arms[start : start + ACROSS] for start in range(0, len(arms), ACROSS)]
    return [
        (group, quantity)
        for group in groups
        for quantity in QUANTITIES
        if any(quantity in trained[arm] for arm in group)
    ]


def quantities_of(runs: Mapping[str, ArmRun]) -> list[Quantity]:
    """Return the quantities that at least one seed logged."""
    return [quantity for quantity in QUANTITIES if curves_of(runs, quantity)]


def curves_of(runs: Mapping[str, ArmRun], quantity: Quantity) -> dict[str, Curve]:
    """Return steps and values of one logged quantity per training seed; seeds that did not log it are left out."""
    _, plus, minus = quantity
    needed = {"step", plus} if minus is None else {"step", plus, minus}
    curves: dict[str, Curve] = {}
    for seed, run in runs.items():
        rows = [row for row in run.log if needed <= row.keys()]
        if rows:
            values = [row[plus] - (0.0 if minus is None else row[minus]) for row in rows]
            curves[seed] = ([row["step"] for row in rows], values)
    return curves


def band_of(curves: Sequence[Curve]) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return steps, mean, lowest and highest value at the steps that every curve has."""
    tables = [dict(zip(*curve, strict=True)) for curve in curves]
    steps = sorted(set.intersection(*(set(table) for table in tables)))
    at = [[table[step] for table in tables] for step in steps]
    return steps, [sum(values) / len(values) for values in at], [min(v) for v in at], [max(v) for v in at]


def _panel(axes: Any, summary: RunSummary, arm: str, quantity: Quantity) -> None:
    """Draw one arm's curves of one quantity: thin lines for seeds, a band from lowest to highest, a thick mean."""
    tint = style.colour(list(summary.arms).index(arm))
    curves = list(curves_of(summary.arms[arm].runs, quantity).values())
    for (steps, values), line in zip(curves, cycle(LINES)):
        axes.plot(steps, values, color=tint, linewidth=0.7, linestyle=line, alpha=0.55)
    steps, mean, low, high = band_of(curves)
    if len(curves) > 1 and len(steps) > 1:
        axes.fill_between(steps, low, high, color=tint, alpha=0.2, linewidth=0)
        axes.plot(steps, mean, color=tint, linewidth=2.0)
    elif len(curves) == 1:
        axes.lines[0].set(alpha=1.0, linewidth=2.0)
    axes.set_title(style.shortened(arm, 20))
    axes.set_ylabel(quantity[0])
    axes.set_xlabel("step")
    axes.grid(color=style.GRID, linewidth=0.6)
    axes.locator_params(axis="both", nbins=TICKS)
    axes.margins(x=0.02)


def _caption(summary: RunSummary, first: Mapping[str, Quantity]) -> str:
    """Return what the picture shows, with the last mean value of each arm's first quantity."""
    ends = []
    for arm, quantity in first.items():
        _, mean, low, high = band_of(list(curves_of(summary.arms[arm].runs, quantity).values()))
        if mean:
            decimals = min(4, max(2, decimals_for(high[-1] - low[-1])))
            ends.append(f"{arm} ends at {quantity[0]} {number(mean[-1], decimals)}")
    seeds = counted(len(summary.seeds), "training seed")
    tail = f"; {listed(ends)}" if ends else ""
    return f"Thin lines are single seeds, the thick line and band the mean and range over {seeds}{tail}."
