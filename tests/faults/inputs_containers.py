"""Folders and packed files that nobody can train on."""

from __future__ import annotations

import bz2
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults._inputs import COMPARISON, ROWS, comparison, planning
from tests.faults.case import Case

TITLE = "folders and packed files that cannot be used"
IN_SUITE = 4
STATE = {"_data_files": [{"filename": "data.arrow"}]}
TURNS = '{"prompt": "a", "response": "b", "more": 1}\n'


def cases() -> list[Case]:
    """Return the cases."""
    return [planning(f"container: {name}", _at(*made)) for name, made in CONTAINERS.items()]


def _at(name: str, put: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Return what makes a comparison of data of that name, which ``put`` writes."""

    def make(folder: Path) -> Path:
        place = comparison(folder, COMPARISON.replace("rows.jsonl", name), None)
        put(place / name)
        return place

    return make


def _folder(files: dict[str, str | bytes]) -> tuple[str, Callable[[Path], object]]:
    """Return a folder with these files."""

    def put(folder: Path) -> None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return "rows", put


def _pipe(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.jsonl").write_text(ROWS)
    os.mkfifo(folder / "b.jsonl")


def _circle(folder: Path) -> None:
    folder.mkdir()
    (folder / "data").symlink_to(folder, target_is_directory=True)


def _zstd(text: bytes, keep: float = 1.0) -> Callable[[Path], object]:
    def put(file: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415

        with pa.output_stream(str(file), compression="zstd") as packed:
            packed.write(text)
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * keep)])

    return put


def _arrow(columns: list[str], keep: float = 1.0) -> bytes:
    import pyarrow as pa  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    table = pa.Table.from_arrays([pa.array(["a"] * 1000)] * len(columns), names=columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content[: int(len(content) * keep)]


def _written(content: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content())


BOMB = b'{"prompt": "a", "response": "' + b"b" * 200_000_000 + b'"}\n'
CONTAINERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "bz2 that is none": ("rows.jsonl.bz2", _written(lambda: b"none")),
    "bz2 cut off": ("rows.jsonl.bz2", _written(lambda: bz2.compress(ROWS.encode() * 5000)[:60])),
    "bz2 of one letter": ("rows.jsonl.bz2", _written(lambda: bz2.compress(BOMB))),
    "bz2 of nothing": ("rows.jsonl.bz2", _written(lambda: bz2.compress(b""))),
    "zst that is none": ("rows.jsonl.zst", _written(lambda: b"none")),
    "zst cut off": ("rows.jsonl.zst", _zstd(ROWS.encode() * 5000, 0.5)),
    "zst of one letter": ("rows.jsonl.zst", _zstd(BOMB)),
    "zst of nothing": ("rows.csv.zst", _zstd(b"")),
    "tsv with commas": ("rows.tsv", _written(lambda: b"prompt,response\na,b\n")),
    "a text file": ("rows.txt", _written(ROWS.encode)),
    "arrow that is none": ("rows.arrow", _written(lambda: b"none of it" * 100)),
    "arrow of nothing": ("rows.arrow", _written(lambda: b"")),
    "arrow that begins as one": ("rows.arrow", _written(lambda: b"ARROW1" + b"\x00" * 500)),
    "arrow cut off": ("rows.arrow", _written(lambda: _arrow(["prompt", "response"], 0.7))),
    "arrow with a column twice": ("rows.arrow", _written(lambda: _arrow(["prompt", "response", "response"]))),
    "arrow of other columns": ("rows.arrow", _written(lambda: _arrow(["a", "b"]))),
    "a folder without files": _folder({}),
    "a folder of text": _folder({"README.md": "# A", "notes.txt": "a"}),
    "a folder of two kinds": _folder({"a.jsonl": ROWS, "b.jsonl": TURNS}),
    "a folder with a wrong row": _folder({"a.jsonl": ROWS, "b.jsonl": ROWS + '{"prompt": 1, "response": 2}\n'}),
    "a folder with an empty file": _folder({"a.jsonl": ROWS, "b.jsonl": ""}),
    "a folder of splits": _folder({"train.jsonl": ROWS, "test.jsonl": ROWS}),
    "a folder with a shard less": _folder({"train-00000-of-00002.jsonl": ROWS}),
    "a folder with a pipe": ("rows", _pipe),
    "a folder in itself": ("rows", _circle),
    "saved without state": _folder({"state.json": "", "data.arrow": b""}),
    "saved as a list": _folder({"state.json": "[]"}),
    "saved deep": _folder({"state.json": "[" * 100_000}),
    "saved elsewhere": _folder({"state.json": json.dumps({"_data_files": [{"filename": "../../x.arrow"}]})}),
    "saved and gone": _folder({"state.json": json.dumps(STATE)}),
    "saved by indices": _folder(
        {"state.json": json.dumps({**STATE, "_indices_data_files": [{"filename": "i.arrow"}]})}
    ),
    "splits without names": _folder({"dataset_dict.json": '{"splits": []}'}),
    "splits of numbers": _folder({"dataset_dict.json": '{"splits": [1]}'}),
    "splits that are not there": _folder({"dataset_dict.json": '{"splits": ["train"]}'}),
}
