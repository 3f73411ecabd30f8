"""Response lengths: how many tokens each arm writes, as one histogram per arm on a common scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.wording import counted, listed, number, shortened

METRIC = "response_tokens"
ROW_INCHES = 0.62
MOST_BINS = 48
OVERLAP = 0.86

Values = npt.NDArray[np.float64]


def _rows(records: pa.Table) -> pa.Table:
    mask = pc.and_(pc.equal(records["metric"], METRIC), pc.equal(records["source"], "task"))
    return records.filter(pc.and_(mask, pc.equal(records["status"], "ok")))


def _lengths(rows: pa.Table, arms: Sequence[str]) -> dict[str, Values]:
    """Return the lengths in tokens of every response of each arm, over all tasks, seeds and draws."""
    found: dict[str, Values] = {}
    for arm in arms:
        values = rows.filter(pc.equal(rows["method"], arm))["value"].to_numpy()
        if len(values):
            found[arm] = np.asarray(values, dtype=np.float64)
    return found


def length_distributions(records: pa.Table, arms: Sequence[str], folder: Path, name: str) -> Picture | None:
    """Return the picture of all arms' response lengths; None when no lengths were recorded."""
    rows = _rows(records)
    found = _lengths(rows, arms)
    if not found:
        return None
    edges = _edges(found)
    with theme.styled():
        figure = theme.new_figure(8.4, 0.95 + ROW_INCHES * len(found))
        axes = figure.subplots()
        for place, (arm, values) in enumerate(found.items()):
            _row(axes, values, edges, (len(found) - 1 - place, list(arms).index(arm)))
        axes.set_yticks(range(len(found)), [shortened(arm, 26) for arm in reversed(found)])
        axes.tick_params(axis="y", length=0, labelsize=10)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(-0.12, len(found) + 0.02)
        axes.set_xlim(edges[0], edges[-1])
        axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
        axes.set_xlabel("response length in tokens")
        theme.save(figure, folder, name)
    return Picture(name, "Response length", _caption(found, sorted(set(rows["task"].to_pylist()))))


def _edges(found: Mapping[str, Values]) -> Values:
    """Return common bin edges, at whole tokens so that no bin catches one integer more than another."""
    low = min(float(values.min()) for values in found.values())
    high = max(float(values.max()) for values in found.values())
    step = max(1, int(np.ceil((high - low + 1) / MOST_BINS)))
    return np.arange(np.floor(low) - 0.5, high + step + 0.5, step)


def _row(axes: Any, values: Values, edges: Values, place: tuple[int, int]) -> None:
    """Draw one arm's histogram on its own base line, its median and its mean; ``place`` is (height, arm)."""
    height, arm = place
    counts, _ = np.histogram(values, edges)
    tint = theme.colour(arm)
    tops = height + OVERLAP * counts / counts.max()
    axes.stairs(tops, edges, baseline=height, fill=True, color=tint, alpha=0.35)
    axes.stairs(tops, edges, baseline=height, color=tint, linewidth=1.2)
    axes.axhline(height, color=theme.FAINT, linewidth=0.6, zorder=0)
    median, mean = float(np.median(values)), float(values.mean())
    axes.plot([median, median], [height, height + OVERLAP], color=theme.INK, linewidth=1.6)
    axes.plot([mean], [height], marker="D", markersize=5.5, color=theme.INK, clip_on=False, zorder=4)
    label = f"median {number(median, 0 if median.is_integer() else 1)}\nmean {number(mean, 1)}"
    axes.annotate(label, (1.015, height + 0.4), xycoords=("axes fraction", "data"), va="center", fontsize=9)


def _caption(found: Mapping[str, Values], tasks: list[str]) -> str:
    """Return what the picture shows, with each arm's mean."""
    means = listed([f"{arm} {number(float(values.mean()), 1)}" for arm, values in found.items()])
    responses = counted(sum(len(values) for values in found.values()), "response")
    marks = "each histogram is as high as its own fullest bin, its bar is the median, the diamond the mean"
    return f"Mean tokens per response: {means} ({responses} to {listed(tasks)}); {marks}."
