"""Style counts of battles as Chatbot Arena and Arena-Hard store them, and strengths at equal style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.core.rows import kind_of
from bench.statistics.ranking.style import StyleControlled, StyledBattles, style_controlled, style_differences

METADATA = "conv_metadata"
# The name of a feature, and where both answers' counts stand.
COUNTS = {
    "tokens": ("sum_assistant_a_tokens", "sum_assistant_b_tokens"),
    "headers": ("header_count_a", "header_count_b"),
    "lists": ("list_count_a", "list_count_b"),
    "bold": ("bold_count_a", "bold_count_b"),
}
MarkupStyle = Mapping[str, tuple[float, float]]


def style_of(row: Mapping[str, Any], where: str) -> MarkupStyle | None:
    """Return both answers' counts by feature, None for a row without; raises DataError for what is no count."""
    metadata = row.get(METADATA)
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise DataError(f"{where}: {METADATA} is {kind_of(metadata)}, wanted counts by name")
    there = {name: keys for name, keys in COUNTS.items() if all(key in metadata for key in keys)}
    found = {
        name: (_count(metadata[a], f"{where}: {a}"), _count(metadata[b], f"{where}: {b}"))
        for name, (a, b) in there.items()
    }
    return found or None


def _count(value: Any, where: str) -> float:
    """Return a count, or the sum of counts by kind (of heading, list or mark)."""
    if isinstance(value, Mapping):
        return sum(_count(part, where) for part in value.values())
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise DataError(f"{where} is {value!r}, wanted a count")
    return float(value)


def at_equal_style(columns: StyledBattles, styles: Sequence[MarkupStyle | None], anchor: str) -> StyleControlled | None:
    """Return the strengths at equal style, by the features that every battle has; None where there is none.

    ``columns`` are the battles, still without features.
    """
    known = [style for style in styles if style is not None]
    shared = [name for name in COUNTS if known and all(name in style for style in known)]
    if len(known) < len(styles) or not shared:
        return None
    counts = {name: np.array([style[name] for style in known]) for name in shared}
    features = {name: style_differences(both[:, 0], both[:, 1]) for name, both in counts.items()}
    given = StyledBattles(
        columns.first, columns.second, columns.outcome, features, columns.clusters, columns.weights
    )  # fmt: skip
    return style_controlled(given, anchor)


def style_details(found: StyleControlled | None, place: int) -> dict[str, Any]:
    """Return what a method's score says about style; nothing where no style is known."""
    if found is None:
        return {}
    strengths = found.strengths
    return {
        "style_controlled_theta": float(strengths.theta[place]),
        "style_controlled_theta_standard_error": float(strengths.standard_errors[place]),
        "style_controlled_win_rate": 100 * float(strengths.win_probability[place]),
        "style": {
            name: {"coefficient": value, "standard_error": found.standard_errors[name]}
            for name, value in found.coefficients.items()
        },
    }
