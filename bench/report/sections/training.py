"""How training went: curves, reward models on held-out pairs, and what was measured of representations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.figures.layers import layer_rows
from bench.report.figures.reward_models import RewardModel, reward_models
from bench.report.figures.style import Picture
from bench.report.inputs import Inputs
from bench.report.page.blocks import Block, Figure, Heading, Table, Text
from bench.results.wording import NONE, number, percent


def training_section(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return everything about training that was logged; nothing when no stage told anything."""
    curves = [Figure(pictures[name]) for name in ("learning_curves", "earlier_stages") if name in pictures]
    blocks: list[Block] = [*curves, *_updates(pictures), *_reward_models(inputs, pictures), *_layers(inputs, pictures)]
    return [Heading(2, "Training"), *blocks] if blocks else []


def _updates(pictures: Mapping[str, Picture]) -> list[Block]:
    if "updates" not in pictures:
        return []
    return [Heading(3, "Reinforcement learning, update by update"), Figure(pictures["updates"])]


def _reward_models(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return every reward model at every seed: accuracy with its interval, calibration, and a leaning to length."""
    models = reward_models(inputs.summary)
    if not models:
        return []
    columns = (
        "reward model of", "seed", "held-out pairs", "ranked right", "95% interval", "calibration error", "loss",
        "least possible loss", "prefers the longer", "labels prefer the longer",
    )  # fmt: skip
    rows = tuple(row for model in models for row in _of_model(model))
    note = (
        "Prompts of the held-out pairs were not trained on. The calibration error is the mean over pairs of how far "
        "the accuracy of pairs of like confidence is from that confidence; losses are in nats."
    )
    figures = [Figure(pictures[name]) for name in ("reward_models",) if name in pictures]
    return [Heading(3, "Reward models"), Table(columns, "l" + "r" * 9, rows), Text(note), *figures]


def _of_model(model: RewardModel) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for seed, found in model.held_out.items():
        right: Mapping[str, Any] = found["accuracy"]
        known = right["low"] is not None
        longer = found.get("prefers_longer") or {}
        rows.append(
            (
                model.title,
                seed,
                f"{right['pairs']:,}",
                percent(right["value"]),
                f"[{percent(right['low'])}, {percent(right['high'])}]" if known else NONE,
                percent(found.get("calibration_error")),
                number(found.get("loss"), 3),
                number(found.get("least_loss"), 3),
                percent(longer.get("model")),
                percent(longer.get("label")),
            )
        )
    return rows


def _layers(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the representations' table and picture."""
    found = layer_rows(inputs.summary)
    if not found:
        return []
    rows = tuple(
        (
            arm,
            number(line["layer"], 0),
            number(line["difference_norm"], 3),
            number(line["cosine_to_mean"], 3),
            number(line["loss"], 4),
        )
        for arm, lines in found.items()
        for line in lines
    )
    note = (
        "Means over training seeds, on response tokens: the L2 norm of the difference between good and bad hidden "
        "states, its cosine with the mean difference (1 where one direction tells good from bad), and what is left of "
        "the loss."
    )
    columns = ("arm", "layer", "norm of the difference", "cosine with its mean", "loss")
    figures = [Figure(pictures[name]) for name in ("representations",) if name in pictures]
    return [Heading(3, "Representations"), Table(columns, "lrrrr", rows), Text(note), *figures]
