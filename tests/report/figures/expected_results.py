"""What the pictures of results must draw, mark by mark, worked out from contrasts.json, run.json and the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.core.metrics import LENGTH_CONTROLLED, WIN_RATE
from bench.report.inputs import Inputs
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.judge_audit import Measure
from tests.report.figures.inventory import Marks, capped, interval, line, marks_of, rounded, rows_of

Pair = tuple[Marks, Marks]  # what is drawn, and what must be
Check = Callable[[Any, Inputs], Iterator[Pair]]


def contrasts(of: Inputs, judge: str, metric: str = WIN_RATE.name) -> list[Contrast]:
    return [item for item in of.conclusions.contrasts if (item.judge, item.metric) == (judge, metric)]


def pair(item: Contrast) -> str:
    return f"{item.a} vs {item.b}"


def forest(figure: Any, of: Inputs) -> Iterator[Pair]:
    rows = rows_of(figure.axes[0])
    for axes, metric in zip(figure.axes, (WIN_RATE.name, LENGTH_CONTROLLED.name), strict=True):
        lead = contrasts(of, "gold", metric)
        wanted: Marks = Counter([("x =", 0.5), ("y =", 0.5)])
        for item in lead:
            at = pair(item)
            wanted[line((item.adjusted_low, at), (item.adjusted_high, at))] += 1
            wanted[line(*((value, at) for value in item.per_run))] += 1
            wanted[line((item.estimate, at))] += 1
        yield marks_of(axes, rows), wanted
        assert "by the gold judge" in axes.get_xlabel()


def win_rate_matrix(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes
    arms = [text.get_text() for text in axes.get_yticklabels()]
    assert arms == list(of.summary.arms)
    wanted: Marks = Counter()
    shades: Marks = Counter(("same", 0.5) for _ in arms)
    for item in contrasts(of, "gold"):
        if item.is_control:
            continue
        for a, b, value in ((item.a, item.b, item.estimate), (item.b, item.a, 1 - item.estimate)):
            wanted[arms.index(b), arms.index(a), f"{value:.2f}"] += 1
            shades["a" if value > 0.5 else "b", round(0.75 * abs(value - 0.5) / 0.5, 3)] += 1
    found = Counter((*text.get_position(), f"{float(text.get_text().rstrip('*')):.2f}") for text in axes.texts)
    yield found, wanted
    hues = {(0, 114): "a", (213, 94): "b", (221, 221): "same"}
    tints = [patch.get_facecolor() for patch in axes.patches]
    tinted = [tint for tint in tints if tint != (1.0, 1.0, 1.0, 1.0)]
    assert len(tints) == len(arms) ** 2
    yield (
        Counter((hues[round(255 * red), round(255 * green)], round(alpha, 3)) for red, green, _, alpha in tinted),
        shades,
    )


def seed_spread(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes
    wanted: Marks = Counter([("x =", 0.5)])
    for item in contrasts(of, "gold"):
        at = pair(item)
        wanted[line((min(item.per_run), at), (max(item.per_run), at))] += 1
        wanted.update(line((value, at)) for value in (item.estimate, *item.per_run))
    yield marks_of(axes, rows_of(axes)), wanted
    assert "by the gold judge" in axes.get_xlabel()


def judge_audit(figure: Any, of: Inputs) -> Iterator[Pair]:
    rows = rows_of(figure.axes[0])
    audits = of.conclusions.judges
    assert len(rows) == len(audits)
    by_length = {
        (one.judge, one.a, one.b): control.explained
        for one in audits
        for control in one.controls
        if control.control == "longer_wins"
    }
    panels: dict[str, tuple[Callable[[Any], Any], float | None]] = {
        "Shown first": (lambda one: one.first_shown, 0.5),
        "Flips": (lambda one: one.flips, None),
        "Length": (lambda one: one.longer_wins, 0.5),
        "Explained by length": (lambda one: by_length.get((one.judge, one.a, one.b), Measure(n=0)), 0.0),
    }
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(panels)
    for axes in figure.axes:
        of_audit, null = panels[axes.get_title(loc="left")]
        wanted: Marks = Counter([] if null is None else [("x =", null)])
        for one in audits:
            at = f"{one.judge}, " + ("all pairs" if one.a is None else f"{one.a} vs {one.b}")
            found = of_audit(one)
            if found.estimate is not None:
                low, high = (found.estimate if end is None else end for end in (found.low, found.high))
                wanted.update([line((low, at), (high, at)), line((found.estimate, at))])
        yield marks_of(axes, rows), wanted


def ranking(figure: Any, of: Inputs) -> Iterator[Pair]:
    (item,) = of.conclusions.rankings
    axes, beside = figure.axes
    wanted: Marks = Counter([("x =", 0.0)])
    for entry in item.places:
        if entry.low is not None:
            wanted[line((entry.strength, entry.name))] += 1
            if entry.name != item.anchor:
                wanted[line((entry.low, entry.name), (entry.high, entry.name))] += 1
    yield marks_of(axes, rows_of(axes)), wanted
    lines = [group for group in item.models_groups if len(group) > 1]
    tied: Marks = Counter(line(*((place, name) for name in group)) for place, group in enumerate(lines))
    yield marks_of(beside, rows_of(axes)), tied
    ranks = [text.get_text() for text in axes.texts]
    assert ranks.count("no finite value") == sum(entry.low is None for entry in item.places)
    assert {f"{one.models_low}\u2013{one.models_high} (1\u20134)" for one in item.places[:3]} <= set(ranks)


def tax(figure: Any, of: Inputs) -> Iterator[Pair]:
    panels = list(dict.fromkeys((item.task, item.metric) for item in of.conclusions.tax))
    for axes, known in zip(figure.axes, panels, strict=True):
        assert axes.get_title(loc="left") == ", ".join(known)
        items = [item for item in of.conclusions.tax if (item.task, item.metric) == known]
        wanted: Marks = Counter([("x =", 0.0), ("span", rounded(axes.get_xlim()[0]), -items[0].margin)])
        for item in items:
            wanted.update([line((item.lower, item.arm), (item.upper, item.arm)), line((item.advantage, item.arm))])
        yield marks_of(axes, rows_of(axes)), wanted


def _spent(of: Inputs, arm: str) -> dict[str, float]:
    """FLOPs of one training seed by kind of stage, the mean over the seeds."""
    runs = of.summary.arms[arm].runs.values()
    kinds: dict[str, float] = {}
    for run in runs:
        for key in run.stages:
            stage = of.summary.stages[key]
            kinds[stage.kind] = kinds.get(stage.kind, 0.0) + stage.cost["flops"] / len(runs)
    return kinds


def quality_and_cost(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes
    costs = {arm: sum(_spent(of, arm).values()) for arm in of.summary.arms}
    shown = [item for item in contrasts(of, "gold") if item.b == "sft" and not item.is_control]
    wanted: Marks = Counter(
        [("y =", 0.5), line((costs["sft"], 0.5)), interval((costs["sft"], 0.5), (costs["sft"], 0.5))]
    )
    quality = {"sft": 0.5}
    for item in shown:
        quality[item.a] = item.estimate
        wanted.update([line((costs[item.a], item.estimate))])
        wanted.update(capped(costs[item.a], item.adjusted_low, item.adjusted_high))
    best = [
        arm
        for arm in quality
        if not any(
            costs[other] <= costs[arm] and quality[other] >= quality[arm]
            and (costs[other], -quality[other]) != (costs[arm], -quality[arm])
            for other in quality
        )
    ]  # fmt: skip
    wanted[line(*sorted((costs[arm], quality[arm]) for arm in best))] += 1
    yield marks_of(axes), wanted
    assert "by the gold judge" in axes.get_ylabel()


def cost(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes
    kinds = [text.get_text() for text in figure.legends[0].get_texts()]
    wanted: Marks = Counter()
    for arm in of.summary.arms:
        left, spent = 0.0, _spent(of, arm)
        assert set(spent) <= set(kinds)
        for kind in kinds:
            wanted["bar", rounded(left), arm, rounded(spent.get(kind, 0.0)), 0.62] += 1
            left += spent.get(kind, 0.0)
    yield marks_of(axes, rows_of(axes)), wanted


def response_length(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes
    rows, edges = rows_of(axes), axes.patches[0].get_data().edges
    wanted: Marks = Counter()
    table = of.records.to_pylist()
    for arm, height in rows.items():
        values = [row["value"] for row in table if (row["metric"], row["method"]) == ("response_tokens", arm)]
        counts, _ = np.histogram(values, edges)
        assert counts.sum() == len(values), "no response beyond the frame"
        tops = tuple(rounded(height + 0.86 * count / counts.max()) for count in counts)
        wanted["steps", tops, tuple(map(rounded, edges)), height] += 2  # the area and its outline
        middle = float(np.median(values))
        wanted.update([line((middle, height), (middle, height + 0.86)), line((float(np.mean(values)), height))])
        wanted["y =", height] += 1
    yield marks_of(axes), wanted


def factuality(figure: Any, of: Inputs) -> Iterator[Pair]:
    shown = [item for item in of.conclusions.factual_rates if item.error_rate is not None]
    for axes, task in zip(figure.axes, dict.fromkeys(item.task for item in shown), strict=True):
        wanted: Marks = Counter()
        for item in shown:
            error, right = item.error_rate, item.correct
            if item.task == task and error is not None:
                wanted[line((right.value, 1 - error.value))] += 1
                if error.low is not None:
                    wanted[interval((right.value, 1 - error.high), (right.value, 1 - error.low))] += 1
                if right.low is not None:
                    wanted[interval((right.low, 1 - error.value), (right.high, 1 - error.value))] += 1
        yield marks_of(axes), wanted


def length_control(figure: Any, of: Inputs) -> Iterator[Pair]:
    (axes,) = figure.axes  # that of the gold judge is left out: its win rates are the diamonds
    assert axes.get_title(loc="left") == "biased judge"
    wanted: Marks = Counter([("x =", 0.5)])
    for metric in (WIN_RATE.name, LENGTH_CONTROLLED.name):
        for item in contrasts(of, "biased", metric):
            if not item.is_control:
                at = pair(item)
                wanted.update([line((item.adjusted_low, at), (item.adjusted_high, at)), line((item.estimate, at))])
    wanted.update(line((item.estimate, pair(item))) for item in contrasts(of, "gold") if not item.is_control)
    yield marks_of(axes, rows_of(axes)), wanted


def length_effect(figure: Any, of: Inputs) -> Iterator[Pair]:
    table = of.records.to_pylist()
    characters = {
        (row["method"], row["prompt"], row["run"]): row["value"]
        for row in table
        if row["metric"] == "response_characters"
    }
    there = [axes for axes in figure.axes if axes.get_visible()]
    titles = [(judge, item) for judge in ("gold", "biased") for item in contrasts(of, judge, LENGTH_CONTROLLED.name)]
    titles = [(judge, item) for judge, item in titles if not item.is_control and pair(item) != "base vs dpo"]
    for axes, (judge, item) in zip(there, titles, strict=True):
        assert axes.get_title(loc="left") == f"{judge} judge\n{pair(item)}"
        said: dict[tuple[str, int], list[float]] = {}
        for row in table:
            known = (row["metric"], row["source"], row["method"], row["versus"], row["status"])
            if known == (WIN_RATE.name, judge, item.a, item.b, "ok"):
                said.setdefault((row["prompt"], row["run"]), []).append(row["value"])
        dots = [
            (characters[item.a, *key] - characters[item.b, *key], float(np.mean(values)))
            for key, values in sorted(said.items())
        ]
        tenths = [np.mean(part, axis=0) for part in np.array_split(sorted(dots, key=lambda at: at[0]), 10)]
        slope, bias, scale = item.also.values()
        reach = axes.get_xlim()[1]
        x = np.linspace(-reach, reach, 121)
        fit = 1 / (1 + np.exp(-(slope * np.tanh(-x / scale) + bias)))
        wanted: Marks = Counter([("x =", 0.0), ("y =", rounded(item.estimate)), line(*dots)])
        wanted.update([line(*tenths), line(*zip(x, fit, strict=True))])
        yield marks_of(axes), wanted


RESULTS: dict[str, Check] = {
    check.__name__: check
    for check in (
        forest, win_rate_matrix, seed_spread, judge_audit, ranking, tax, quality_and_cost, cost, response_length,
        factuality, length_control, length_effect,
    )
}  # fmt: skip
