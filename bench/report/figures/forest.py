"""The forest plot: one line per contrast, with its interval, its estimate and the estimates of the training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.metrics import PREFERENCES
from bench.report.facts.win_rates import cell_of
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.wording import (
    counted,
    decisive_p,
    describe_metric,
    describe_verdict,
    estimate,
    interval,
    intervals_of,
    listed,
    number,
    p_clause,
    shortened,
)

NAME_LENGTH = 22
ROW_INCHES = 0.5
LETTER_INCHES = 0.085
LOOK = {
    "a better": (theme.A_BETTER, "o"),
    "b better": (theme.B_BETTER, "s"),
    "a higher": (theme.INK, "^"),
    "b higher": (theme.INK, "v"),
    "undecided": (theme.UNDECIDED, "o"),
}


def forest(contrasts: Sequence[Contrast], beside: Sequence[Contrast], folder: Path, name: str) -> Picture | None:
    """Return the picture of all contrasts of one metric that have an interval; None when none has.

    Contrasts stand in the order given, the A/A controls last. A filled mark is a decided contrast and an open one an
    undecided contrast, so that the distinction survives grey printing. ``beside``: contrasts of a second metric, drawn
    right of those with the same arms, judge and task (the win rate at equal length beside the raw one).
    """
    shown = [item for item in contrasts if item.estimate is not None and shown_interval(item) is not None]
    shown.sort(key=lambda item: item.is_control)
    if not shown:
        return None
    known = {cell_of(item): item for item in beside if shown_interval(item) is not None}
    second = [known.get(cell_of(item)) for item in shown]
    twice = any(item is not None for item in second)
    with theme.styled():
        longest = max(len(line) for item in shown for line in _label(item, shown).split("\n"))
        width = (12.4 if twice else 7.6) + LETTER_INCHES * longest
        figure = theme.new_figure(width, 1.2 + ROW_INCHES * len(shown))
        columns = figure.subplots(1, 2 if twice else 1, squeeze=False, sharey=True, sharex=True)[0]
        both: tuple[Sequence[Contrast | None], ...] = (shown, second)
        reach = _reach([item for items in both for item in items if item is not None])
        for axes, items in zip(columns, both, strict=False):
            drawn = [(item, len(shown) - 1 - place) for place, item in enumerate(items) if item is not None]
            for item, height in drawn:
                _line(axes, item, height)
            _frame(axes, [item for item, _ in drawn], shown)
            axes.set_xlim(*reach)
        if twice:
            figure.get_layout_engine().set(wspace=0.06)
        theme.save(figure, folder, name)
    caption = _caption(shown)
    left_out = sum(item not in shown for item in contrasts)
    if left_out:
        caption = f"{caption[:-1]}; {counted(left_out, 'contrast')} without an interval not drawn."
    if twice:
        caption = f"{caption[:-1]}; {_moved(shown, second)}."
    return Picture(name, f"{describe_metric(shown[0].metric).capitalize()} of every contrast", caption)


def _moved(shown: Sequence[Contrast], second: Sequence[Contrast | None]) -> str:
    """Return what the second column says: how many verdicts it changes, and where it moves the estimate most."""
    pairs = [(one, other) for one, other in zip(shown, second, strict=True) if other is not None]
    changed = sum(one.verdict != other.verdict for one, other in pairs)
    one, other = max(pairs, key=lambda pair: abs((pair[0].estimate or 0.0) - (pair[1].estimate or 0.0)))
    return (
        f"on the right the {describe_metric(other.metric)} changes {counted(changed, 'verdict')} and moves the "
        f"estimate most for {one.a} vs {one.b}, from {estimate(one)} to {estimate(other)}"
    )


def _line(axes: Any, contrast: Contrast, height: int) -> None:
    """Draw one contrast: interval, seeds, estimate, and its numbers right of the frame."""
    tint, mark = LOOK[contrast.verdict]
    axes.plot(shown_interval(contrast), [height, height], color=tint, linewidth=2.4, solid_capstyle="butt")
    seeds = [value for value in contrast.per_run if value is not None]
    if len(seeds) > 1:
        axes.plot(
            seeds, [height - 0.26] * len(seeds), linestyle="none", marker="|", markersize=8, markeredgewidth=1.5,
            color=tint,
        )  # fmt: skip
    axes.plot(
        [contrast.estimate], [height], marker=mark, markersize=8.5, markeredgewidth=1.8, markeredgecolor=tint,
        markerfacecolor="white" if contrast.verdict == "undecided" else tint, zorder=3,
    )  # fmt: skip
    p = decisive_p(contrast)
    verdict = (
        describe_verdict(contrast) if p is None else f"{p_clause(p, contrast.level)}, {describe_verdict(contrast)}"
    )
    right = ("axes fraction", "data")
    axes.annotate(f"{estimate(contrast)} {interval(contrast)}", (1.02, height + 0.17), xycoords=right, va="center")
    axes.annotate(
        shortened(verdict, 2 * NAME_LENGTH), (1.02, height - 0.2), xycoords=right, va="center", fontsize=8.5,
        color=tint,
    )  # fmt: skip


def _reach(drawn: Sequence[Contrast]) -> tuple[float, float]:
    """Return the ends of an axis on which everything that is drawn has room, the null value included."""
    values = [drawn[0].null_value]
    for item in drawn:
        values += [value for value in (*(shown_interval(item) or ()), *item.per_run) if value is not None]
    room = 0.06 * (max(values) - min(values) or 1.0)
    return min(values) - room, max(values) + room


def _frame(axes: Any, drawn: Sequence[Contrast], shown: Sequence[Contrast]) -> None:
    """Draw the null line, the names on the left, the directions below, and the rule above the A/A controls."""
    null = drawn[0].null_value
    axes.axvline(null, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
    axes.set_yticks(range(len(shown)), [_label(item, shown) for item in reversed(shown)])
    axes.tick_params(axis="y", length=0, labelsize=10)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.spines["left"].set_visible(False)
    controls = sum(item.is_control for item in shown)
    if 0 < controls < len(shown):
        axes.axhline(controls - 0.5, color=theme.FAINT, linewidth=0.8)
    scale = "preference for the first-named" if drawn[0].metric in PREFERENCES else "difference, first minus second"
    judges = list(dict.fromkeys(item.judge for item in drawn if item.judge is not None))
    by = f" by the {judges[0]} judge" if len(judges) == 1 else ""
    axes.set_xlabel(f"{describe_metric(drawn[0].metric)}{by}:\n{scale} (dashed: no difference)")


def _label(contrast: Contrast, shown: Sequence[Contrast]) -> str:
    """Return the name of a line: the pair, and below it what is needed to tell it from lines of the same pair."""
    a, b = (shortened(name, NAME_LENGTH) for name in (contrast.a, contrast.b))
    below = []
    if contrast.is_control:
        below.append("A/A control")
    if len({item.judge for item in shown}) > 1 and contrast.judge is not None:
        below.append(f"{shortened(contrast.judge, NAME_LENGTH)} judge")
    if contrast.own_reward:
        below.append("own reward")
    if len({item.task for item in shown}) > 1:
        below.append(shortened(contrast.task, NAME_LENGTH))
    pair = f"{a} vs {b}"
    return f"{pair}\n{', '.join(below)}" if below else pair


def _caption(shown: Sequence[Contrast]) -> str:
    """Return what the picture shows, in one sentence made from the contrasts."""
    treatments = [item for item in shown if not item.is_control]
    decided = sum(item.verdict != "undecided" for item in treatments)
    counts = {item.n_runs for item in shown}
    seeds = counted(counts.pop(), "training seed") if len(counts) == 1 else "the training seeds"
    controls = len(shown) - len(treatments)
    tail = f", beside {counted(controls, 'A/A control')}" if controls else ""
    ticks = ", small ticks the estimates of single seeds" if any(len(item.per_run) > 1 for item in shown) else ""
    judges = list(dict.fromkeys(item.judge for item in shown if item.judge is not None))
    by = f" by {listed(judges)}" if judges else ""
    tasks = listed(list(dict.fromkeys(item.task for item in shown)))
    return (
        f"{decided} of {counted(len(treatments), 'contrast')} on {tasks}{by} decided{tail}; lines are "
        f"{intervals_of(shown)} over {seeds}{ticks}, filled marks decided and open marks undecided contrasts, and the "
        f"dashed line at {number(shown[0].null_value, 1)} is no difference."
    )
