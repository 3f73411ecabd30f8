"""Pairs as they were published: Stanford Human Preferences, Step-DPO, and HelpSteer's preferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.errors import DataError
from bench.core.row_formats.row_format import RawRow, RowFormat, RowsMade, cell, is_text, named, text_in
from bench.core.row_formats.transcripts import with_extra_marks
from bench.core.row_formats.turns import Turn, opened


def _is_shp(row: RawRow) -> bool:
    return is_text(row["history"]) and is_text(row["human_ref_A"]) and is_text(row["human_ref_B"])


def _shp(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    label = row["labels"]
    if label not in (0, 1):
        raise DataError("labels is neither 0 nor 1")
    order = ("A", "B") if label == 1 else ("B", "A")
    chosen, rejected = (text_in(row, f"human_ref_{which}") for which in order)
    scores = {
        name: row[f"score_{which}"]
        for name, which in zip(("score_chosen", "score_rejected"), order, strict=True)
        if f"score_{which}" in row
    }
    return RowsMade(({"prompt": text_in(row, "history"), "chosen": chosen, "rejected": rejected, **scores},))


SHP = RowFormat(
    name="shp",
    gives="preferences",
    about="Stanford Human Preferences: `history`, `human_ref_A`, `human_ref_B`, and `labels` (1: A is better)",
    needed=("history", "human_ref_A", "human_ref_B", "labels"),
    optional=("score_A", "score_B"),
    fits=_is_shp,
    make=_shp,
)


def _is_step(row: RawRow) -> bool:
    return all(is_text(row[name]) for name in ("prompt", "initial_reason_steps", "chosen", "rejected"))


def _step(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    begun = text_in(row, "initial_reason_steps")
    return RowsMade(
        (
            {
                "prompt": row["prompt"],
                "chosen": begun + text_in(row, "chosen"),
                "rejected": begun + text_in(row, "rejected"),
                # A step is not the whole answer: no end follows it.
                "chosen_finish": "length",
                "rejected_finish": "length",
            },
        ),
        ("both responses begin with the steps before the one that is judged, and no end follows it",),
    )


STEPS = RowFormat(
    name="step_dpo",
    gives="preferences",
    about="Step-DPO: `prompt`, `initial_reason_steps`, and the next step `chosen` and `rejected`",
    needed=("prompt", "initial_reason_steps", "chosen", "rejected"),
    fits=_is_step,
    make=_step,
)

_ONE, _TWO = "response_1|response1", "response_2|response2"
_STRENGTH = "preference_strength|overall_preference"


def marked_prompt(prompt: Any) -> tuple[list[Turn], tuple[str, ...]]:
    """Return a prompt of HelpSteer as turns: a chat, or a text with marks before its later turns."""
    return (with_extra_marks(prompt), ()) if isinstance(prompt, str) else opened(prompt, "prompt")


def _is_strength(row: RawRow) -> bool:
    return is_text(cell(row, _ONE)) and is_text(cell(row, _TWO))


def _strength(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    strength = cell(row, _STRENGTH)
    if not isinstance(strength, int | float) or isinstance(strength, bool):
        raise DataError(f"{named(row, _STRENGTH)} is no number")
    if strength == 0:
        return RowsMade((), ("left out: neither response is preferred",))
    prompt, told = marked_prompt(cell(row, "prompt|context"))
    one, two = text_in(row, _ONE), text_in(row, _TWO)
    chosen, rejected = (two, one) if strength > 0 else (one, two)
    return RowsMade(({"prompt": prompt, "chosen": chosen, "rejected": rejected},), told)


STRENGTH = RowFormat(
    name="helpsteer_preferences",
    gives="preferences",
    about="HelpSteer 2 and 3: `prompt` or `context`, two responses, and a strength (below 0: the first is better)",
    needed=("prompt|context", _ONE, _TWO, _STRENGTH),
    fits=_is_strength,
    make=_strength,
)

FORMATS = (SHP, STEPS, STRENGTH)
