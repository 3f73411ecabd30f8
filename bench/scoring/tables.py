"""Difficulty and calibration tables of the length control, as AlpacaEval names their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.core.errors import DataError
from bench.scoring.files import number_in, rows_of
from bench.statistics.confidence import FloatArray

# AlpacaEval's own name and that of the surrogate, whose preferences are reconstructed.
PREFERENCES = ("preference", "preference_surrogate")


def read_difficulty(path: Path) -> dict[str, float]:
    """Return the difficulty of each instruction, by its text; raises DataError for anything unusable.

    Needs the columns ``instruction`` and ``instruction_difficulty``. A table that is keyed by row position is refused:
    positions shift when one row is missing, and then every difficulty belongs to another prompt.
    """
    found: dict[str, float] = {}
    for number, row in enumerate(rows_of(path), start=1):
        where = f"{path}, row {number}"
        text, value = row.get("instruction"), number_in(row, "instruction_difficulty", where)
        if not isinstance(text, str) or value is None:
            raise DataError(
                f"{where}: needs instruction (the prompt's text) and instruction_difficulty. Difficulty is joined on "
                "the text, never on the row's position."
            )
        if found.setdefault(text, value) != value:
            raise DataError(f"{where}: a second difficulty for the instruction {text[:80]!r}")
    return found


def read_calibration(path: Path) -> FloatArray:
    """Return rows (tanh length feature, difficulty, preference); raises DataError for anything unusable."""
    rows = rows_of(path)
    preference = next((name for name in PREFERENCES if name in rows[0]), None)
    if preference is None:
        raise DataError(f"{path}: needs a column {' or '.join(PREFERENCES)}")
    columns = ("tanh_std_delta_len", "instruction_difficulty", preference)
    found: list[list[float]] = []
    for number, row in enumerate(rows, start=1):
        values = [number_in(row, column, f"{path}, row {number}") for column in columns]
        if None in values:
            raise DataError(f"{path}, row {number}: needs a number in each of {', '.join(columns)}")
        found.append([value for value in values if value is not None])
    return np.array(found)
