"""Whose verdicts a file holds: those of several judges are scored apart, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.core.cells import label_of
from bench.core.errors import DataError
from bench.scoring.row_files import RowFile, RowOfKind, shown

Judges = Literal["apart", "together"]
COLUMNS = ("judge", "annotator")


@dataclass(frozen=True)
class JudgedPart:
    """The verdicts of one judge (None: no row names one). ``nameless``: rows without a name, counted with it."""

    judge: str | None
    files: Sequence[RowFile]
    nameless: int = 0

    @property
    def noted(self) -> dict[str, int]:
        """What was read into the files."""
        named = f"rows that name no judge, counted with the only one named ({self.judge})"
        return {named: self.nameless} if self.nameless else {}


def by_judge(files: Sequence[RowFile], judges: Judges) -> list[JudgedPart]:
    """Return the verdicts of each judge, by name; those of a crowd of voters in one part with ``together``.

    Where one judge is named, rows without a name are counted with it. Raises DataError for a row without a name beside
    several judges.
    """
    if judges == "together":
        return [JudgedPart(None, files)]
    named = sorted({name for file in files for name in map(judge_of, file.rows) if name is not None})
    nameless = [row for file in files for row in file.rows if judge_of(row) is None]
    if not named:
        return [JudgedPart(None, files)]
    if len(named) == 1:
        return [JudgedPart(named[0], files, len(nameless))]
    if nameless:
        raise DataError(
            f"{nameless[0].where}: names no judge, though other rows name {shown(named)}. Whose verdict it is cannot "
            f"be told ({len(nameless)} such rows): name the judge, or leave the rows out."
        )
    return [JudgedPart(name, [part for file in files for part in _of_judge(file, name)]) for name in named]


def _of_judge(file: RowFile, judge: str) -> list[RowFile]:
    rows = [row for row in file.rows if judge_of(row) == judge]
    return [replace(file, rows=rows)] if rows else []


def judge_of(row: RowOfKind) -> str | None:
    """Return the judge that a row names, None for none; raises DataError for what is no name."""
    for column in COLUMNS:
        cell = row.cells.get(column)
        # FastChat: the judging model, and its template. One judge has several: for mathematics, for second turns.
        model = cell[0] if isinstance(cell, list) and cell else cell
        name = label_of(model, f"{row.where}: {column}")
        if name is not None:
            return name.strip()
    return None
