"""Every mark of a drawn figure, read back from what matplotlib holds: nothing of it is asked of the code that drew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Number = float | None
Marks = Counter[tuple[Any, ...]]
DIGITS = 9
# How far from its line a mark may be moved where the axis has names and no scale.
MOST_ASIDE = 0.45


def rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0


def rows_of(axes: Any) -> dict[str, float]:
    """The lines of an upright axis of names, by the first line of their label."""
    labels = [text.get_text().split("\n")[0] for text in axes.get_yticklabels()]
    return dict(zip(labels, map(float, axes.get_yticks()), strict=True))


def marks_of(axes: Any, rows: Mapping[str, float] | None = None) -> Marks:
    """Every line, point, bar, interval and area of one panel, in data units; with ``rows`` heights are their names."""

    def name(height: float) -> str | float:
        if rows is None:
            return rounded(height)
        nearest = min(rows, key=lambda row: abs(rows[row] - height))
        assert abs(rows[nearest] - height) < MOST_ASIDE, f"a mark at {height} is on no line"
        return nearest

    def points(vertices: Iterable[Any]) -> tuple[Any, ...]:
        return tuple((rounded(x), name(y)) for x, y in np.asarray(list(vertices), dtype=float))

    found: Marks = Counter()
    for line in axes.lines:
        x, y = (np.asarray(values, dtype=float).ravel() for values in line.get_data())
        if not len(x):
            continue  # an entry of the legend
        if line.get_transform() == axes.transData:
            assert np.isfinite(x).all() and np.isfinite(y).all(), "a mark that no reader sees"
            found["line", points(zip(x, y, strict=True))] += 1
        elif x[0] == x[1]:
            found["x =", rounded(x[0])] += 1
        else:
            found["y =", rounded(y[0])] += 1
    for collection in axes.collections:
        kind = type(collection).__name__
        for path in collection.get_paths():
            at = points(path.vertices)
            found[("interval", at) if kind == "LineCollection" else ("area", frozenset(at))] += 1
    for patch in axes.patches:
        found[_patch(axes, patch, name)] += 1
    return found


def _patch(axes: Any, patch: Any, name: Any) -> tuple[Any, ...]:
    if type(patch).__name__ == "StepPatch":
        values, edges, baseline = patch.get_data()
        return "steps", tuple(map(rounded, values)), tuple(map(rounded, edges)), name(float(baseline))
    left, bottom, width, height = (float(part) for part in patch.get_bbox().bounds)
    if patch.get_data_transform() != axes.transData:
        return "span", rounded(left), rounded(left + width)
    return "bar", rounded(left), name(bottom + height / 2), rounded(width), rounded(height)


def line(*at: tuple[float, Any]) -> tuple[Any, ...]:
    """The mark of a line through those places, or of a single point."""
    return "line", tuple((rounded(x), rounded(y) if isinstance(y, float) else y) for x, y in at)


def interval(*at: tuple[float, float]) -> tuple[Any, ...]:
    return "interval", tuple((rounded(x), rounded(y)) for x, y in at)


def capped(x: float, low: float, high: float) -> list[tuple[Any, ...]]:
    """An upright interval with its two ends."""
    return [interval((x, low), (x, high)), line((x, low)), line((x, high))]


def area(at: Iterable[tuple[float, float]]) -> tuple[Any, ...]:
    return "area", frozenset((rounded(x), rounded(y)) for x, y in at)
