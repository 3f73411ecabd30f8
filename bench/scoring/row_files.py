"""Files of outputs, verdicts and labels made by other programs: the kind of each, known by its columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import DataError
from bench.core.rows import kind_of, rows_of

FileKind = Literal["outputs", "annotations", "pairs", "battles", "games", "facts"]
# The first set of columns that a file's first row has says what the file is.
COLUMNS: tuple[tuple[FileKind, frozenset[str]], ...] = (
    ("annotations", frozenset({"instruction", "preference"})),
    ("pairs", frozenset({"g1_winner", "g2_winner", "model_1", "model_2"})),
    ("battles", frozenset({"model_a", "model_b", "winner"})),
    ("games", frozenset({"model", "games"})),
    ("facts", frozenset({"topic", "annotations"})),
    ("outputs", frozenset({"instruction", "output"})),
)
SHOWN = 3


@dataclass(frozen=True)
class RowFile:
    """The rows of one file, of one kind."""

    path: Path
    kind: FileKind
    rows: Sequence[Mapping[str, Any]]

    def cell(self, number: int, column: str) -> Any:
        """Return what row ``number`` (from 1) has in a column; raises DataError for a row without it."""
        row = self.rows[number - 1]
        if column not in row:
            raise DataError(f"{self.path}, row {number}: no column {column}, which a file of {self.kind} needs")
        return row[column]

    def text(self, number: int, column: str) -> str:
        """Return a text of row ``number`` (from 1); raises DataError where there is none."""
        value = self.rows[number - 1].get(column)
        if not isinstance(value, str):
            raise DataError(f"{self.path}, row {number}: {column} is {kind_of(value)}, wanted a text")
        return value

    def text_or_none(self, number: int, column: str) -> str | None:
        """Return a text of row ``number`` (from 1), None for null, NaN or no column; raises DataError for others."""
        value = self.rows[number - 1].get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        return self.text(number, column)

    def label(self, number: int, column: str) -> str:
        """Return a name or a number of row ``number`` (from 1) as text; raises DataError for anything else."""
        value = self.cell(number, column)
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise DataError(f"{self.path}, row {number}: {column} is {kind_of(value)}, wanted a name")
        return str(value)

    @property
    def stem(self) -> str:
        """The file's name without its suffixes."""
        return self.path.name.removesuffix(".gz").rsplit(".", 1)[0]


def read_file(path: Path) -> RowFile:
    """Return the rows of a JSON, JSON Lines or CSV file, packed or not; raises DataError for anything unusable."""
    rows = rows_of(path)
    columns = set(rows[0])
    for kind, needed in COLUMNS:
        if needed <= columns:
            return RowFile(path, kind, rows)
    wanted = "; ".join(f"{kind}: {', '.join(sorted(needed))}" for kind, needed in COLUMNS)
    raise DataError(f"{path}: columns {', '.join(sorted(columns))} are of no known kind of file. Known: {wanted}.")


def shown(names: Sequence[str]) -> str:
    """Return a few names for a message, shortened, with how many more there are."""
    listed = "; ".join(repr(name[:80]) for name in names[:SHOWN])
    return listed + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
