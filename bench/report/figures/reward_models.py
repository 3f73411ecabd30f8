"""Reward models on pairs they were not trained on: calibration, and accuracy by how much longer the better one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report.facts.reward_models import RewardModelFacts, mean_of_known, reward_models
from bench.report.figures import theme
from bench.report.page.content import Picture
from bench.results.summary import RunSummary
from bench.results.wording import listed, percent

BARS_APART = 0.12


def reward_model_checks(summary: RunSummary, folder: Path, name: str) -> Picture | None:
    """Return the picture of all reward models' calibration and accuracy by length; None without any."""
    models = reward_models(summary)
    if not models:
        return None
    with theme.styled():
        figure = theme.new_figure(9.4, 3.9)
        left, right = figure.subplots(1, 2)
        arms = list(summary.arms)
        for number, model in enumerate(models):
            place = arms.index(model.arms[0])
            _calibration(left, model, place)
            _by_length(right, model, place, (number, len(models)))
        left.plot([0.5, 1], [0.5, 1], color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        left.set_xlabel("mean confidence in the response it prefers")
        left.set_ylabel("share of pairs ranked right")
        left.set_title("Calibration")
        right.axhline(0.5, color=theme.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        right.set_ylabel("share of pairs ranked right")
        right.set_title("By length of the better response")
        for axes in (left, right):
            axes.grid(color=theme.GRID, linewidth=0.6)
        right.grid(axis="x", visible=False)
        if len(models) > 1:
            figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        theme.save(figure, folder, name)
    accuracies = listed([f"{model.title} {percent(model.mean_accuracy())}" for model in models])
    marks = (
        "small marks are single seeds, large marks on lines and bars their means; dashed are perfect calibration and "
        "chance"
    )
    return Picture(
        name, "Reward models on held-out pairs", f"Share of held-out pairs ranked right: {accuracies}; {marks}."
    )


def _calibration(axes: Any, model: RewardModelFacts, place: int) -> None:
    look = {"color": theme.colour(place), "marker": theme.marker(place)}
    by_bin: dict[float, list[tuple[float, float]]] = {}
    for found in model.held_out.values():
        for row in found["calibration"]:
            if row["pairs"]:
                by_bin.setdefault(row["from"], []).append((row["confidence"], row["accuracy"]))
    for at in by_bin.values():
        axes.plot(*zip(*at, strict=True), linestyle="none", markersize=4, alpha=0.6, markeredgewidth=0, **look)
    line = [(mean_of_known([x for x, _ in at]), mean_of_known([y for _, y in at])) for _, at in sorted(by_bin.items())]
    if line:
        axes.plot(*zip(*line, strict=True), linewidth=1.8, markersize=7, label=model.title, **look)


def _by_length(axes: Any, model: RewardModelFacts, place: int, beside: tuple[int, int]) -> None:
    """Draw the accuracy in every class of length differences, as one of several models side by side."""
    which_model, count = beside
    names = [row["better_is"] for row in next(iter(model.held_out.values()))["by_length"]]
    width = (1 - 2 * BARS_APART) / count
    for number, which in enumerate(names):
        rows = [row for found in model.held_out.values() for row in found["by_length"] if row["better_is"] == which]
        values = [row["value"] for row in rows if row["value"] is not None]
        at = number - 0.5 + BARS_APART + width * (which_model + 0.5)
        if values:
            axes.bar(at, mean_of_known(values), width=width * 0.94, color=theme.colour(place), alpha=0.45)
            marks = {"color": theme.colour(place), "marker": theme.marker(place), "linestyle": "none"}
            axes.plot([at] * len(values), values, markersize=4.5, **marks)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    axes.set_ylim(0, 1.02)
