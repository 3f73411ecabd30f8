"""Every arm against every other: the preference for the row's arm over the column's, and which pairs are decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.metrics import PREFERENCES
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import counted, describe_metric, estimate, listed, number, shortened

CELL_INCHES = 0.78
NAME_LENGTH = 18
DECIDED = "*"
# How strong the tint of a win rate of 0 or 1 is, and that of an arm beside itself.
STRONGEST, SAME = 0.75, 0.5


def win_rate_matrix(contrasts: Sequence[Contrast], arms: Sequence[str], folder: Path, name: str) -> Picture | None:
    """Return the picture of all pairs of arms that the first judge and task compare; None for a star of pairs.

    A cell has the estimate, and a star when the pair is decided after correction; a pair that was not declared is
    empty. Each pair stands twice, turned round. Tints run from one arm's colour over white to the other's.
    """
    usable = [item for item in contrasts if item.estimate is not None and item.metric in PREFERENCES]
    if not usable:
        return None
    first = usable[0]
    same = [item for item in usable if (item.task, item.judge, item.metric) == (first.task, first.judge, first.metric)]
    shown = [arm for arm in arms if any(arm in (item.a, item.b) for item in same)]
    if any(all(arm in (item.a, item.b) for item in same) for arm in shown):
        return None  # a star around one arm, which the forest plot shows better
    cells = {(item.a, item.b): item for item in same}
    with theme.styled():
        size = CELL_INCHES * len(shown)
        figure = theme.new_figure(size + 2.6, size + 1.5)
        axes = figure.subplots()
        _cells(axes, shown, cells)
        theme.save(figure, folder, name)
    return Picture(name, f"{describe_metric(first.metric).capitalize()} of every pair", _caption(same, first))


def _cells(axes: Any, shown: Sequence[str], cells: Mapping[tuple[str, str], Contrast]) -> None:
    """Draw the cells: row against column, tinted by how far the preference is from one half."""
    for row, a in enumerate(shown):
        for column, b in enumerate(shown):
            item, turned = cells.get((a, b)), cells.get((b, a))
            found = item or turned
            if found is None or found.estimate is None:
                axes.add_patch(_square(column, row, (theme.GRID, SAME) if a == b else "white"))
                continue
            decided = found.verdict != "undecided"
            axes.add_patch(_square(column, row, _tint(found.estimate if item is not None else 1.0 - found.estimate)))
            axes.text(
                column, row, _written(item, turned) + (DECIDED if decided else ""), ha="center", va="center",
                fontsize=9.5, fontweight="bold" if decided else "normal", color=theme.INK,
            )  # fmt: skip
    names = [shortened(arm, NAME_LENGTH) for arm in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.set_xticks(range(len(shown)), names, rotation=40, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_aspect("equal")
    for side in axes.spines.values():
        side.set_visible(False)


def _written(item: Contrast | None, turned: Contrast | None) -> str:
    """Return the preference for the row's arm, with as many decimals as the contrast deserves."""
    if item is not None:
        return estimate(item)
    if turned is None or turned.estimate is None:
        return ""
    return number(1.0 - turned.estimate, len(estimate(turned).partition(".")[2]))


def _tint(value: float) -> tuple[str, float]:
    """Return the colour of the side that is preferred, the more opaque the further from one half.

    Not mixed with white: on the page the colour is the theme's, and what shines through is its ground.
    """
    share = min(1.0, abs(value - 0.5) / 0.5) * STRONGEST
    return (theme.A_BETTER if value > 0.5 else theme.B_BETTER), share


def _square(column: int, row: int, tint: object) -> Any:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - as everywhere in this room

    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=tint, edgecolor=theme.GRID, linewidth=1.0)


def _caption(same: Sequence[Contrast], first: Contrast) -> str:
    """Return what the picture shows, in one sentence made from the contrasts."""
    decided = sum(item.verdict != "undecided" for item in same)
    by = f" by {first.judge}" if first.judge else ""
    strongest = max(same, key=lambda item: abs((item.estimate or 0.5) - 0.5))
    winner, loser, value = strongest.a, strongest.b, estimate(strongest)
    if strongest.estimate is not None and strongest.estimate < 0.5:
        winner, loser, value = strongest.b, strongest.a, _written(None, strongest)
    return (
        f"Preference for the arm of the row over that of the column on {first.task}{by}: {decided} of "
        f"{counted(len(same), 'pair')} decided (bold with a star, after correction), the clearest "
        f"{listed([f'{winner} over {loser} at {value}'])}; empty cells are pairs that are not declared, that have no "
        "estimate, or A/A controls."
    )
