"""Rows with named columns, and the numbers in their cells."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.rows import kind_of, read_rows


def rows_of(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file as mappings; raises DataError for a missing, empty or broken file."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        rows = list(read_rows(path, str(path)))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error})") from error
    if not rows:
        raise DataError(f"{path}: no rows")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{path}, row {number}: {kind_of(row)}, wanted named columns")
    return rows


def number_in(row: Mapping[str, Any], column: str, where: str) -> float | None:
    """Return the number in a cell, written as a number or as text; None for null, empty and NaN."""
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {column} is {value!r}, wanted a number") from error
    return found if math.isfinite(found) else None
