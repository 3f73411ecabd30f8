"""Every table and document of the committed results is read and written again: the same bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import DataError
from bench.results.annotations import ANNOTATIONS
from bench.results.baseline import BASELINE_FILE
from bench.results.claims import CLAIMS
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.documents import CHECKSUM, JsonFile
from bench.results.labels import LABELS
from bench.results.lock import LOCK
from bench.results.records import AUDIT, RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.summary import SUMMARY
from tests.awaiting import AWAITING

RESULTS = Path(__file__).resolve().parents[2] / "results"
TABLES = (RECORDS, AUDIT, RESPONSES, VERDICTS, CLAIMS, LABELS, ANNOTATIONS)
DOCUMENTS: tuple[JsonFile[Any], ...] = (SUMMARY, LOCK, CONCLUSIONS, BASELINE_FILE)
FILES = [
    pytest.param(kind, path.parent, id=f"{path.parent.name}/{kind.name}")
    for kind in (*TABLES, *DOCUMENTS)
    for path in sorted(RESULTS.glob(f"*/{kind.name}"))
    if path.parent.name not in AWAITING
]


@pytest.mark.parametrize(("kind", "folder"), FILES)
def test_a_committed_file_is_written_again_to_the_same_bytes(kind: Any, folder: Path, tmp_path: Path) -> None:
    kind.write(kind.read(folder), tmp_path)
    written, there = kind.path(tmp_path).read_bytes(), kind.path(folder).read_bytes()
    if CHECKSUM.encode() not in there:  # a file of an earlier version gets one
        written = re.sub(rb',\n "checksum": "\w{64}"(?=,?\n)', b"", written)
    assert written == there


def test_a_changed_byte_of_a_summary_is_noticed(tmp_path: Path) -> None:
    SUMMARY.write(SUMMARY.read(RESULTS / "quickstart"), tmp_path)
    file = SUMMARY.path(tmp_path)
    text = file.read_text(encoding="utf-8")
    place = text.index('"seconds": ') + len('"seconds": ')
    file.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :], encoding="utf-8")
    with pytest.raises(DataError, match="differs from its checksum"):
        SUMMARY.read(tmp_path)


def test_no_kind_of_file_is_left_out() -> None:
    assert len(FILES) + 7 * len(AWAITING) == 39 + 28
    assert len({kind.name for kind in (*TABLES, *DOCUMENTS)}) == 11
    known = {kind.name for kind in (*TABLES, *DOCUMENTS)}
    assert {path.name for path in RESULTS.glob("*/*.parquet")} <= known
    assert {path.name for path in RESULTS.glob("*/*.json")} <= known


@pytest.mark.parametrize("kind", [SUMMARY, LOCK, CONCLUSIONS, BASELINE_FILE], ids=lambda kind: kind.name)
@pytest.mark.parametrize("text", [None, "", "[", "[]", "{}", '{"name": 3}', "\x00\x01", "\ufeff{}"])
def test_what_is_no_document_says_how_it_is_made(kind: JsonFile[Any], text: str | None, tmp_path: Path) -> None:
    if text is not None:
        kind.path(tmp_path).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"(?s)" + kind.what + ".*bench (run|report|baseline)") as caught:
        kind.read(tmp_path)
    assert str(caught.value).startswith(f"{kind.path(tmp_path)}: ")
    assert str(caught.value).count("\n") == 0


def test_a_folder_in_the_place_of_a_document_is_told(tmp_path: Path) -> None:
    LOCK.path(tmp_path).mkdir()
    with pytest.raises(DataError, match="not a lock"):
        LOCK.read(tmp_path)


def test_only_a_required_table_is_missed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"Run `bench run {tmp_path}` first"):
        RECORDS.read(tmp_path)
    for table in TABLES[1:]:
        assert table.read(tmp_path).equals(table.schema.empty_table())
        assert table.find(tmp_path) is None
