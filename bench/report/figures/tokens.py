"""Which tokens proxy-tuning makes likelier and less likely: horizontal bars, a panel per arm and task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report.facts.names import readable
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.summary import ShiftFacts, TokenFacts
from bench.results.wording import counted, listed, number, shortened

MOST_EACH_WAY = 10
MOST_PANELS = 6
BAR_INCHES = 0.21
PANEL_INCHES = 4.2


def token_shifts(shifts: Sequence[ShiftFacts], folder: Path, name: str) -> Picture | None:
    """Return the picture of the most raised and most lowered tokens; None without a proxied policy."""
    changed = [one for one in shifts if one.raised or one.lowered]
    shown = changed[:MOST_PANELS]
    if not shown:
        return None
    across = min(2, len(shown))
    down = -(-len(shown) // across)
    most = max(len(_bars(one)) for one in shown)
    with theme.styled():
        figure = theme.new_figure(PANEL_INCHES * across, (0.9 + BAR_INCHES * most) * down)
        grid = figure.subplots(down, across, squeeze=False)
        for axes, one in zip(grid.flat, shown, strict=False):
            _panel(axes, one)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        theme.save(figure, folder, name)
    return Picture(name, "Tokens that proxy-tuning changed most", _caption(shown, len(changed) - len(shown)))


def _bars(one: ShiftFacts) -> list[TokenFacts]:
    """Return the tokens from the most raised to the most lowered."""
    return [*one.raised[:MOST_EACH_WAY], *reversed(one.lowered[:MOST_EACH_WAY])]


def _panel(axes: Any, one: ShiftFacts) -> None:
    bars = _bars(one)
    places = range(len(bars), 0, -1)
    colours = [theme.A_BETTER if bar.per_thousand > 0 else theme.B_BETTER for bar in bars]
    axes.barh(places, [bar.per_thousand for bar in bars], color=colours, height=0.72)
    axes.axvline(0, color=theme.INK, linewidth=0.8)
    axes.set_yticks(places, [readable(bar.text) for bar in bars])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
    axes.set_title(shortened(f"{one.arm}, {one.task}", 44))
    axes.set_xlabel("change per 1,000 tokens")


def _caption(shown: Sequence[ShiftFacts], more: int) -> str:
    """Return what the picture shows, with the share of changed choices of each panel, and what is not drawn."""
    changed = listed([f"{number(100 * one.other_choice, 1)}% of those of {one.arm} on {one.task}" for one in shown])
    hidden = f" {counted(more, 'more pair')} of a policy and a task not drawn." if more else ""
    return (
        f"At the tokens the proxied policy wrote: by how much the expected number of each token per 1,000 differs from "
        f"the untuned base's, for at most {MOST_EACH_WAY} that were raised most and {MOST_EACH_WAY} that were lowered "
        f"most. The base would have chosen another token at {changed}.{hidden}"
    )
