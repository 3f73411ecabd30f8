"""Rows of a file: JSON Lines, JSON, CSV, TSV, Parquet or Arrow, packed or not, with errors that name the row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bench.core.errors import DataError
from bench.core.files import kind_at
from bench.core.formats.arrow_rows import arrow_rows
from bench.core.formats.csv_rows import csv_rows, tsv_rows
from bench.core.formats.folders import kind_of_file
from bench.core.formats.json_rows import json_lines, json_list
from bench.core.formats.parquet_rows import parquet_rows

T = TypeVar("T")
R = TypeVar("R")
_READERS = {
    ".jsonl": json_lines, ".json": json_list, ".csv": csv_rows, ".tsv": tsv_rows, ".parquet": parquet_rows,
    ".arrow": arrow_rows,
}  # fmt: skip
_TEXT = "which says nothing of what its lines are. Where each is a row in JSON, end its name in .jsonl."
FORMATS = tuple(_READERS)
SHOWN_ROWS = 10
_MOST_WRONG = 1_000  # rows after which nothing more is read of a file that is no data at all


def kind_of(value: Any) -> str:
    """Return a value's kind as an error message names it."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return "null" if value is None else "empty" if value in ("", [], {}) else type(value).__name__


def read_rows(path: Path, where: str) -> Iterator[Any]:
    """Yield the rows of a file as its format gives them; see ``placed_rows``."""
    return (row for _, row in placed_rows(path, where))


def placed_rows(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a file as its format gives them, each with its place: the file and the line.

    A row of Parquet and of a JSON list has no line; its place is its number, from 1. ``where`` is how error messages
    name the file. Raises DataError for a missing file, an unknown format, and bytes that are not of the format, with
    the line or row.
    """
    for place, row in rows_or_errors(path, where):
        if isinstance(row, DataError):
            raise row
        yield place, row


def rows_or_errors(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the same, with a DataError in the place of a row that is wrong and behind which reading goes on.

    A file is read as its rows are asked for, and no more of it is in memory than a row of ``MOST_ROW`` bytes, of
    Parquet and Arrow 64 rows; of a JSON file that is columns, all of it.
    """
    if kind_at(path) != "file":
        raise DataError(f"{where}: no such file")
    kind = kind_of_file(path.name)
    if kind == ".txt":
        raise DataError(f"{where}: a text file, {_TEXT} known: {', '.join(FORMATS)}")
    if kind not in _READERS:
        raise DataError(f"{where}: the format {kind or 'without a suffix'!r} is not known; known: {', '.join(FORMATS)}")
    return _READERS[kind](path, where)


def all_read(rows: Iterable[T | DataError], read: Callable[[T], R], where: str) -> Iterator[R]:
    """Yield what ``read`` makes of every row; raises, behind the last, one DataError about all that could not be read.

    Of these the first ten are shown and the rest are counted. A row that is a DataError could not be read either.
    """
    wrong: list[str] = []
    rest = iter(rows)
    over = False
    while not over and len(wrong) < _MOST_WRONG:
        try:
            row = next(rest)
            if isinstance(row, DataError):
                raise row
            found = read(row)
        except StopIteration:
            over = True
        except DataError as error:
            wrong.append(str(error))
        else:
            yield found
    if len(wrong) == 1:
        raise DataError(wrong[0])
    if wrong:
        count = f"{len(wrong):,}" if over else f"at least {len(wrong):,}"
        shown = [message.removeprefix(f"{where}, ") for message in wrong[:SHOWN_ROWS]]
        more = [f"and {len(wrong) - SHOWN_ROWS:,} more"] if len(wrong) > SHOWN_ROWS else []
        raise DataError("\n    ".join([f"{where}: {count} rows cannot be used", *shown, *more]))
