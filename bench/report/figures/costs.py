"""Cost pictures: what each arm consumed, stage by stage, and quality against cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report.facts.costs import TITLES, cost_by_kind, known_cost, mean_cost
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.summary import RunSummary
from bench.results.wording import amount, describe_metric, estimate, intervals_of, listed, shortened

ROW_INCHES = 0.42
LOG_RATIO = 30.0


def cost_axis(summary: RunSummary) -> str:
    """Return the axis that pictures use: FLOPs where they were counted, else seconds."""
    counted = any(mean_cost(summary, arm, "flops") for arm in summary.arms)
    return "flops" if counted else "seconds"


def cost_bars(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of every arm's cost, stacked by kind of stage; None when nothing was consumed."""
    axis = cost_axis(summary)
    stacks = {arm: cost_by_kind(summary, arm, axis) for arm, facts in summary.arms.items() if not facts.brought}
    kinds = list(dict.fromkeys(kind for stack in stacks.values() for kind in stack))
    if not kinds:
        return None
    with theme.styled():
        figure = theme.new_figure(8.4, 1.15 + ROW_INCHES * len(stacks))
        axes = figure.subplots()
        _stacks(axes, stacks, kinds)
        axes.set_xlabel(f"{TITLES[axis]} per training seed")
        axes.xaxis.set_major_formatter(lambda value, _place: amount(value))
        figure.legend(loc="outside upper left", ncols=4)
        theme.save(figure, folder, name)
    totals = listed([f"{arm} {amount(sum(stack.values()))}" for arm, stack in stacks.items()])
    caption = f"{TITLES[axis].capitalize()} per training seed, stages shared with other arms counted in full: {totals}."
    return Picture(name, "Cost of each arm", caption.replace("flops", "FLOPs"))


def _stacks(axes: Any, stacks: dict[str, dict[str, float]], kinds: Sequence[str]) -> None:
    """Draw one stacked bar per arm, first arm on top, and its total at its end."""
    arms = list(stacks)
    heights = [len(arms) - 1 - place for place in range(len(arms))]
    lefts = [0.0] * len(arms)
    for place, kind in enumerate(kinds):
        widths = [stacks[arm].get(kind, 0.0) for arm in arms]
        axes.barh(
            heights, widths, left=lefts, height=0.62, color=theme.colour(place),
            edgecolor="white", linewidth=1.2, label=shortened(kind, 30), hatch=theme.hatch(place),
        )  # fmt: skip
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    for height, total in zip(heights, lefts, strict=True):
        axes.annotate(
            amount(total), (total, height), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(heights, [shortened(arm, 26) for arm in arms])
    axes.tick_params(axis="y", length=0, labelsize=10)
    axes.set_xlim(0, max(lefts) * 1.12)
    axes.grid(axis="x", color=theme.GRID, linewidth=0.7)


def quality_against_cost(contrasts: Sequence[Contrast], summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of quality against cost for the arms that have one common reference; None for fewer than two.

    The reference is the arm that most contrasts of the first judge and task are against. Its quality is the null value.
    """
    chosen = against_one_reference(contrasts)
    axis = cost_axis(summary)
    costs = {arm: cost for arm in summary.arms if (cost := known_cost(summary, arm, axis)) is not None}
    placed = {item.a: item for item in chosen if item.a in costs}
    if len(placed) < 2:
        return None
    first = chosen[0]
    words, by = describe_metric(first.metric), f" by the {first.judge} judge" if first.judge else ""
    with theme.styled():
        figure = theme.new_figure(8.4, 4.2)
        axes = figure.subplots()
        _points(axes, placed, costs, first)
        axes.set_xlabel(f"{TITLES[axis]} per training seed")
        axes.set_ylabel(f"{words}{by} against {shortened(first.b, 24)}")
        axes.xaxis.set_major_formatter(lambda value, _place: amount(value))
        figure.legend(loc="outside right upper")
        theme.save(figure, folder, name)
    parts = listed([f"{arm} {estimate(item)} for {amount(costs[arm])}" for arm, item in placed.items()])
    front = listed(on_the_front(quality_of(placed, costs, first), costs))
    caption = (
        f"{words.capitalize()}{by} on {first.task} against {first.b}, and {TITLES[axis]} per training seed: {parts}; "
        f"bars are {intervals_of(tuple(placed.values()))}; no other arm is both cheaper and estimated better than "
        f"{front} (grey steps)."
    )
    return Picture(name, "Quality against cost", caption)


def quality_of(placed: Mapping[str, Contrast], costs: Mapping[str, float], first: Contrast) -> dict[str, float]:
    """Return the estimate of every arm that is shown, so that more is better; the reference has the null value."""
    sign = -1.0 if first.higher_is_better is False else 1.0
    found = {arm: sign * (item.estimate or 0.0) for arm, item in placed.items()}
    return found | ({first.b: sign * first.null_value} if first.b in costs and first.b not in found else {})


def on_the_front(quality: Mapping[str, float], costs: Mapping[str, float]) -> list[str]:
    """Return the arms that no other arm is at least as good as for less, or better than for as much, cheapest first."""
    found: list[str] = []
    for arm in sorted(quality, key=lambda arm: (costs[arm], -quality[arm])):
        if not found or quality[arm] > quality[found[-1]]:
            found.append(arm)
    return found


def against_one_reference(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Return the contrasts of the first task and judge whose b is the arm that most of them are against."""
    usable = [item for item in contrasts if item.estimate is not None]
    if not usable:
        return []
    same = [item for item in usable if (item.task, item.judge) == (usable[0].task, usable[0].judge)]
    reference = Counter(item.b for item in same).most_common(1)[0][0]
    return [item for item in same if item.b == reference]


def _points(axes: Any, placed: Mapping[str, Contrast], costs: Mapping[str, float], first: Contrast) -> None:
    """Draw one point with its interval per arm, and the reference at the null value, in the order of the arms."""
    arms = list(costs)
    shown = [arm for arm in arms if arm in placed or arm == first.b]
    logarithmic = min(costs[arm] for arm in shown) > 0 and (
        max(costs[arm] for arm in shown) / min(costs[arm] for arm in shown) > LOG_RATIO
    )
    axes.set_xscale("log" if logarithmic else "linear")
    for arm in shown:
        place = arms.index(arm)
        value, below, above = first.null_value, 0.0, 0.0
        if arm in placed:
            value = placed[arm].estimate or 0.0
            below, above = (abs(end - value) for end in shown_interval(placed[arm]) or (value, value))
        axes.errorbar(
            [costs[arm]], [value], yerr=[[below], [above]], color=theme.colour(place),
            marker=theme.marker(place), markersize=8, alpha=0.8, elinewidth=1.6, capsize=4 if arm in placed else 0,
            linestyle="none", label=shortened(arm, 24) + ("" if arm in placed else " (reference)"),
        )  # fmt: skip
    axes.axhline(first.null_value, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    front = on_the_front(quality_of(placed, costs, first), costs)
    across = [costs[arm] for arm in front]
    up = [(placed[arm].estimate or 0.0) if arm in placed else first.null_value for arm in front]
    axes.step(across, up, where="post", color=theme.FAINT, linewidth=1.4, alpha=0.8, zorder=1.5)
    axes.grid(color=theme.GRID, linewidth=0.6)
    axes.margins(x=0.08, y=0.1)
