"""The plain win rate and that at equal length, arm by arm and judge by judge, with gold's where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.metrics import LENGTH_CONTROLLED
from bench.report.facts.win_rates import WinRateCell, cell_of, plain_win_rates, shift_of
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.conclusions.length_recovery import LengthRecovery
from bench.results.wording import counted, estimate, intervals_of, listed, shortened

ROW_INCHES = 0.42
PANEL_INCHES = 3.4
MOST_PANELS = 4
OFFSET = 0.16
RAW, EQUAL, GOLD = theme.UNDECIDED, theme.A_BETTER, theme.B_BETTER


def length_control(
    contrasts: Sequence[Contrast], trials: Sequence[LengthRecovery], folder: Path, name: str
) -> Picture | None:  # fmt: skip
    """Return the picture of all win rates at equal length beside the plain ones; None without any.

    One panel per judge and task: the gold judge itself has none where its win rates stand in the others' panels.
    """
    judged_by_gold = {(trial.gold, trial.task) for trial in trials}
    panels: dict[tuple[str, str], list[Contrast]] = {}
    for item in contrasts:
        known = (item.judge or "", item.task)
        controlled = item.metric == LENGTH_CONTROLLED.name and known not in judged_by_gold
        if controlled and item.estimate is not None and not item.is_control:
            panels.setdefault(known, []).append(item)
    if not panels:
        return None
    shown = dict(list(panels.items())[:MOST_PANELS])
    rows = list(dict.fromkeys((item.a, item.b) for items in shown.values() for item in items))
    plain = plain_win_rates(contrasts)
    with theme.styled():
        figure = theme.new_figure(1.6 + PANEL_INCHES * len(shown), 1.2 + ROW_INCHES * len(rows))
        all_axes = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for axes, ((judge, task), items) in zip(all_axes, shown.items(), strict=True):
            trial = next((one for one in trials if (one.judge, one.task) == (judge, task)), None)
            for item in items:
                height = len(rows) - 1 - rows.index((item.a, item.b))
                _marks(axes, height, plain.get(cell_of(item)), item)
                gold = plain.get((item.a, item.b, task, trial.gold)) if trial else None
                if gold is not None and gold.estimate is not None:
                    axes.plot([gold.estimate], [height], **_look("gold", GOLD, "D", filled=False))
            _frame(axes, f"{judge} judge" if len({task for _, task in shown}) == 1 else f"{judge}, {task}")
        labels = [f"{shortened(a, 18)} vs {shortened(b, 12)}" for a, b in reversed(rows)]
        all_axes[0].set_yticks(range(len(rows)), labels)
        all_axes[0].set_ylim(-0.6, len(rows) - 0.4)
        entries = theme.legend_entries(all_axes)
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3)
        theme.save(figure, folder, name)
    with_gold = any((trial.judge, trial.task) in shown for trial in trials)
    diamonds = ", diamonds the gold judge's plain win rates" if with_gold else ""
    return Picture(name, "Win rates, plain and at equal length", _caption(shown, plain, len(panels), diamonds))


def _marks(axes: Any, height: float, plain: Contrast | None, equal: Contrast) -> None:
    for item, look, shift in ((plain, ("plain", RAW, "o"), OFFSET), (equal, ("at equal length", EQUAL, "s"), -OFFSET)):
        if item is None or item.estimate is None:
            continue
        label, tint, mark = look
        bounds = shown_interval(item)
        if bounds is not None:
            axes.plot(bounds, [height + shift] * 2, color=tint, linewidth=1.6, solid_capstyle="butt")
        axes.plot([item.estimate], [height + shift], **_look(label, tint, mark, filled=True))


def _look(label: str, tint: str, mark: str, *, filled: bool) -> dict[str, Any]:
    return {
        "label": label, "linestyle": "none", "marker": mark, "markersize": 6.5, "markeredgecolor": tint,
        "markeredgewidth": 1.6, "markerfacecolor": tint if filled else "white", "zorder": 3,
    }  # fmt: skip


def _frame(axes: Any, title: str) -> None:
    axes.axvline(0.5, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(shortened(title, 34))
    axes.set_xlabel("preference for the first-named")


def _caption(
    shown: dict[tuple[str, str], list[Contrast]],
    plain: Mapping[WinRateCell, Contrast],
    panels: int,
    diamonds: str,
) -> str:
    """Return what the picture shows, with the largest shift of each judge."""
    largest = []
    for (judge, _), items in shown.items():
        shifts = [(by, item) for item in items if (by := shift_of(plain.get(cell_of(item)), item)) is not None]
        if shifts:
            _, item = max(shifts, key=lambda one: abs(one[0]))
            largest.append(f"{judge} {item.a} vs {item.b} from {estimate(plain[cell_of(item)])} to {estimate(item)}")
    more = counted(panels - len(shown), "more panel of a judge and task", "more panels of a judge and task")
    hidden = "" if panels == len(shown) else f"; {more} in the table"
    lines = intervals_of([item for items in shown.values() for item in items])
    moved = f"Largest shift under each judge: {listed(largest)}; lines" if largest else "Lines"
    return f"{moved} are {lines}{diamonds}{hidden}."
