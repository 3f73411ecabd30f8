"""AlpacaEval's annotation rows: which two answers each is about, and the preference in whichever code it is stored.

AlpacaEval stores 1 (output_1 wins) to 2 (output_2 wins), -1 or nothing for a failed verdict, and 0 in old files for a
tie. Others store 0 or false (output_1 wins) to 1 or true (output_2 wins). The two codes cannot be told apart where no
preference is above 1, so that there the reader must be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.errors import DataError
from bench.scoring.row_files import INSTRUCTION, RowFile, RowOfKind

PreferenceScale = Literal["1-2", "0-1"]
# A judge's probabilities miss the ends of the scale by rounding.
SLACK = 1e-5
FAILED = -1.0
# What programs write for a verdict that is not there, as text.
FAILED_WORDS = ("error", "nan")
TIE = 0.5
TRUTH = ("true", "false")
ADVICE = (
    "Give --preference-scale 0-1 where 0 or false says that output_1 wins and 1 or true that output_2 wins; "
    "--preference-scale 1-2 where 1 says that output_1 wins and 2 that output_2 wins (AlpacaEval)."
)


@dataclass(frozen=True)
class StoredVerdict:
    """One annotation row, with the names and texts of output_1 and output_2 where it has them.

    ``preference`` is that for output_2, from 0 to 1, None for a failed verdict; ``old_tie``: it was stored as 0.
    """

    where: str
    names: tuple[str | None, str | None]
    texts: tuple[str | None, str | None]
    preference: float | None
    old_tie: bool


def verdicts_of(files: Sequence[RowFile], scale: PreferenceScale | None) -> dict[str, list[StoredVerdict]]:
    """Return the verdicts by instruction.

    Raises DataError for preferences that are not of the scale, and for a row that names one method twice and holds no
    texts: which answer it prefers cannot be told.
    """
    found: dict[str, list[StoredVerdict]] = {}
    for row in (row for file in files for row in file.rows):
        names = row.label_or_none("generator_1"), row.label_or_none("generator_2")
        texts = row.text_or_none("output_1"), row.text_or_none("output_2")
        if names[0] is not None and names[0] == names[1] and None in texts:
            raise DataError(
                f"{row.where}: generator_1 and generator_2 are both {names[0]!r} and the row does not hold both texts, "
                "so which answer it prefers cannot be told. Give the two methods different names, or their texts "
                "(output_1, output_2)."
            )
        stored = _stored(row, scale)
        old_tie = stored == 0 and scale != "0-1"
        verdict = StoredVerdict(row.where, names, texts, _preference(stored, scale, row.where), old_tie)
        found.setdefault(row.text(*INSTRUCTION), []).append(verdict)
    return found


def check_scale(file: RowFile, scale: PreferenceScale | None) -> None:
    """Raise DataError where a file's preferences may be of either scale and nobody said which."""
    if scale is not None:
        return
    stored = [value for value in (_stored(row, scale) for row in file.rows) if value is not None]
    if stored and max(stored) <= 1:
        failed = sum(row.number("preference") == FAILED for row in file.rows if not _is_word(row))
        minus = (
            f" {failed} are -1, read as failed verdicts; where -1 says that output_1 wins, write 0, 0.5 and 1 instead."
        )
        raise DataError(
            f"{file.path}: none of {len(stored)} preferences is above 1: on AlpacaEval's scale output_2 never wins "
            f"(and a 0 is a tie), on one from 0 to 1 it may always win. {ADVICE}{minus if failed else ''}"
        )


def _is_word(row: RowOfKind) -> bool:
    cell = row.cells.get("preference")
    return isinstance(cell, bool) or (isinstance(cell, str) and cell.strip().lower() in (*FAILED_WORDS, *TRUTH))


def _stored(row: RowOfKind, scale: PreferenceScale | None) -> float | None:
    """Return the stored number, None for a failed verdict; raises DataError for a truth value that is not expected."""
    cell = row.cells.get("preference")
    word = cell.strip().lower() if isinstance(cell, str) else None
    if word in FAILED_WORDS:
        return None
    if word in TRUTH:
        cell = word == "true"
    if isinstance(cell, bool):
        if scale != "0-1":
            raise DataError(f"{row.where}: preference is {str(cell).lower()}, wanted a number. {ADVICE}")
        return float(cell)
    value = row.number("preference")
    return None if value == FAILED else value


def _preference(stored: float | None, scale: PreferenceScale | None, where: str) -> float | None:
    """Return the preference for output_2 from 0 to 1; None for a failed verdict."""
    if stored is None:
        return None
    if scale == "0-1":
        if not -SLACK <= stored <= 1 + SLACK:
            raise DataError(f"{where}: preference {stored:g}, wanted 0 (output_1 wins) to 1 (output_2 wins)")
        return min(max(stored, 0.0), 1.0)
    if stored == 0:
        return TIE
    if not 1 - SLACK <= stored <= 2 + SLACK:
        raise DataError(
            f"{where}: preference {stored:g}, wanted 1 (output_1 wins) to 2 (output_2 wins). For preferences from 0 "
            "to 1 give --preference-scale 0-1."
        )
    return min(max(stored - 1, 0.0), 1.0)
