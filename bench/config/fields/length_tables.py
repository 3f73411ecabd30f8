"""Difficulty and calibration tables of the length control, as AlpacaEval names their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.core.cells import rows_in
from bench.core.errors import BenchError, DataError
from bench.core.task import Prompt

# AlpacaEval's own name and that of the surrogate, whose preferences are reconstructed.
PREFERENCES = ("preference", "preference_surrogate")
SHOWN = 3


def read_difficulty(path: Path) -> dict[str, float]:
    """Return the difficulty by instruction (a prompt's text, or its id); raises DataError for anything unusable.

    Needs the columns ``instruction`` and ``instruction_difficulty``. A table that is keyed by row position is refused:
    positions shift when one row is missing, and then every difficulty belongs to another prompt.
    """
    found: dict[str, float] = {}
    for row in rows_in(path, str(path)):
        text, value = row.label("instruction"), row.number("instruction_difficulty")
        if text is None or value is None:
            raise DataError(
                f"{row.where}: needs instruction (the prompt's text) and instruction_difficulty. Difficulty is joined "
                "on the text, never on the row's position."
            )
        if found.setdefault(text, value) != value:
            raise DataError(f"{row.where}: a second difficulty for the instruction {text[:80]!r}")
    return found


def read_calibration(path: Path) -> list[list[float]]:
    """Return rows (tanh length feature, difficulty, preference); raises DataError for anything unusable."""
    rows = list(rows_in(path, str(path)))
    preference = next((name for name in PREFERENCES if rows[0].has(name)), None)
    if preference is None:
        raise DataError(f"{path}: needs a column {' or '.join(PREFERENCES)}")
    columns = ("tanh_std_delta_len", "instruction_difficulty", preference)
    found: list[list[float]] = []
    for row in rows:
        values = [row.number(column) for column in columns]
        if None in values:
            raise DataError(f"{row.where}: needs a number in each of {', '.join(columns)}")
        found.append([value for value in values if value is not None])
    return found


def difficulty_of(prompts: Iterable[Prompt], known: Mapping[str, float]) -> dict[str, float]:
    """Return the known difficulty of each prompt by its id, joined on the prompt's text or else its id.

    Raises BenchError when any is unknown: difficulties of other prompts would be noise in the place of a covariate.
    """
    found: dict[str, float] = {}
    unknown: list[str] = []
    for prompt in prompts:
        value = known.get(prompt.text, known.get(prompt.id))
        if value is None:
            unknown.append(prompt.text)
        else:
            found[prompt.id] = value
    if unknown:
        shown = "; ".join(repr(text[:80]) for text in unknown[:SHOWN])
        raise BenchError(
            f"{len(unknown)} of {len(found) + len(unknown)} prompts have no difficulty in the file ({shown})\n"
            "difficulties belong to prompts: give one for each by its text or id, or use `difficulty: estimated`"
        )
    return found
