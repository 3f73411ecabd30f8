"""The judge audit as a picture: positions, flips, length, and what length explains, one line per judge and pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report.facts.judge_audits import pair_of
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.judge_audit import JudgeAudit, Measure
from bench.results.wording import counted, percent, shortened

NAME_LENGTH = 24
ROW_INCHES = 0.34
LETTER_INCHES = 0.085
# More lines than this are hard to read: only what is said of all pairs together is then drawn.
MOST_ROWS = 24
LENGTH_CONTROL = "longer_wins"
# Each panel: its title, the label below, the value of no leaning, and the range that it always shows.
PANELS = (
    ("Shown first", "preference for the first shown", 0.5, (0.35, 0.65)),
    ("Flips", "share that flips with the order", None, (0.0, 0.25)),
    ("Length", "preference for the longer one", 0.5, (0.35, 0.65)),
    ("Explained by length", "win rate that goes with length", 0.0, (-0.1, 0.1)),
)
# What the caption says of a panel, by its place.
MEANT = {
    1: "Flips: the same position wins in both orders.",
    3: "Explained by length: the part of the win rate's excess over one half that goes with the verdicts of a judge "
    "that prefers the longer response.",
}


def judge_audit(audits: Sequence[JudgeAudit], folder: Path, name: str) -> Picture | None:
    """Return the picture of all audits, or of those over all pairs where they are many; None without any."""
    shown = list(audits)
    if len(shown) > MOST_ROWS:
        shown = [audit for audit in audits if audit.a is None] or shown[:MOST_ROWS]
    panels = [place for place in range(len(PANELS)) if any(_of(audit)[place].estimate is not None for audit in shown)]
    if not shown or not panels:
        return None
    labels = [_label(audit, shown) for audit in shown]
    with theme.styled():
        wide = 0.8 + LETTER_INCHES * max(map(len, labels)) + 2.5 * len(panels)
        figure = theme.new_figure(wide, 1.3 + ROW_INCHES * len(shown))
        for axes, place in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
            _panel(axes, [_of(audit)[place] for audit in shown], place)
            for height in _bounds(shown):
                axes.axhline(height, color=theme.FAINT, linewidth=0.8)
            axes.set_yticks(range(len(shown)), labels[::-1])
            axes.set_ylim(-0.6, len(shown) - 0.4)
        theme.save(figure, folder, name)
    judges = len({audit.judge for audit in shown})
    caption = (
        f"{counted(judges, 'judge')}: bars are {percent(shown[0].level)} intervals, a dashed line is no leaning, and a "
        f"filled mark has it outside its interval.{''.join(f' {MEANT[place]}' for place in panels if place in MEANT)}"
    )
    if len(shown) < len(audits):
        caption += f" {counted(len(audits) - len(shown), 'more line')} in the table."
    return Picture(name, "How the judges lean", caption)


def _of(audit: JudgeAudit) -> tuple[Measure, ...]:
    """Return what each panel shows of an audit."""
    by_length = next((one.explained for one in audit.controls if one.control == LENGTH_CONTROL), Measure(n=0))
    return audit.first_shown, audit.flips, audit.longer_wins, by_length


def _label(audit: JudgeAudit, shown: Sequence[JudgeAudit]) -> str:
    tasks = len({one.task for one in shown}) > 1
    parts = [shortened(audit.judge, NAME_LENGTH), *([shortened(audit.task, NAME_LENGTH)] if tasks else [])]
    return ", ".join([*parts, shortened(pair_of(audit), 2 * NAME_LENGTH)])


def _bounds(shown: Sequence[JudgeAudit]) -> list[float]:
    """Return the heights between the lines of two judges or tasks."""
    last = len(shown) - 1
    return [
        last - place + 0.5
        for place in range(1, len(shown))
        if (shown[place].judge, shown[place].task) != (shown[place - 1].judge, shown[place - 1].task)
    ]


def _panel(axes: Any, measures: Sequence[Measure], place: int) -> None:
    """Draw one panel: an interval and an estimate per line, and the line of no leaning."""
    title, label, null, reach = PANELS[place]
    ends = list(reach)
    for number, found in enumerate(measures):
        height = len(measures) - 1 - number
        if found.estimate is None:
            continue
        low, high = (found.estimate if bound is None else bound for bound in (found.low, found.high))
        leans = null is not None and not low <= null <= high
        tint = theme.B_BETTER if leans else theme.UNDECIDED if null is not None else theme.A_BETTER
        axes.plot([low, high], [height, height], color=tint, linewidth=2.2, solid_capstyle="butt")
        axes.plot(
            [found.estimate], [height], marker="o", markersize=7, markeredgewidth=1.6, markeredgecolor=tint,
            markerfacecolor=tint if leans else "white", zorder=3, clip_on=False,
        )  # fmt: skip
        ends += [low, high]
    if null is not None:
        axes.axvline(null, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    room = 0.05 * (max(ends) - min(ends))
    axes.set_xlim(min(ends) - (room if min(ends) != 0 else 0), max(ends) + room)
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
    axes.tick_params(axis="y", length=0)
