"""How training went: curves, reward models on held-out pairs, and what was measured of representations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.facts.layers import QUANTITIES, Layer, layers_of
from bench.report.facts.reward_models import RewardModelFacts, reward_models
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Pictures, Table, Text, drawn
from bench.results.lengths import length_lines, spelling_lines
from bench.results.wording import NONE, number, percent


def training_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return everything about training that was logged; nothing when no stage logged anything."""
    blocks = [
        *_lengths(inputs),
        *_spelling(inputs),
        *drawn(pictures, "learning_curves", "earlier_stages"),
        *_updates(pictures),
        *_reward_models(inputs, pictures),
        *_layers(inputs, pictures),
    ]
    return [Heading(2, "Training"), *blocks] if blocks else []


def _lengths(inputs: Inputs) -> list[Block]:
    """Return what was cut, dropped or left unanswered because of its length; nothing where nothing was."""
    lines = length_lines(inputs.summary)
    return [Heading(3, "Truncation"), Bullets(tuple(lines))] if lines else []


def _spelling(inputs: Inputs) -> list[Block]:
    """Return which responses are not what their tokens say at first sight; nothing where all are."""
    lines = spelling_lines(inputs.summary)
    return [Heading(3, "Special tokens and lost characters"), Bullets(tuple(lines))] if lines else []


def _updates(pictures: Pictures) -> list[Block]:
    figures = drawn(pictures, "updates")
    return [Heading(3, "Reinforcement learning, update by update"), *figures] if figures else []


def _reward_models(inputs: Inputs, pictures: Pictures) -> list[Block]:
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
    table = Table(columns, "l" + "r" * 9, rows)
    return [Heading(3, "Reward models"), table, Text(note), *drawn(pictures, "reward_models")]


def _of_model(model: RewardModelFacts) -> list[tuple[str, ...]]:
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


def _layers(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the representations' table and picture."""
    found = layers_of(inputs.summary)
    if not found:
        return []
    rows = tuple((arm, *_of_layer(layer)) for arm, layers in found.items() for layer in layers)
    note = (
        "Means over training seeds, on response tokens: the L2 norm of the difference between good and bad hidden "
        "states, its cosine with the mean difference (1 where one direction tells good from bad), and what is left of "
        "the loss."
    )
    columns = ("arm", "layer", "norm of the difference", "cosine with its mean", "loss")
    table = Table(columns, "lrrrr", rows)
    return [Heading(3, "Representations"), table, Text(note), *drawn(pictures, "representations")]


def _of_layer(layer: Layer) -> tuple[str, str, str, str]:
    norm, cosine, loss = (layer.measured[name].mean for name in QUANTITIES)
    return str(layer.number), number(norm, 3), number(cosine, 3), number(loss, 4)
