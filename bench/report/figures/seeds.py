"""What every training seed gave: one line per contrast, one mark per seed, the same mark for a seed in every line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.metrics import PREFERENCES
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import counted, describe_metric, on_scale, shortened

NAME_LENGTH = 22
ROW_INCHES = 0.42
LETTER_INCHES = 0.085
LOWER = 0.17


def seed_spread(
    contrasts: Sequence[Contrast], arms: Sequence[str], seeds: Sequence[int], folder: Path, name: str
) -> Picture | None:
    """Return the picture of the estimates of single seeds of one metric, judge and task; None for a single seed.

    Contrasts stand in the order given. Marks of one line are moved apart in height by seed, so that equal ones show.
    """
    usable = [item for item in contrasts if len([value for value in item.per_run if value is not None]) > 1]
    if not usable:
        return None
    first = usable[0]
    shown = [item for item in usable if (item.metric, item.judge, item.task) == (first.metric, first.judge, first.task)]
    labels = [f"{shortened(item.a, NAME_LENGTH)} vs {shortened(item.b, NAME_LENGTH)}" for item in shown]
    with theme.styled():
        width = 6.2 + LETTER_INCHES * max(map(len, labels))
        figure = theme.new_figure(width, 1.25 + ROW_INCHES * len(shown))
        axes = figure.subplots()
        for place, item in enumerate(shown):
            _line(axes, item, len(shown) - 1 - place, list(arms).index(item.a) if item.a in arms else place)
        _frame(axes, first, labels)
        handles = [
            axes.plot([], [], linestyle="none", color=theme.INK, marker=theme.marker(place), label=f"seed {seed}")[0]
            for place, seed in enumerate(seeds)
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=min(8, len(seeds)))
        theme.save(figure, folder, name)
    title = f"{describe_metric(first.metric).capitalize()} of every training seed"
    return Picture(name, title, _caption(shown, first))


def _line(axes: Any, item: Contrast, height: int, tint: int) -> None:
    """Draw one contrast: the range of its seeds as a line, the mean of all as a tick, a mark for each."""
    known = [value for value in item.per_run if value is not None]
    axes.plot([min(known), max(known)], [height, height], color=theme.colour(tint), linewidth=6, alpha=0.25,
              solid_capstyle="round")  # fmt: skip
    axes.plot([item.estimate], [height], marker="|", markersize=17, markeredgewidth=1.6, color=theme.INK)
    middle = (len(item.per_run) - 1) / 2
    for place, value in enumerate(item.per_run):
        if value is not None:
            at = height - LOWER * (place - middle) / max(1.0, middle)
            axes.plot([value], [at], marker=theme.marker(place), markersize=6.5, color=theme.colour(tint),
                      markeredgecolor="white", markeredgewidth=0.7, linestyle="none")  # fmt: skip


def _frame(axes: Any, first: Contrast, labels: Sequence[str]) -> None:
    axes.axvline(first.null_value, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yticks(range(len(labels)), list(reversed(labels)))
    axes.tick_params(axis="y", length=0, labelsize=10)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
    scale = "preference for the first-named" if first.metric in PREFERENCES else "difference, first minus second"
    by = f" by the {first.judge} judge" if first.judge else ""
    axes.set_xlabel(f"{describe_metric(first.metric)}{by}: {scale} (dashed: no difference)")


def _caption(shown: Sequence[Contrast], first: Contrast) -> str:
    """Return what the picture shows, in one sentence made from the contrasts."""

    def reach(item: Contrast) -> float:
        known = [value for value in item.per_run if value is not None]
        return max(known) - min(known)

    widest = max(shown, key=reach)
    known = [value for value in widest.per_run if value is not None]
    sides = sum(
        any(value < item.null_value for value in item.per_run if value is not None)
        and any(value > item.null_value for value in item.per_run if value is not None)
        for item in shown
    )
    by = f" by {first.judge}" if first.judge else ""
    return (
        f"Single training seeds on {first.task}{by}: they differ most for {widest.a} vs {widest.b} "
        f"({on_scale(widest, min(known))} to {on_scale(widest, max(known))}), and in {sides} of "
        f"{counted(len(shown), 'contrast')} they stand on both sides of no difference; ticks are the estimates over "
        "all seeds."
    )
