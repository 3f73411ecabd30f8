"""The alignment tax: the advantage of every arm over its starting point on each benchmark, with the margin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.tax import Tax
from bench.results.wording import counted, decimals_for, number, percent, shortened, signed

ROW_INCHES = 0.4
NAME_LENGTH = 22
LOOK = {"kept": (theme.A_BETTER, "o"), "lost": (theme.B_BETTER, "s"), "undecided": (theme.UNDECIDED, "o")}


def tax(found: Sequence[Tax], folder: Path, name: str) -> Picture | None:
    """Return the picture of all lines that have bounds, a panel per benchmark and metric; None without any."""
    shown = [item for item in found if item.lower is not None and item.upper is not None]
    if not shown:
        return None
    panels: dict[tuple[str, str], list[Tax]] = {}
    for item in shown:
        panels.setdefault((item.task, item.metric), []).append(item)
    heights = [1.0 + ROW_INCHES * len(items) for items in panels.values()]
    with theme.styled():
        figure = theme.new_figure(8.2, sum(heights))
        grid = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axes, ((task, metric), items) in zip(grid, panels.items(), strict=True):
            axes.set_title(f"{task}, {metric}")
            _panel(axes, items)
        theme.save(figure, folder, name)
    return Picture(name, "Alignment tax", _caption(shown))


def _panel(axes: Any, items: Sequence[Tax]) -> None:
    """Draw one benchmark: an arm per line, the margin shaded on its losing side."""
    margin = items[0].margin
    for place, item in enumerate(reversed(items)):
        tint, mark = LOOK[item.verdict]
        axes.plot([item.lower, item.upper], [place, place], color=tint, linewidth=2.4, solid_capstyle="butt")
        axes.plot(
            [item.advantage], [place], marker=mark, markersize=8, markeredgewidth=1.8, markeredgecolor=tint,
            markerfacecolor="white" if item.verdict == "undecided" else tint, zorder=3,
        )  # fmt: skip
        decimals = decimals_for(((item.upper or 0.0) - (item.lower or 0.0)) / 2)
        text = f"{signed(item.advantage, decimals)}, {item.verdict}"
        axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=tint)
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -1.5 * margin), max(high, 0.5 * margin))
    axes.axvspan(axes.get_xlim()[0], -margin, color=theme.GRID, alpha=0.6, linewidth=0, zorder=0)
    axes.axvline(0.0, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(items)), [shortened(item.arm, NAME_LENGTH) for item in reversed(items)])
    axes.tick_params(axis="y", length=0, labelsize=10)
    axes.set_ylim(-0.6, len(items) - 0.4)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"advantage over {shortened(items[0].versus, NAME_LENGTH)} (dashed: none)")


def _caption(shown: Sequence[Tax]) -> str:
    """Return what the picture shows, in one sentence made from the lines."""
    counts = ", ".join(
        f"{sum(item.verdict == verdict for item in shown)} {verdict}" for verdict in ("kept", "lost", "undecided")
    )
    first = shown[0]
    return (
        f"Advantage over {first.versus}, {counts} of {counted(len(shown), 'line')}: bars are one-sided "
        f"{percent(first.level)} bounds, and the shade begins at the margin of {number(first.margin, 3)}; a bar wholly "
        "right of the shade is kept, one wholly within it lost."
    )
