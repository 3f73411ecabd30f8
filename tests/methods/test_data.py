"""Reading rows: formats, renaming, traps, and what an error says."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.data import Data, Made
from bench.core.datasets import read_demonstrations, read_preferences
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.policy import Message
from bench.core.stage import Stage, StageIO
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data


def put(path: Path, content: str | bytes, **fields: Any) -> Data:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Data(path=str(path), digest=digest_of_file(path), **fields)


def test_every_format_gives_the_same_rows(tmp_path: Path, bench: Bench) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in DEMONSTRATIONS)
    pq.write_table(pa.Table.from_pylist(DEMONSTRATIONS), tmp_path / "rows.parquet")
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["prompt", "response"])
        writer.writeheader()
        writer.writerows(DEMONSTRATIONS)
    found = [
        read_demonstrations(spec, bench.io())
        for spec in (
            put(tmp_path / "rows.jsonl", lines),
            put(tmp_path / "rows.jsonl.gz", gzip.compress(lines.encode())),
            put(tmp_path / "rows.json", json.dumps(DEMONSTRATIONS)),
            put(tmp_path / "rows.csv", (tmp_path / "rows.csv").read_bytes()),
            put(tmp_path / "rows.parquet", (tmp_path / "rows.parquet").read_bytes()),
        )
    ]
    assert len(found[0]) == len(DEMONSTRATIONS)
    assert found[0][1].response == "green tea."
    assert all(rows == found[0] for rows in found)


def test_columns_are_renamed_and_rows_limited(tmp_path: Path, bench: Bench) -> None:
    rows = [{"instruction": f"q{number}", "prompt": "no", "output": "yes", "id": f"r{number}"} for number in range(5)]
    spec = data(tmp_path / "rows.jsonl", rows, columns={"prompt": "instruction", "response": "output"}, limit=2)
    found = read_demonstrations(spec, bench.io())
    assert [(row.id, row.prompt[0].content, row.response) for row in found] == [
        ("r0", "q0", "yes"),
        ("r1", "q1", "yes"),
    ]


def test_a_line_separator_within_a_text_ends_no_row(tmp_path: Path, bench: Bench) -> None:
    text = "one\u2028two\x85three\x1cfour"
    spec = put(tmp_path / "rows.jsonl", json.dumps({"prompt": text, "response": "y"}, ensure_ascii=False) + "\r\n")
    assert read_demonstrations(spec, bench.io())[0].prompt[0].content == text


def test_a_prompt_may_be_a_chat(tmp_path: Path, bench: Bench) -> None:
    turns = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
    spec = data(tmp_path / "rows.jsonl", [{"prompt": turns, "chosen": "a", "rejected": "b"}])
    row = read_preferences(spec, bench.io())[0]
    assert row.prompt == (Message(role="system", content="be kind"), Message(role="user", content="hello"))
    assert (row.id, row.chosen, row.rejected) == ("1", "a", "b")


class MakeRows(Stage):
    KIND: ClassVar[str] = "test/rows"
    VERSION: ClassVar[int] = 1

    def run(self, io: StageIO) -> None:
        (io.out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PREFERENCES), encoding="utf-8")


def test_rows_that_a_stage_made(bench: Bench) -> None:
    assert len(read_preferences(Made(by=MakeRows(), limit=3), bench.io())) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            '{"prompt": "p", "respons": "r"}\n',
            r"a\.jsonl, row 1: no column 'response'.*Did you mean 'respons'",
        ),
        ("a.jsonl", '{"prompt": "p", "response": "r"}\n{"prompt"\n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"prompt": "p", "response": null}\n', "row 1: response is null"),
        ("a.jsonl", '{"prompt": 3, "response": "r"}\n', "row 1: prompt is int"),
        ("a.jsonl", '{"prompt": [], "response": "r"}\n', "row 1: prompt is empty"),
        ("a.jsonl", '{"prompt": [{"role": "robot", "content": "x"}], "response": "r"}\n', "row 1: prompt has a turn"),
        ("a.jsonl", "[1]\n", "row 1: list, wanted named columns"),
        ("a.jsonl", "\n\n", "no rows"),
        ("a.json", '{"prompt": "p"}', "wanted a list of rows"),
        ("a.json", "[{]", "line 1: not JSON"),
        ("a.csv", "prompt,response\na\n", "row 1: its number of cells"),
        ("a.xlsx", "x", r"format '\.xlsx' is not known"),
        ("a.jsonl", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, bench: Bench, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_demonstrations(put(tmp_path / name, content), bench.io())


def test_a_missing_or_changed_file(tmp_path: Path, bench: Bench) -> None:
    spec = data(tmp_path / "rows.jsonl", DEMONSTRATIONS)
    Path(spec.path).write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match="have changed since"):
        read_demonstrations(spec, bench.io())
    Path(spec.path).unlink()
    with pytest.raises(DataError, match="no such file"):
        read_demonstrations(spec, bench.io())
