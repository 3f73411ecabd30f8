"""What length does to a judge: its preference over the difference of lengths, with the fitted curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.core.metrics import LENGTH_CONTROLLED, WIN_RATE
from bench.report.facts.win_rates import cell_of, plain_win_rates, shift_of
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import counted, number, shortened

COLUMNS = 4
MOST_PANELS = 8
PANEL_INCHES = (2.7, 2.3)
GROUPS = 10
CURVE_POINTS = 121
# The coefficients that a curve needs; a difficulty in the model is held at 0.
CURVE = ("length_coefficient", "bias_coefficient", "length_scale")
LENGTH = "response_characters"
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Panel:
    """One contrast with its pairs: the difference of lengths in characters and the preference (pairs)."""

    contrast: Contrast
    longer: Values
    preference: Values


def length_effect(records: pa.Table, contrasts: Sequence[Contrast], folder: Path, name: str) -> Picture | None:
    """Return the scatter of preference over length difference, one panel per pair of arms; None without any.

    The judge is the one on which the length control changes most. Points are single pairs, squares the means of tenths
    of the pairs, and the line is the fit of the model ``glm`` where that was asked for.
    """
    judge = _most_moved(contrasts)
    controlled = [item for item in contrasts if item.metric == LENGTH_CONTROLLED.name and not item.is_control]
    controlled = [item for item in controlled if (item.judge, item.task) == judge][:MOST_PANELS]
    panels = [panel for item in controlled if (panel := _panel(records, item)) is not None]
    if not panels:
        return None
    width = min(COLUMNS, len(panels))
    height = -(-len(panels) // width)
    with theme.styled():
        figure = theme.new_figure(0.7 + PANEL_INCHES[0] * width, 0.9 + PANEL_INCHES[1] * height)
        grid = figure.subplots(height, width, sharex=True, sharey=True, squeeze=False)
        reach = max(float(np.quantile(np.abs(panel.longer), 0.98)) for panel in panels) or 1.0
        for place, axes in enumerate(grid.flat):
            if place < len(panels):
                _draw(axes, panels[place], reach)
            else:
                axes.set_visible(False)
        figure.supxlabel("characters by which the first-named is longer", fontsize=10)
        figure.supylabel("preference for the first-named", fontsize=10)
        theme.save(figure, folder, name)
    return Picture(name, f"Preference over length, {panels[0].contrast.judge} judge", _caption(panels))


def _most_moved(contrasts: Sequence[Contrast]) -> tuple[str | None, str] | None:
    """Return the judge and task of the largest shift between the plain and the length-controlled win rate."""
    plain = plain_win_rates(contrasts)
    moves: dict[tuple[str | None, str], float] = {}
    for item in contrasts:
        by = shift_of(plain.get(cell_of(item)), item)
        if item.metric == LENGTH_CONTROLLED.name and by is not None and not item.is_control:
            known = (item.judge, item.task)
            moves[known] = max(moves.get(known, 0.0), abs(by))
    return max(moves, key=lambda known: moves[known]) if moves else None


def _panel(records: pa.Table, contrast: Contrast) -> _Panel | None:
    """Return a contrast's pairs: the mean preference of both orders, and the difference of lengths, by response."""
    rows = records.filter(pc.and_(pc.equal(records["task"], contrast.task), pc.equal(records["status"], "ok")))
    verdicts = _by_answer(rows, WIN_RATE.name, contrast.judge or "", contrast.a, contrast.b)
    if not verdicts:
        turned = _by_answer(rows, WIN_RATE.name, contrast.judge or "", contrast.b, contrast.a)
        verdicts = {key: 1 - value for key, value in turned.items()}
    own, other = (_by_answer(rows, LENGTH, "task", arm, None) for arm in (contrast.a, contrast.b))
    shared = sorted(verdicts.keys() & own.keys() & other.keys())
    if not shared:
        return None
    longer = np.array([own[key] - other[key] for key in shared])
    return _Panel(contrast, longer, np.array([verdicts[key] for key in shared]))


def _by_answer(
    rows: pa.Table, metric: str, source: str, arm: str, versus: str | None
) -> dict[tuple[str, int, int], float]:
    """Return the mean value by prompt, seed and draw of one arm's rows of a metric."""
    mask = pc.and_(pc.equal(rows["metric"], metric), pc.equal(rows["source"], source))
    mask = pc.and_(mask, pc.equal(rows["method"], arm))
    against = pc.is_null(rows["versus"]) if versus is None else pc.equal(rows["versus"], versus)
    found = rows.filter(pc.and_(mask, against)).group_by(["prompt", "run", "draw"]).aggregate([("value", "mean")])
    return {(row["prompt"], row["run"], row["draw"]): row["value_mean"] for row in found.to_pylist()}


def _draw(axes: Any, panel: _Panel, reach: float) -> None:
    contrast = panel.contrast
    # Thousands of points are one picture in the SVG, not thousands of elements.
    points: dict[str, Any] = {"marker": ".", "markersize": 2.5, "color": theme.FAINT, "alpha": 0.3}
    axes.plot(panel.longer, panel.preference, linestyle="none", rasterized=True, **points)
    order = np.argsort(panel.longer, kind="stable")
    groups = [group for group in np.array_split(order, GROUPS) if len(group)]
    means = [(float(panel.longer[group].mean()), float(panel.preference[group].mean())) for group in groups]
    axes.plot(*zip(*means, strict=True), linestyle="none", marker="s", markersize=5, color=theme.INK, zorder=3)
    curve = [contrast.also.get(name) for name in CURVE]
    if contrast.estimate is not None:
        axes.axhline(contrast.estimate, color=theme.B_BETTER, linewidth=1.0, linestyle=(0, (2, 2)))
    if None not in curve and curve[2]:
        slope, bias, scale = (float(value or 0.0) for value in curve)
        x = np.linspace(-reach, reach, CURVE_POINTS)
        axes.plot(x, 1 / (1 + np.exp(-(slope * np.tanh(-x / scale) + bias))), color=theme.A_BETTER, linewidth=2.0)
    axes.axvline(0, color=theme.FAINT, linewidth=0.8)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.04, 1.04)
    axes.set_title(shortened(f"{contrast.a} vs {contrast.b}", 26), fontsize=9.5)


def _caption(panels: Sequence[_Panel]) -> str:
    first = panels[0].contrast
    widest = max(panels, key=lambda panel: abs(float(panel.longer.mean())))
    pairs = counted(sum(len(panel.longer) for panel in panels), "pair of responses", "pairs of responses")
    return (
        f"{pairs} judged by {first.judge} on {first.task}: points are pairs, squares means of tenths of them, the line "
        f"the regression with difficulty at 0, and the dashed height the win rate at equal length. "
        f"{widest.contrast.a} is {number(abs(float(widest.longer.mean())), 0)} characters "
        f"{'longer' if widest.longer.mean() > 0 else 'shorter'} than {widest.contrast.b} on average."
    )
