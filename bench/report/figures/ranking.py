"""Strengths of all methods with their intervals, and a line through those that are not distinguished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report.facts.names import OWN, ranks
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.ranking import RankedMethod, Ranking
from bench.results.wording import counted, listed, percent, shortened

ROW_INCHES = 0.42
NAME_LENGTH = 22
GROUP_INCHES = 0.2


def ranking(found: Sequence[Ranking], folder: Path, name: str) -> Picture | None:
    """Return the picture of all rankings, one panel each; None without any."""
    if not found:
        return None
    heights = [1.1 + ROW_INCHES * len(item.places) for item in found]
    with theme.styled():
        tied = [ties_of(item) for item in found]
        room = GROUP_INCHES * (1 + max(map(len, tied)))
        figure = theme.new_figure(8.2 + room, sum(heights))
        ratios = {"height_ratios": heights, "width_ratios": (7.0, room)}
        panels = figure.subplots(len(found), 2, squeeze=False, gridspec_kw=ratios)
        for (axes, beside), item, groups in zip(panels, found, tied, strict=True):
            _panel(axes, item)
            _ties(beside, axes, item, groups)
        theme.save(figure, folder, name)
    return Picture(name, "Strength of all methods", _caption(found))


def _panel(axes: Any, item: Ranking) -> None:
    """Draw one ranking: the best on top, ranks right of the frame, and a line through each group of several."""
    last = len(item.places) - 1
    for number, entry in enumerate(item.places):
        height = last - number
        tint = theme.UNDECIDED if entry.name == item.anchor else theme.A_BETTER
        if entry.name != item.anchor and (entry.low is None or entry.high is None):
            axes.annotate(
                "no finite value", (0.5, height), xycoords=("axes fraction", "data"), ha="center", va="center",
                fontsize=9, color=theme.UNDECIDED,
            )  # fmt: skip
        else:
            if entry.name != item.anchor:
                axes.plot([entry.low, entry.high], [height, height], color=tint, linewidth=2.4, solid_capstyle="butt")
            axes.plot([entry.strength], [height], marker="o", markersize=7.5, color=tint, zorder=3)
        axes.annotate(_ranks(item, entry), (1.02, height), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    axes.annotate("ranks", (1.02, last + 0.5), xycoords=("axes fraction", "data"), fontsize=9, color=theme.FAINT)
    axes.axvline(0.0, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
    axes.set_yticks(range(last + 1), [_label(entry) for entry in reversed(item.places)])
    axes.tick_params(axis="y", length=0, labelsize=10)
    axes.set_ylim(-0.6, last + 0.6)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    axes.set_title(f"{item.judge} judge, {item.task}")
    axes.set_xlabel(f"log odds of a win over {shortened(item.anchor, NAME_LENGTH)} (dashed) against a loss")


def ties_of(item: Ranking) -> list[tuple[str, ...]]:
    """Return the groups of several of these models that are not told apart."""
    return [group for group in item.models_groups if len(group) > 1]


def _ties(beside: Any, axes: Any, item: Ranking, groups: Sequence[tuple[str, ...]]) -> None:
    """Draw an upright line through each group, in axes of their own: outside of a frame the layout cuts them off."""
    last = len(item.places) - 1
    height = {entry.name: last - number for number, entry in enumerate(item.places)}
    for number, group in enumerate(groups):
        # Groups may share a method: their lines stand side by side, with a dot at each member.
        members = [height[member] for member in group]
        beside.plot([number] * len(members), members, color=theme.INK, linewidth=1.6, marker="o", markersize=4.5)
    beside.set_xlim(-0.8, max(len(groups) - 1, 0) + 0.8)
    beside.set_ylim(axes.get_ylim())
    beside.set_axis_off()


def _ranks(item: Ranking, entry: RankedMethod) -> str:
    models = ranks(entry.models_low, entry.models_high)
    return models if item.n_runs == 1 else f"{models} ({ranks(entry.rank_low, entry.rank_high)})"


def _label(entry: RankedMethod) -> str:
    name = shortened(entry.name, NAME_LENGTH)
    return f"{name} ({OWN})" if entry.own_reward else name


def _caption(found: Sequence[Ranking]) -> str:
    """Return what the picture shows, in one sentence made from the rankings."""
    leaders = []
    for item in found:
        first = listed([entry.name for entry in item.places if entry.models_low == 1])
        leaders.append(f"by the {item.judge} judge on {item.task} rank 1 may be held by {first}")
    levels = listed([percent(level) for level in sorted({item.level for item in found})])
    seeds = listed([counted(count, "training seed") for count in sorted({item.n_runs for item in found})])
    brackets = ", in brackets of the training procedure" if any(item.n_runs > 1 for item in found) else ""
    return (
        f"Strengths of all methods: {'; '.join(leaders)}. Bars are {levels} intervals over {seeds}, each by itself. On "
        f"the right the ranks that each may hold, for all together: of these trained models{brackets}; two of these "
        "models that no upright line joins are told apart."
    )
