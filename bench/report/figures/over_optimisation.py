"""Over-optimisation: what arms that move further gain by the judge they learnt from, and by one they did not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.report.facts.frontier import Gains, gains_over, mean, placed, points_of, root_of_mean, same_method
from bench.report.facts.names import OWN
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.summary import RunSummary
from bench.results.wording import decimals_for, number, shortened


def over_optimisation(
    records: pa.Table, summary: RunSummary, reference: str | None, folder: Path, name: str
) -> Picture | None:  # fmt: skip
    """Return the picture of a gain by the judge that was learnt from, and by others, as arms of a method move further.

    The gain is the mean rating minus that of the reference arm, in standard deviations of that arm's ratings. None
    unless two arms of one method learnt from a judge that rates them, and another judge rates them too.
    """
    if reference is None:
        return None
    gains = gains_over(records, summary, reference)
    rated = {judge for _, judge in gains}
    groups = [(arms, own_and_others(summary, arms, rated)) for arms in same_method(summary, summary.arms)]
    lines = [
        (arms, judges)
        for arms, judges in groups
        if judges and all((arm, judge) in gains for arm in arms for judge in judges)
    ]
    if not lines:
        return None
    parts: list[str] = []
    with theme.styled():
        figure = theme.new_figure(max(1.4, min(2, len(lines))) * 4.6, -(-len(lines) // 2) * 3.6)
        panels = list(figure.subplots(-(-len(lines) // 2), min(2, len(lines)), squeeze=False).flat)
        for axes, (arms, judges) in zip(panels, lines, strict=False):
            parts += _panel(axes, gains, summary, (arms, judges))
            axes.set_xlabel(f"square root of the KL from {shortened(reference, 16)} in nats")
        for axes in panels[len(lines) :]:
            axes.set_axis_off()
        theme.save(figure, folder, name)
    tasks = {point.task for point, _ in placed(points_of(records, list(summary.arms)), summary)}
    over = "training seeds and tasks" if len(tasks) > 1 else "training seeds"
    caption = f"Gain over {reference} in standard deviations of its ratings, bars the range over {over}"
    return Picture(name, "Over-optimisation", f"{caption}: {'; '.join(parts)}.")


def _panel(axes: Any, gains: Gains, summary: RunSummary, line: tuple[Sequence[str], Sequence[str]]) -> list[str]:
    """Draw the arms of one method as a curve per judge, and return what it shows, a sentence part per judge."""
    arms, judges = line
    parts = []
    for place, judge in enumerate(judges):
        curve = sorted((*_ends(gains[arm, judge]), arm) for arm in arms)
        own = bool(set(arms) & set(summary.own_rewards.get(judge, ())))
        _curve(axes, [(0.0, 0.0, 0.0, 0.0), *(item[:4] for item in curve)], (place, judge, own))
        top, last = max(curve, key=lambda item: item[1]), curve[-1]
        best = f"by {judge}{f' ({OWN})' if own else ''} the largest gain is {_short(top[1])} at {number(top[0], 2)}"
        further = "which moved furthest" if top is last else f"and {last[4]}, which moved furthest,"
        tail = "" if top is last else f" gains {_short(last[1])} at {number(last[0], 2)}"
        parts.append(f"{best} ({top[4]}), {further}{tail}")
    axes.set_title(shortened(summary.arms[arms[0]].method, 24))
    axes.set_ylabel("gain in standard deviations")
    axes.axhline(0.0, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(color=theme.GRID, linewidth=0.6)
    axes.legend(loc="best")
    return parts


def own_and_others(summary: RunSummary, arms: Sequence[str], judges: set[str]) -> list[str]:
    """Return the judges that all these arms learnt from, then those that none did; empty unless there are both."""
    own = [judge for judge in sorted(judges) if set(arms) <= set(summary.own_rewards.get(judge, ()))]
    others = [judge for judge in sorted(judges) if not set(arms) & set(summary.own_rewards.get(judge, ()))]
    return [*own, *others] if own and others else []


def _ends(at: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return the mean place and gain of some seeds, and their lowest and highest gain."""
    gains = [gain for _, gain in at]
    return root_of_mean([nats for nats, _ in at]), mean(gains), min(gains), max(gains)


def _curve(axes: Any, points: Sequence[tuple[float, float, float, float]], look: tuple[int, str, bool]) -> None:
    place, judge, own = look
    at, gains, lows, highs = (list(values) for values in zip(*points, strict=True))
    below = [gain - low for gain, low in zip(gains, lows, strict=True)]
    above = [high - gain for gain, high in zip(gains, highs, strict=True)]
    axes.errorbar(
        at, gains, yerr=[below, above], color=theme.colour(place), marker=theme.marker(place), markersize=7,
        capsize=3, elinewidth=1.2, linewidth=1.8, linestyle="--" if own else "-",
        markerfacecolor="white" if own else theme.colour(place),
        label=f"{shortened(judge, 22)}{f' ({OWN})' if own else ''}",
    )  # fmt: skip


def _short(value: float) -> str:
    return number(value, max(2, min(3, decimals_for(abs(value) or None))))
