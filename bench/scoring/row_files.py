"""Files of outputs, verdicts and labels made by other programs: the kind of each, known by its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.cells import FileRow, is_missing, label_of
from bench.core.errors import DataError
from bench.core.rows import kind_of, placed_rows

FileKind = Literal["outputs", "annotations", "pairs", "battles", "games", "facts", "grades"]
# Columns that go by two names: AlpacaEval's, and that of most other files.
INSTRUCTION, OUTPUT, GENERATOR = ("instruction", "prompt"), ("output", "response"), ("generator", "model")
# The first set of columns that a row has says what the row is; each column with the names it goes by.
COLUMNS: tuple[tuple[FileKind, tuple[tuple[str, ...], ...]], ...] = (
    ("annotations", (INSTRUCTION, ("preference",))),
    ("pairs", (("g1_winner",), ("g2_winner",), ("model_1",), ("model_2",))),
    ("battles", (("model_a",), ("model_b",), ("winner",))),
    ("games", (("model",), ("games",))),
    ("facts", (("topic",), ("annotations",))),
    ("outputs", (INSTRUCTION, OUTPUT)),
    ("grades", (("model",), ("score",), ("question_id",))),
)
SHOWN = 3


@dataclass(frozen=True)
class RowOfKind:
    """One row, and where it stands. Its cells are read by what they must be; null, NaN and no column are missing."""

    where: str
    kind: FileKind
    cells: Mapping[str, Any]

    def cell(self, column: str) -> Any:
        """Return what stands in a column; raises DataError for a row without it."""
        if column not in self.cells:
            raise DataError(f"{self.where}: no column {column}, which a file of {self.kind} needs")
        return self.cells[column]

    def text(self, *columns: str) -> str:
        """Return the text in the first of the columns that the row has; raises DataError where there is none."""
        column = next((name for name in columns if name in self.cells), columns[0])
        value = self.cells.get(column)
        if not isinstance(value, str):
            raise DataError(f"{self.where}: {column} is {kind_of(value)}, wanted a text")
        return value

    def text_or_none(self, *columns: str) -> str | None:
        """Return the text in the first of the columns that the row has, None where it is missing.

        Raises DataError for anything else. An empty text is a text.
        """
        column = next((name for name in columns if name in self.cells), columns[0])
        value = self.cells.get(column)
        blank = isinstance(value, str)  # an empty answer is an answer
        return None if is_missing(value) and not blank else self.text(column)

    def label(self, column: str) -> str:
        """Return a name without the space around it, or a number as text.

        Raises DataError for anything else, and for a missing one.
        """
        found = label_of(self.cell(column), f"{self.where}: {column}")
        if found is None:
            raise DataError(f"{self.where}: {column} is {kind_of(self.cell(column))}, wanted a name")
        return found.strip()

    def label_or_none(self, *columns: str) -> str | None:
        """Return the first name or number among the columns as text, None where all are missing."""
        found = (label_of(self.cells.get(column), f"{self.where}: {column}") for column in columns)
        return next((label.strip() for label in found if label is not None), None)

    def number(self, column: str) -> float | None:
        """Return the finite number in a cell, None for a missing one; raises DataError for anything else."""
        return FileRow(self.where, self.cells).number(column)

    def unit(self, *columns: str) -> str:
        """Return the question that the row is about; a row that names none stands alone, by its place."""
        found = self.label_or_none(*columns)
        return self.where if found is None else found


@dataclass(frozen=True)
class RowFile:
    """The rows of one file, of one kind."""

    path: Path
    kind: FileKind
    rows: Sequence[RowOfKind]

    @property
    def stem(self) -> str:
        """The file's name without its suffixes."""
        return self.path.name.removesuffix(".gz").rsplit(".", 1)[0]


def read_file(path: Path) -> RowFile:
    """Return the rows of a JSON, JSON Lines or CSV file, packed or not; raises DataError for anything unusable.

    The file is of the kind that most of its rows are, so that a failed row, which lacks columns, does not decide.
    """
    rows = list(placed_rows(path, str(path)))
    for place, cells in rows:
        if not isinstance(cells, Mapping):
            raise DataError(f"{place}: {kind_of(cells)}, wanted named columns")
    if not rows:
        raise DataError(f"{path}: no rows")
    kinds = Counter(kind for kind in (_kind(cells) for _, cells in rows) if kind is not None)
    if not kinds:
        columns = sorted({str(column) for _, cells in rows for column in cells})
        wanted = "; ".join(f"{kind}: {', '.join('/'.join(names) for names in needed)}" for kind, needed in COLUMNS)
        raise DataError(f"{path}: columns {', '.join(columns)} are of no known kind of file. Known: {wanted}.")
    kind = kinds.most_common(1)[0][0]
    return RowFile(path, kind, [RowOfKind(place, kind, cells) for place, cells in rows])


def _kind(row: Mapping[str, Any]) -> FileKind | None:
    for kind, needed in COLUMNS:
        if all(any(name in row for name in names) for names in needed):
            return kind
    return None


def shown(names: Sequence[str]) -> str:
    """Return a few names for a message, shortened, with how many more there are."""
    listed = "; ".join(repr(name[:80]) for name in names[:SHOWN])
    return listed + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
