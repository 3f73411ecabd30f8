"""Rows of every format: one at a time, what is wrong told at once, and what is too large refused without reading it."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pytest

from bench.core.errors import DataError
from bench.core.formats import json_rows, unpacked
from bench.core.rows import all_read, placed_rows, read_rows, rows_or_errors

ROWS = [{"a": number, "b": "x" * number} for number in range(200)]


@pytest.mark.parametrize("chunk", [1, 7, 64, 1_000_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_is_the_same_in_whatever_pieces_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([*ROWS, 12, 3.5, None, "text", [1]], indent=indent) + "\n")
    assert list(read_rows(file, "rows.json")) == [*ROWS, 12, 3.5, None, "text", [1]]


COLUMNS = {name: [row[name] for row in ROWS] for name in ("a", "b")}
SHAPES = {
    "a list in a mapping": {"version": 1, "tags": ["x"], "about": {"a": [{"b": 1}]}, "data": ROWS, "end": None},
    "columns": COLUMNS,
    "columns of pandas": {name: {str(n): cell for n, cell in enumerate(cells)} for name, cells in COLUMNS.items()},
}


@pytest.mark.parametrize("chunk", [1, 64, 1_000_000])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_in_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, indent: int | None, chunk: int
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(SHAPES[shape], indent=indent))
    assert list(read_rows(file, "rows.json")) == ROWS


def test_packed_and_mapped_files_have_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.feather

    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / "rows.jsonl.bz2").write_bytes(bz2.compress(lines))
    with pa.output_stream(str(tmp_path / "rows.jsonl.zst"), compression="zstd") as packed:
        packed.write(lines)
    table = pa.Table.from_pylist(ROWS)
    with pa.ipc.new_stream(str(tmp_path / "stream.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    pyarrow.feather.write_feather(table, str(tmp_path / "index.arrow"), compression="uncompressed")
    (tmp_path / "rows.tsv").write_text("a\tb\n" + "".join(f"{row['a']}\t{row['b']}\n" for row in ROWS))
    for name in ("rows.jsonl.bz2", "rows.jsonl.zst", "stream.arrow", "index.arrow"):
        assert list(read_rows(tmp_path / name, name)) == ROWS
    assert list(read_rows(tmp_path / "rows.tsv", "rows.tsv"))[2] == {"a": "2", "b": "xx"}


@pytest.mark.parametrize("chunk", [1, 1_000_000])
def test_where_a_list_is_broken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    file = tmp_path / "rows.json"
    file.write_text('[\n{"a": 1},\n{"a": }\n]')
    with pytest.raises(DataError, match=r"rows\.json, line 3: not JSON \(Expecting value\)"):
        list(read_rows(file, "rows.json"))


def test_behind_a_wrong_row_reading_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n{\n{"a": 1, "a": 2}\n{"a": "\\ud800"}\n{"a": 3}\n')
    found = list(rows_or_errors(file, "rows.jsonl"))
    assert [place for place, _ in found] == [f"rows.jsonl, line {number}" for number in range(1, 6)]
    wrong = [str(row) for _, row in found if isinstance(row, DataError)]
    assert len(wrong) == 3
    assert "the key 'a' stands twice" in wrong[1]
    assert "half of a character" in wrong[2]
    assert [row for _, row in found if not isinstance(row, DataError)] == [{"a": 1}, {"a": 3}]
    with pytest.raises(DataError, match="line 2: not JSON"):
        list(placed_rows(file, "rows.jsonl"))


def test_ten_wrong_rows_are_shown_and_the_rest_counted() -> None:
    def read(row: int) -> int:
        if row % 2:
            raise DataError(f"f.csv, row {row}: odd")
        return row

    reading = all_read(range(40), read, "f.csv")
    assert [next(reading) for _ in range(20)] == list(range(0, 40, 2))
    with pytest.raises(DataError) as caught:
        next(reading)
    assert str(caught.value).startswith("f.csv: 20 rows cannot be used\n    row 1: odd\n    row 3: odd")
    assert str(caught.value).endswith("row 19: odd\n    and 10 more")
    with pytest.raises(DataError, match=r"^f\.csv, row 1: odd$"):
        list(all_read([1], read, "f.csv"))
    with pytest.raises(DataError, match="at least 1,000 rows"):
        list(all_read(range(1, 10**9, 2), read, "f.csv"))


def test_what_unpacks_to_far_more_than_rows_do_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "_ANY_SIZE", 10_000)
    file = tmp_path / "rows.jsonl.gz"
    row = b'{"a": 1}' + b" " * 20_000 + b"\n"
    file.write_bytes(gzip.compress(row * 1_100))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        next(read_rows(file, "rows.jsonl.gz"))
    # Many parts, of which only the last says its size.
    file.write_bytes(gzip.compress(row * 1_100) + gzip.compress(row))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        list(read_rows(file, "rows.jsonl.gz"))


def test_rows_that_repeat_themselves_are_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "_ANY_SIZE", 10_000)
    examples = "".join(f"{number}: {number**7}\n" for number in range(700))
    rows = [json.dumps({"prompt": f"{examples}{number}", "response": "b"}) + "\n" for number in range(300)]
    text = "".join([*rows, rows[0] * 100, '{"prompt": "a", "response": "b"}\n' * 20_000]).encode()
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(text))
    assert len(text) > 100 * file.stat().st_size
    assert len(list(read_rows(file, "rows.jsonl.gz"))) == 20_400


def test_a_long_row_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MOST_ROW", 1000)
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n{"a": "' + "x" * 2000 + '"}\n')
    with pytest.raises(DataError, match=r"line 2: longer than 1,000 bytes"):
        list(read_rows(file, "rows.jsonl"))
