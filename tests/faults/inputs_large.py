"""Files of rows that are too large to be read whole: long lines, and much that was packed to little."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

from tests.faults._inputs import planning
from tests.faults.case import Case
from tests.faults.inputs_parquet import _write_table
from tests.faults.inputs_rows import LINE, _as

TITLE = "files of rows that are too large"
IN_SUITE = 0  # each takes seconds to write


def cases() -> list[Case]:
    """Return the cases."""
    return [planning(f"large: {name}", make) for name, make in LARGE.items()]


def _wide_cell(file: Path) -> None:
    _write_table({"prompt": ["a", "a"], "response": ["b", "b" * 300_000_000]})(file)


def _bomb(megabytes: int, line: bytes) -> Callable[[Path], object]:
    def put(file: Path) -> None:
        with gzip.open(file, "wb", compresslevel=6) as packed:
            packed.write(LINE.encode() + b"\n")
            block = line * (10**6 // len(line))
            for _ in range(megabytes):
                packed.write(block)

    return put


def _sparse(first: str, megabytes: int) -> Callable[[Path], object]:
    def put(file: Path) -> None:
        file.write_text(first)
        os.truncate(file, megabytes * 10**6)

    return put


def _long_line(first: str, piece: str, megabytes: int, end: str) -> Callable[[Path], object]:
    def put(file: Path) -> None:
        with file.open("w", encoding="utf-8") as to:
            to.write(first)
            for _ in range(megabytes):
                to.write(piece * (10**6 // len(piece)))
            to.write(end)

    return put


LARGE: dict[str, Callable[[Path], Path]] = {
    "300 MB line": _as("rows.jsonl", _long_line(LINE + '\n{"prompt": "', "a", 300, '", "response": "b"}\n')),
    "300 MB line of brackets": _as("rows.jsonl", _long_line(LINE + "\n", "[", 300, "\n")),
    "300 MB cell": _as("rows.csv", _long_line('prompt,response\na,b\n"', "a", 300, '",b\n')),
    "300 MB open quote": _as("rows.csv", _long_line('prompt,response\na,b\n"', "a,b\n", 300, "")),
    "300 MB head": _as("rows.csv", _long_line("", "a", 300, "\n")),
    "300 MB row": _as("rows.json", _long_line("[" + LINE + ', {"prompt": "', "a", 300, '", "response": "b"}]')),
    "300 MB of spaces": _as("rows.json", _long_line("[", " ", 300, LINE + "]x")),
    "300 MB wrong": _as("rows.jsonl", _long_line(LINE + "\n", '{"prompt": 3}\n', 300, "")),
    "300 MB parquet cell": _as("rows.parquet", _wide_cell),
    "10 GB of zeros": _as("rows.jsonl", _sparse(LINE + "\n", 10_000)),
    "10 GB of zeros, a table": _as("rows.csv", _sparse("prompt,response\na,b\n", 10_000)),
    "10 GB of zeros, a list": _as("rows.json", _sparse("[" + LINE, 10_000)),
    "bomb of one line": _as("rows.jsonl.gz", _bomb(1500, b"a")),
    "bomb of lines": _as("rows.jsonl.gz", _bomb(1500, b"\n")),
    "bomb of rows": _as("rows.jsonl.gz", _bomb(1500, LINE.encode() + b"\n")),
    "bomb of a table": _as("rows.csv.gz", _bomb(1500, b",\n")),
    "bomb of spaces": _as("rows.json.gz", _bomb(1500, b" ")),
    "bomb of a parquet file": _as("rows.parquet.gz", _bomb(1500, b"\0")),
}
