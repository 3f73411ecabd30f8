"""Factual precision against coverage: how right an arm's claims are, and how many right ones it makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.factuality import Estimate, FactualRates
from bench.results.wording import counted, listed, number, percent, shortened

ACROSS = 2
PANEL_INCHES = (4.4, 3.6)
LEGEND_INCHES = 0.8


def precision_and_coverage(rates: Sequence[FactualRates], folder: Path, name: str) -> Picture | None:
    """Return the picture of precision (1 - error rate) over correct claims per response, with both intervals.

    A panel for each task; None where no arm makes a claim.
    """
    shown = [item for item in rates if item.error_rate is not None]
    if not shown:
        return None
    tasks, arms = list(dict.fromkeys(item.task for item in shown)), list(dict.fromkeys(item.arm for item in rates))
    across, down = min(ACROSS, len(tasks)), -(-len(tasks) // ACROSS)
    with theme.styled():
        figure = theme.new_figure(across * PANEL_INCHES[0], down * PANEL_INCHES[1] + LEGEND_INCHES)
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, task in zip(panels, tasks, strict=False):
            for item in shown:
                if item.task == task and item.error_rate is not None:
                    _arm(axes, item, item.error_rate, arms.index(item.arm))
            axes.set_title(shortened(task, 34))
            axes.set_xlabel("supported claims per response")
            axes.set_ylabel("share of claims supported")
            axes.grid(color=theme.GRID, linewidth=0.6)
            axes.margins(0.08)
        for axes in panels[len(tasks) :]:
            axes.set_axis_off()
        entries = theme.legend_entries(panels)
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
        theme.save(figure, folder, name)
    return Picture(name, "Factual precision over coverage", _caption(shown, len(rates) - len(shown)))


def _arm(axes: Any, item: FactualRates, error: Estimate, place: int) -> None:
    precision, coverage = 1 - error.value, item.correct
    bars: dict[str, Any] = {}
    if error.low is not None and error.high is not None:
        bars["yerr"] = [[max(error.high - error.value, 0.0)], [max(error.value - error.low, 0.0)]]
    if coverage.low is not None and coverage.high is not None:
        bars["xerr"] = [[max(coverage.value - coverage.low, 0.0)], [max(coverage.high - coverage.value, 0.0)]]
    axes.errorbar(
        [coverage.value],
        [precision],
        color=theme.colour(place),
        marker=theme.marker(place),
        markersize=8,
        linewidth=1.2,
        label=shortened(item.arm, 24),
        **bars,
    )


def _caption(shown: Sequence[FactualRates], without: int) -> str:
    proportions = listed(
        [
            f"{item.arm} on {item.task} {percent(1 - item.error_rate.value)} at {number(item.correct.value, 2)}"
            for item in shown
            if item.error_rate is not None
        ]
    )
    hidden = f"; {counted(without, 'arm', 'arms')} on a task without any claim not drawn" if without else ""
    return (
        f"Share of claims that are supported, at supported claims per response: {proportions}; bars are intervals at "
        f"the {percent(shown[0].level)} level, and up and to the right is better{hidden}."
    )
