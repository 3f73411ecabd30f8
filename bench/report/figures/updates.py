"""What reinforcement learning logged per update: one panel per quantity, one line with its range of seeds per arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report.facts.curves import Quantity, band_of, curves_of, last_mean
from bench.report.figures import theme
from bench.report.figures.curves import TICKS, PanelColumn
from bench.report.page.content import Picture
from bench.results.summary import RunSummary
from bench.results.wording import listed, shortened

ACROSS = 4
PANEL_INCHES = (2.75, 2.2)
# Stages that logged these took part in reinforcement learning.
NEEDED = frozenset({"step", "reward", "kl"})
QUANTITIES: tuple[Quantity, ...] = (
    ("reward", "reward", None),
    ("KL in nats", "kl", None),
    ("entropy in nats", "entropy", None),
    ("clipped share", "clip_fraction", None),
    ("value loss", "value_loss", None),
    ("explained variance", "explained_variance", None),
    ("response tokens", "response_tokens", None),
    ("share without end", "without_end", None),
)


def on_policy_arms(summary: RunSummary) -> list[PanelColumn]:
    """Return the arms whose last stage was on-policy training, with what it logged."""
    found = []
    for place, (arm, facts) in enumerate(summary.arms.items()):
        logs = {seed: summary.last_log(arm, seed) for seed in facts.runs}
        if any(rows[0].keys() >= NEEDED for rows in logs.values() if rows):
            found.append(PanelColumn(arm, place, logs))
    return found


def update_curves(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of all quantities that were logged per update; None when no arm trained on-policy."""
    arms = on_policy_arms(summary)
    shown = [quantity for quantity in QUANTITIES if any(curves_of(arm.logs, quantity) for arm in arms)]
    if not shown:
        return None
    across, down = min(ACROSS, len(shown)), -(-len(shown) // ACROSS)
    with theme.styled():
        figure = theme.new_figure(across * PANEL_INCHES[0], down * PANEL_INCHES[1] + 0.5)
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, quantity in zip(panels, shown, strict=False):
            for arm in arms:
                _line(axes, arm, quantity)
            axes.set_title(quantity[0])
            axes.set_xlabel("update")
            axes.grid(color=theme.GRID, linewidth=0.6)
            axes.locator_params(axis="both", nbins=TICKS)
            axes.margins(x=0.02)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        theme.save(figure, folder, name)
    ends = [end for arm in arms if (end := _end(arm))]
    tail = f" {listed(ends)}." if ends else ""
    several = len(summary.seeds) > 1
    lines = "Lines are means over training seeds, bands their range." if several else "Lines are of one training seed."
    caption = f"{lines}{tail}"
    return Picture(name, "Reinforcement learning, update by update", caption)


def _line(axes: Any, arm: PanelColumn, quantity: Quantity) -> None:
    curves = list(curves_of(arm.logs, quantity).values())
    if not curves:
        return
    tint = theme.colour(arm.place)
    steps, mean, low, high = band_of(curves)
    if len(curves) > 1:
        axes.fill_between(steps, low, high, color=tint, alpha=0.2, linewidth=0)
    mark = {"marker": theme.marker(arm.place), "markevery": max(1, len(steps) // 5), "markersize": 4.5}
    axes.plot(steps, mean, color=tint, linewidth=1.6, label=shortened(arm.title, 24), **mark)


def _end(arm: PanelColumn) -> str:
    """Return the reward and KL at an arm's last update, means over the seeds."""
    ends = [value for quantity in QUANTITIES[:2] if (value := last_mean(arm.logs, quantity)) is not None]
    return f"{arm.title} ends at {' and '.join(ends)}" if ends else ""
