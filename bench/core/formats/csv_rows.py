"""Tables with commas or tabs, row by row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.formats.unpacked import MOST_ROW, Unpacked, unpacked

_LOOK_EVERY = 1024  # lines between two looks at how much was unpacked
_SHOWN = 5


def tsv_rows(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a table with tabs; see ``csv_rows``."""
    return csv_rows(path, where, "\t")


def csv_rows(path: Path, where: str, between: str = ",") -> Iterator[tuple[str, Any]]:
    """Yield the rows of a table with their lines, a DataError in the place of one whose cells are not the head's.

    Raises DataError for a head that names a column twice, and where nothing more can be read: a cell or line of more
    than ``MOST_ROW`` characters, as a quote that never ends makes it.
    """
    csv.field_size_limit(MOST_ROW)  # the module's own, 131,072 characters, is less than a long text has
    with unpacked(path, where) as file:
        reader = csv.DictReader(
            _lines(file, where), strict=True, delimiter=between
        )  # a quote that does not end is no cell
        try:
            check_head(reader.fieldnames or (), where)
            for number, row in enumerate(reader, start=1):
                # DictReader files surplus cells under None and missing cells as None.
                if None in row or None in row.values():
                    place = f"{where}, row {number}"
                    yield place, DataError(f"{place}: its number of cells differs from the head's")
                else:
                    # Where the row ends: a cell in quotes may hold lines.
                    yield f"{where}, line {reader.line_num}", row
        except csv.Error as error:
            raise DataError(f"{where}, line {reader.line_num + 1}: {error}") from error


def check_head(names: Sequence[str], where: str) -> None:
    """Raise DataError where two columns of a table have one name: nobody can tell which of them is meant."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name[:40]) for name in twice[:_SHOWN])
        raise DataError(f"{where}: two columns are named {shown}. Rename one of the two, or remove it.")


def _lines(file: Unpacked, where: str) -> Iterator[str]:
    text = io.TextIOWrapper(file.stream, encoding="utf-8-sig", newline="")
    number = 0
    try:
        while line := text.readline(MOST_ROW + 1):
            number += 1
            if len(line) > MOST_ROW:
                raise DataError(f"{where}, line {number}: longer than {MOST_ROW:,} characters, the most of a row")
            if number % _LOOK_EVERY == 0:
                file.check()
            yield line
    except UnicodeDecodeError as error:
        raise DataError(f"{where}, behind line {number}: not UTF-8 text ({error.reason})") from error
