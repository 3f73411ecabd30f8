"""How a comparison was done, as text: settings, adapters, and the statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.config.comparison import Comparison
from bench.results.summary import RunSummary
from bench.results.wording import counted, value_text
from bench.statistics.tests.moderation import FEWEST_CONTRASTS, FEWEST_SEEDS

CORRECTIONS = {
    "holm": "Holm's step-down",
    "max_t": "step-down max-T",
    "benjamini_hochberg": "Benjamini and Hochberg's",
    "none": "no",
}


def lora_text(lora: Mapping[str, Any] | None) -> str:
    """Return an adapter as text."""
    if lora is None:
        return "none (all weights)"
    parts = [f"{name} {value_text(value)}" for name, value in lora.items() if value not in ((), [], 0, 0.0, None)]
    return f"LoRA, {', '.join(parts)}"


def adapter_text(summary: RunSummary, arm: str) -> str:
    """Return an arm's adapter as text; an arm that trains nothing has none, whatever all arms are given."""
    return lora_text(summary.arms[arm].lora) if summary.is_trained(arm) else "none (not trained)"


def flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as one level of dotted names with values as text."""
    found: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = "none" if value in ({}, []) else value_text(value)
    return found


def statistics_of(comparison: Comparison, seeds: int) -> str:
    """Return how a contrast is estimated and tested over so many training seeds, in words that a paper could use."""
    evaluation = comparison.evaluation
    orders = " and over both presentation orders" if evaluation.judges and evaluation.orders == "both" else ""
    paired = (
        "Two arms are compared on the same prompts and training seeds: every pair of cells is averaged over draws"
        f"{orders}, a win rate is tested against 0.5 and any other metric as a difference against 0."
    )
    if seeds > 1:
        tested = (
            f"The {counted(seeds, 'training seed')} and the prompts (or clusters of prompts) are crossed random "
            "effects; p-values and intervals come from the generalised pivot of the two variances (Weerahandi 1993), "
            "so they hold for seeds and prompts that were not drawn."
        )
        if comparison.statistics.seed_variance == "moderated" and seeds >= FEWEST_SEEDS:
            tested += (
                f" Where a metric has {FEWEST_CONTRASTS} contrasts or more on a task, the variance of seeds is "
                "moderated over them (as in limma; Smyth 2004), except where a contrast's own is larger."
            )
    else:
        tested = (
            "The test is a paired t test over prompts (or clusters of prompts, with a clustered standard error); with "
            "one training seed it says nothing about other seeds."
        )
    correction = CORRECTIONS[comparison.statistics.correction]
    adjusted = f"p-values are adjusted within a family by {correction} procedure" if correction != "no" else ""
    control = {
        "none": "",
        "glm": " Win rates at equal length follow the logistic model of length-controlled AlpacaEval.",
        "ratio": " Win rates at equal length come from a logistic regression on the ratio of lengths.",
        "log_ratio": " Win rates at equal length come from a logistic regression on the logarithm of that ratio.",
        "matched": " Win rates at equal length are means over prompts on which either response may be the longer one, "
        "by overlap weights within bins of the difference of lengths.",
    }[evaluation.length_control.model]
    last = f" {adjusted[0].upper()}{adjusted[1:]}; A/A controls stand outside of it." if adjusted else ""
    return f"{paired} {tested}{last}{control}"
