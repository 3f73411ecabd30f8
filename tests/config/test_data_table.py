"""docs/data.md: its files are what it says, and its table of what is accepted and refused is performed."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.config.load import load_comparison
from bench.core.datasets import read_demonstrations, read_preferences, read_prompts, read_unpaired
from bench.core.errors import ConfigError
from bench.core.row_formats.listing import FORMATS, PLAIN
from bench.core.stage import Stage

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`\n```\w+\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
LINE = re.compile(
    r"^\| `([\w.]+)` \| (\w+) \| (?:`(.*?)`)? ?\| (accepted|refused)(?: as `(\w+)`)?: (.*?) \|$", re.MULTILINE
)
TABLE = LINE.findall(TEXT[TEXT.index("## Accepted and refused") :])
COMPARISON = """\
question: Is this file taken?
given:
  base: {{world: ./world.py, size: small}}
  {role}: {{path: {name}{settings}}}
  seeds: [0]
methods:
  floor: {{method: ./floor.py}}
evaluate:
  tasks: [./task.py]
"""
READ = {"demonstrations": read_demonstrations, "preferences": read_preferences, "prompts": read_prompts}


class NoStages:
    def read(self, stage: Stage) -> Path:
        raise AssertionError(stage)


def arrow(rows: list[dict[str, Any]], folder: Path) -> None:
    """What ``save_to_disk`` writes."""
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text("{}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, and those that are made of them."""
    place = tmp_path_factory.mktemp("data") / "files"
    place.mkdir()
    for name, content in FILES.items():
        (place / name).write_text(content, encoding="utf-8")
    lines = FILES["pairs.jsonl"]
    rows = [{"prompt": f"{number}", "chosen": "a", "rejected": "b"} for number in range(2)]
    (place / "pairs.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (place / "pairs.jsonl.bz2").write_bytes(bz2.compress(lines.encode()))
    with pa.output_stream(str(place / "pairs.jsonl.zst"), compression="zstd") as packed:
        packed.write(lines.encode())
    pq.write_table(pa.Table.from_pylist(rows), place / "pairs.parquet")
    (place / "demonstrations.tsv").write_text("prompt\tresponse\na\tb, c\nd\te\n")
    (place / "nested.json").write_text(json.dumps({"version": 1, "data": rows, "tags": ["x"]}))
    (place / "columnar.json").write_text(json.dumps({name: [row[name] for row in rows] for name in rows[0]}))
    (place / "bom.jsonl").write_bytes(codecs.BOM_UTF8 + lines.encode())
    (place / "pairs.txt").write_text(lines)
    (place / "latin1.jsonl").write_bytes(lines.encode() + '{"prompt": "caf\xe9"}\n'.encode("latin-1"))
    (place / "written_out.csv").write_text("prompt,chosen,rejected\na,\"[{'role': 'user', 'content': 'b'}]\",c\n")
    (place / "null.jsonl").write_text(lines + '{"prompt": "a", "chosen": null, "rejected": "b"}\n')
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    (place / "tool.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "a"}, call]}))
    turns = json.loads(FILES["chats.jsonl"])
    (place / "both.jsonl").write_text(json.dumps({**turns, "prompt": "a", "completion": "b"}))
    (place / "neither.jsonl").write_text(json.dumps({"question": "a", "good": "b", "bad": "c"}))
    for folder in ("shards", "mixed"):
        (place / folder).mkdir()
        (place / folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), place / "shards" / "a.parquet")
    (place / "mixed" / "a.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c", "score": 1}\n')
    arrow(rows, place / "saved")
    for split in ("train", "test"):
        arrow(rows, place / "saved_splits" / split)
    (place / "saved_splits" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return place


def test_the_page_has_every_format() -> None:
    assert len(TABLE) == 53 == TEXT[TEXT.index("## Accepted and refused") :].count("\n| `")
    shown = {name for *_, name, _ in TABLE}
    assert shown - {""} == {PLAIN, *(one.name for one in FORMATS)}
    assert len(FORMATS) == 25
    assert set(re.findall(r"`(\w+)`", TEXT)) >= {one.name for one in FORMATS}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(filter(None, row[:2])))
def test_the_table_is_true(row: tuple[str, str, str, str, str, str], files: Path, place: Path) -> None:
    name, role, settings, fate, found, told = row
    more = f", {settings}" if settings else ""
    comparison = place / "comparison.yaml"
    comparison.write_text(COMPARISON.format(role=role, name=files / name, settings=more))
    if fate == "refused":
        with pytest.raises(ConfigError) as caught:
            load_comparison(comparison)
        assert told in str(caught.value)
        return
    data = getattr(load_comparison(comparison).given, role)
    assert (data.format or PLAIN) == found
    read = read_unpaired if found == "unpaired" else READ[role]
    assert f"{len(read(data, NoStages()))} row" == told.removesuffix("s")
