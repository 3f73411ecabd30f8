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
from bench.results.conclusions.contrast import Contrast, primary_of
from bench.results.wording import counted, listed, number, shortened

COLUMNS = 4
MOST_PANELS = 8  # of one judge
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

    The judge is the primary one and, where that is another, the one on which the length control changes most. Points
    are single pairs, squares the means of tenths of the pairs, and the line is the fit of the model ``glm`` where that
    was asked for.
    """
    controlled = [item for item in contrasts if item.metric == LENGTH_CONTROLLED.name and not item.is_control]
    chosen = _chosen(contrasts, controlled)
    wanted = [[item for item in controlled if (item.judge, item.task) == known] for known in chosen]
    shown = [item for items in wanted for item in items[:MOST_PANELS]]
    panels = [panel for item in shown if (panel := _panel(records, item)) is not None]
    if not panels:
        return None
    hidden = sum(map(len, wanted)) - len(panels)
    width = min(COLUMNS, len(panels))
    height = -(-len(panels) // width)
    with theme.styled():
        figure = theme.new_figure(0.7 + PANEL_INCHES[0] * width, 0.9 + PANEL_INCHES[1] * height)
        grid = figure.subplots(height, width, sharex=True, sharey=True, squeeze=False)
        reach = max(map(_reach, panels)) or 1.0
        for place, axes in enumerate(grid.flat):
            if place < len(panels):
                _draw(axes, panels[place], reach)
                pair = shortened(f"{panels[place].contrast.a} vs {panels[place].contrast.b}", 26)
                by = f"{shortened(panels[place].contrast.judge or '', 20)} judge\n" if len(chosen) > 1 else ""
                axes.set_title(f"{by}{pair}", fontsize=9.5)
            else:
                axes.set_visible(False)
        figure.supxlabel("characters by which the first-named is longer", fontsize=10)
        figure.supylabel("preference for the first-named", fontsize=10)
        theme.save(figure, folder, name)
    judges = list(dict.fromkeys(panel.contrast.judge or "" for panel in panels))
    title = f"Preference over length, {listed(judges)} {'judge' if len(judges) == 1 else 'judges'}"
    return Picture(name, title, _caption(panels, reach, hidden))


def _chosen(contrasts: Sequence[Contrast], controlled: Sequence[Contrast]) -> list[tuple[str | None, str]]:
    """Return the judge and task of the primary contrasts, then those of the largest shift, each once."""
    there = {(item.judge, item.task) for item in controlled}
    first = [(item.judge, item.task) for item in primary_of(contrasts) if (item.judge, item.task) in there][:1]
    moved = _most_moved(contrasts)
    return list(dict.fromkeys([*first, *([] if moved is None else [moved])]))


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
    axes.plot(*zip(*_tenths(panel), strict=True), linestyle="none", marker="s", markersize=5, color=theme.INK, zorder=3)
    fit = _fit(contrast)
    if contrast.estimate is not None:
        axes.axhline(contrast.estimate, color=theme.B_BETTER, linewidth=1.0, linestyle=(0, (2, 2)))
    if fit is not None:
        slope, bias, scale = fit
        x = np.linspace(-reach, reach, CURVE_POINTS)
        axes.plot(x, 1 / (1 + np.exp(-(slope * np.tanh(-x / scale) + bias))), color=theme.A_BETTER, linewidth=2.0)
    axes.axvline(0, color=theme.FAINT, linewidth=0.8)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.04, 1.04)


def _tenths(panel: _Panel) -> list[tuple[float, float]]:
    """Return the mean difference of lengths and the mean preference of each tenth of the pairs, by length."""
    order = np.argsort(panel.longer, kind="stable")
    groups = [group for group in np.array_split(order, GROUPS) if len(group)]
    return [(float(panel.longer[group].mean()), float(panel.preference[group].mean())) for group in groups]


def _reach(panel: _Panel) -> float:
    """Return how far a frame must reach: 98% of the pairs, and every mean of a tenth with its mark."""
    most = max(abs(longer) for longer, _ in _tenths(panel))
    return max(float(np.quantile(np.abs(panel.longer), 0.98)), 1.05 * most)


def _fit(contrast: Contrast) -> tuple[float, float, float] | None:
    """Return slope, intercept and scale of the regression of a contrast; None where another model was asked for."""
    slope, bias, scale = (contrast.also.get(name) for name in CURVE)
    return None if slope is None or bias is None or not scale else (slope, bias, scale)


def _caption(panels: Sequence[_Panel], reach: float, hidden: int) -> str:
    """Return what is drawn, what lies beyond the frame, and which arm's responses differ most in length."""
    widest = max(panels, key=lambda panel: abs(float(panel.longer.mean())))
    pairs = counted(sum(len(panel.longer) for panel in panels), "pair of responses", "pairs of responses")
    judged = listed(list(dict.fromkeys(f"{one.contrast.judge} on {one.contrast.task}" for one in panels)))
    line = ", the line the regression with difficulty at 0" if any(_fit(one.contrast) for one in panels) else ""
    known = any(one.contrast.estimate is not None for one in panels)
    height = ", and the dashed height the win rate at equal length" if known else ""
    beyond = sum(int((np.abs(one.longer) > reach).sum()) for one in panels)
    cut = f"; {counted(beyond, 'pair')} differing by more than {number(reach, 0)} characters beyond the frame"
    more = f" {counted(hidden, 'more contrast')} in the table." if hidden else ""
    return (
        f"{pairs} judged by {judged}: points are pairs, squares means of tenths of them{line}{height}"
        f"{cut if beyond else ''}. {widest.contrast.a} is {number(abs(float(widest.longer.mean())), 0)} characters "
        f"{'longer' if widest.longer.mean() > 0 else 'shorter'} than {widest.contrast.b} on average.{more}"
    )
