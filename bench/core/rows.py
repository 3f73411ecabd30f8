"""Rows of a file: JSON Lines, JSON, CSV or Parquet, compressed or not, with errors that name the row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import DataError

FORMATS = (".jsonl", ".json", ".csv", ".parquet")


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
    if not path.is_file():
        raise DataError(f"{where}: no such file")
    packed = path.suffix == ".gz"
    kind = Path(path.stem).suffix if packed else path.suffix
    if kind not in FORMATS:
        raise DataError(f"{where}: the format {kind or 'without a suffix'!r} is not known; known: {', '.join(FORMATS)}")
    try:
        content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where}: cannot be read: cannot be unpacked ({error})") from error
    if kind == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415  only where it is used

        yield from _numbered(pq.read_table(io.BytesIO(content)).to_pylist(), where)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    yield from {".jsonl": _json_lines, ".json": _json_array, ".csv": _csv}[kind](text, where)


def _numbered(rows: Iterable[Any], where: str) -> Iterator[tuple[str, Any]]:
    return ((f"{where}, row {number}", row) for number, row in enumerate(rows, start=1))


def _json_lines(text: str, where: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): a JSON text may hold U+2028 and other characters that end a line for Python but not for JSON.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{where}, line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{where}, line {number}: not JSON ({error.msg} at column {error.colno})") from error


def _json_array(text: str, where: str) -> Iterator[tuple[str, Any]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}, line {error.lineno}: not JSON ({error.msg})") from error
    if not isinstance(rows, list):
        raise DataError(f"{where}: {kind_of(rows)}, wanted a list of rows")
    yield from _numbered(rows, where)


def _csv(text: str, where: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for number, row in enumerate(reader, start=1):
        # DictReader files surplus cells under None and missing cells as None.
        if None in row or None in row.values():
            raise DataError(f"{where}, row {number}: its number of cells differs from the head's")
        # Where the row ends: a cell in quotes may hold lines.
        yield f"{where}, line {reader.line_num}", row
