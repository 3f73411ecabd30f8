"""How well a reward model agrees with pairs that it was not trained on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.statistics.tests.intervals import clustered_interval, wilson_interval

FloatArray = NDArray[np.float64]
LEVEL = 0.95
# Edges of the calibration bins: how sure the model is of the response it prefers.
CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Labels:
    """What is known of held-out pairs; all arrays have shape (pairs,).

    ``probability`` that the chosen response is the better one; ``longer_by``: tokens of the chosen minus tokens of the
    rejected response; ``prompt``: the number of the pair's prompt, counted from 0 without gaps.
    """

    probability: FloatArray
    longer_by: NDArray[np.int64]
    prompt: NDArray[np.int64]


def held_out_prompts(prompts: Sequence[Hashable], share: float, seed: int) -> frozenset[int]:
    """Return the numbers of the rows whose prompts are kept from training: that share of the distinct prompts.

    Whole prompts are kept, so that no response to a measured prompt was trained on. At least one prompt is trained on.
    """
    distinct = list(dict.fromkeys(prompts))
    count = min(round(share * len(distinct)), len(distinct) - 1)
    drawn = np.random.default_rng([seed, len(distinct)]).permutation(len(distinct))[:count]
    kept = {distinct[number] for number in drawn}
    return frozenset(number for number, prompt in enumerate(prompts) if prompt in kept)


def measured(log_odds: FloatArray, labels: Labels) -> dict[str, object]:
    """Return the diagnostics of held-out pairs; ``log_odds`` (pairs,) is what the model gives for chosen over rejected.

    A label above one half says that the chosen response is the better one, below one half the rejected one. Labels of
    exactly one half say neither, so they are left out of every accuracy; equal rewards count one half.

    ``pairs`` and ``labelled`` (those not of one half); ``accuracy``, see below; ``loss``, the mean cross-entropy in
    nats; ``least_loss``, the mean entropy of the labels, which no model can fall below; ``brier``, the mean of
    (sigmoid(log_odds) - probability)^2; ``calibration_error``, the mean over pairs of how far the accuracy of their
    bin is from the model's mean confidence there (Guo et al. 2017, arXiv:1706.04599); ``calibration``, those bins;
    ``by_length``, the accuracy by how much longer the better response is; ``prefers_longer``, how often model and
    label take the longer of two responses of unequal length.

    An accuracy is ``value``, ``low`` and ``high`` (95%: Wilson's interval where every prompt has one pair, or all pairs
    agree, else the t interval with prompts as clusters; None where there are too few) and ``pairs``; the value is None
    without pairs.
    """
    chosen = special.expit(log_odds)
    sure = labels.probability != 0.5
    better = np.sign(labels.probability - 0.5)  # +1 where the chosen response is the better one
    right = (np.sign(log_odds) * better + 1) / 2
    confidence = np.maximum(chosen, 1 - chosen)
    loss = np.logaddexp(0, -log_odds) * labels.probability + np.logaddexp(0, log_odds) * (1 - labels.probability)
    bins = _calibration(confidence[sure], right[sure])
    return {
        "pairs": len(log_odds),
        "labelled": int(sure.sum()),
        "accuracy": accuracy(right, labels.prompt, sure),
        "loss": float(loss.mean()),
        "least_loss": float(_entropy(labels.probability).mean()),
        "brier": float(np.square(chosen - labels.probability).mean()),
        "calibration_error": _calibration_error(bins),
        "calibration": bins,
        "by_length": _by_length(right, better * labels.longer_by, labels.prompt, sure),
        "prefers_longer": _prefers_longer(log_odds, better, labels.longer_by, sure),
    }


def accuracy(right: FloatArray, prompt: NDArray[np.int64], among: NDArray[np.bool_]) -> dict[str, float | int | None]:
    """Return the share of pairs that are right (1, or 1/2 for equal rewards) among those given, with its interval."""
    values = right[among]
    distinct, clusters = np.unique(prompt[among], return_inverse=True)
    low: float | None = None
    high: float | None = None
    if len(distinct) == len(values) > 0 or (len(distinct) > 1 and values.std() == 0):
        # Where all pairs of several to a prompt agree, each prompt counts once: t would be sure without reason.
        low, high = wilson_interval(float(values.mean()) * len(distinct), len(distinct), LEVEL)
    elif len(distinct) > 1:
        below, above = clustered_interval(values, clusters, LEVEL)
        low, high = max(0.0, below), min(1.0, above)
    value = float(values.mean()) if len(values) else None
    return {"value": value, "low": low, "high": high, "pairs": len(values)}


def _calibration(confidence: FloatArray, right: FloatArray) -> list[dict[str, float | int | None]]:
    """Return one row per bin of confidence: its edges, its pairs, their mean confidence and their accuracy."""
    places = np.clip(np.searchsorted(CONFIDENCES, confidence, side="right") - 1, 0, len(CONFIDENCES) - 2)
    rows: list[dict[str, float | int | None]] = []
    for number, (start, end) in enumerate(zip(CONFIDENCES, CONFIDENCES[1:], strict=False)):
        inside = places == number
        count = int(inside.sum())
        rows.append(
            {
                "from": start,
                "to": end,
                "pairs": count,
                "confidence": float(confidence[inside].mean()) if count else None,
                "accuracy": float(right[inside].mean()) if count else None,
            }
        )
    return rows


def _calibration_error(bins: list[dict[str, float | int | None]]) -> float | None:
    filled = [(row["pairs"] or 0, row["accuracy"], row["confidence"]) for row in bins if row["pairs"]]
    total = sum(count for count, _, _ in filled)
    return sum(count * abs((right or 0.0) - (sure or 0.0)) for count, right, sure in filled) / total if total else None


def _by_length(
    right: FloatArray, longer_by: FloatArray, prompt: NDArray[np.int64], sure: NDArray[np.bool_]
) -> list[dict[str, object]]:
    """Return the accuracy where the better response is shorter, as long, or longer; the outer two split in halves.

    They are split at the median difference of the pairs of unequal length, in tokens.
    """
    unequal = np.abs(longer_by[sure & (longer_by != 0)])
    middle = float(np.median(unequal)) if len(unequal) else 0.0
    size = np.abs(longer_by)
    parts = {
        "much shorter": (longer_by < 0) & (size > middle),
        "shorter": (longer_by < 0) & (size <= middle),
        "as long": longer_by == 0,
        "longer": (longer_by > 0) & (size <= middle),
        "much longer": (longer_by > 0) & (size > middle),
    }
    return [
        {"better_is": name, "split_at_tokens": middle, **accuracy(right, prompt, part & sure)}
        for name, part in parts.items()
    ]


def _prefers_longer(
    log_odds: FloatArray, better: FloatArray, longer_by: NDArray[np.int64], sure: NDArray[np.bool_]
) -> dict[str, float | int | None]:
    """Return how often the model and the label take the longer response, over the same pairs."""
    unequal = sure & (longer_by != 0)
    if not unequal.any():
        return {"model": None, "label": None, "pairs": 0}
    longer = np.sign(longer_by[unequal])
    model = (np.sign(log_odds[unequal]) * longer + 1) / 2
    label = (better[unequal] * longer + 1) / 2
    return {"model": float(model.mean()), "label": float(label.mean()), "pairs": int(unequal.sum())}


def _entropy(probability: FloatArray) -> FloatArray:
    """Return the entropy of labels in nats, 0 at 0 and 1."""
    return np.asarray(special.entr(probability) + special.entr(1 - probability), dtype=np.float64)
