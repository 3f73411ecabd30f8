"""Style counts of battles as Chatbot Arena and Arena-Hard store them, and strengths at equal style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class EqualStyle:
    """Strengths at equal style, and how many battles were left out because a count of theirs is not known."""

    controlled: StyleControlled
    left_out: int


def at_equal_style(columns: StyledBattles, styles: Sequence[MarkupStyle | None], anchor: str) -> EqualStyle | None:
    """Return the strengths at equal style, by the features that most battles with any have.

    A battle without one of them is left out and counted. None where no battle has counts, and where those that have
    are of one question or without the anchor. ``columns`` are the battles, still without features.
    """
    known = [style for style in styles if style is not None]
    shared = [name for name in COUNTS if 2 * sum(name in style for style in known) > len(known)]
    kept = [place for place, style in enumerate(styles) if style is not None and all(name in style for name in shared)]
    first, second = ([side[place] for place in kept] for side in (columns.first, columns.second))
    clusters, weights, outcome = (
        np.asarray(values)[kept] for values in (columns.clusters, columns.weights, columns.outcome)
    )
    if not shared or anchor not in {*first, *second} or len(set(clusters.tolist())) < 2:
        return None
    counts = {name: np.array([style[name] for place in kept if (style := styles[place])]) for name in shared}
    features = {name: style_differences(both[:, 0], both[:, 1]) for name, both in counts.items()}
    given = StyledBattles(first, second, outcome, features, clusters, weights)
    return EqualStyle(style_controlled(given, anchor), len(styles) - len(kept))


def style_details(found: EqualStyle | None, name: str) -> dict[str, Any]:
    """Return what a method's score says about style; nothing where no style is known."""
    if found is None or name not in found.controlled.strengths.names:
        return {}
    strengths, place = found.controlled.strengths, found.controlled.strengths.names.index(name)
    return {
        "style_controlled_theta": float(strengths.theta[place]),
        "style_controlled_theta_standard_error": float(strengths.standard_errors[place]),
        "style_controlled_win_rate": 100 * float(strengths.win_probability[place]),
        "style_controlled_left_out": found.left_out,
        "style": {
            feature: {"coefficient": value, "standard_error": found.controlled.standard_errors[feature]}
            for feature, value in found.controlled.coefficients.items()
        },
    }
