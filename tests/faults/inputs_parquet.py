"""Parquet files that nobody can train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults._inputs import COMPARISON, comparison, planning
from tests.faults.case import Case

TITLE = "Parquet files that cannot be used"
IN_SUITE = 2


def cases() -> list[Case]:
    """Return the cases."""
    return [planning(f"parquet: {name}", _parquet(write)) for name, write in PARQUET.items()]


def _write_table(columns: dict[str, list[Any]], **types: Any) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        pq.write_table(pa.table({name: pa.array(cells, types.get(name)) for name, cells in columns.items()}), file)

    return write


def _two_of_a_name(file: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = [pa.array(["a"]), pa.array(["b"]), pa.array(["c"])]
    pq.write_table(pa.Table.from_arrays(columns, ["prompt", "prompt", "response"]), file)


def _cut_table(keep: float) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        _write_table({"prompt": ["a"] * 1000, "response": [str(n) for n in range(1000)]})(file)
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * keep)] + (content[-8:] if keep > 0.5 else b""))

    return write


def _flipped_table(file: Path) -> None:
    _write_table({"prompt": [str(n) for n in range(1000)], "response": [str(n) for n in range(1000)]})(file)
    content = bytearray(file.read_bytes())
    content[20:400] = bytes(380)
    file.write_bytes(content)


def _binary_table(file: Path) -> None:
    _write_table({"prompt": [b"\xff\xfe"], "response": [b"b"]})(file)


def _not_text_table(file: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    pq.write_table(pa.table({"prompt": text, "response": pa.array(["b"])}), file)


def _far_dates(file: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    times = pa.array([2**62], pa.int64()).cast(pa.timestamp("us"))
    pq.write_table(pa.table({"prompt": pa.array(["a"]), "response": times}), file)


def _long_column(file: Path) -> None:
    """Two hundred million equal cells in a file of some kilobytes."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema([("prompt", pa.int8()), ("response", pa.int8())])
    block = pa.table({name: pa.array([0], pa.int8()).take(pa.array([0] * 1_000_000)) for name in schema.names})
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for _ in range(60):
            writer.write_table(block)


PARQUET: dict[str, Callable[[Path], None]] = {
    "empty file": lambda file: file.write_bytes(b"") and None,
    "only the mark": lambda file: file.write_bytes(b"PAR1") and None,
    "text": lambda file: file.write_text("hello " * 100) and None,
    "zeros": lambda file: file.write_bytes(b"\0" * 10_000) and None,
    "no rows": _write_table({"prompt": [], "response": []}),
    "half": _cut_table(0.5),
    "cut in the middle": _cut_table(0.9),
    "zeroed pages": _flipped_table,
    "two of a name": _two_of_a_name,
    "null": _write_table({"prompt": ["a", None], "response": ["b", "c"]}),
    "numbers": _write_table({"prompt": [1, 2], "response": ["b", "c"]}),
    "bytes": _binary_table,
    "text that is none": _not_text_table,
    "dates beyond all years": _far_dates,
    "lists": _write_table({"prompt": [["a"]], "response": ["b"]}),
    "other columns": _write_table({"x": [1]}),
    "wrong cells without end": _long_column,
}


def _parquet(write: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = comparison(folder, COMPARISON.replace("rows.jsonl", "rows.parquet"), None)
        write(place / "rows.parquet")
        return place

    return make
