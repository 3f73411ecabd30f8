"""Tests of the claims file: rows come back in canonical order, and a wrong file is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.errors import DataError
from bench.results.claims import CLAIMS, CLAIMS_SCHEMA


def _row(index: int, label: str = "supported") -> dict[str, object]:
    return {
        "task": "bios",
        "method": "sft",
        "run": 0,
        "prompt": "p",
        "draw": 0,
        "index": index,
        "text": "she sings",
        "start": None,
        "end": None,
        "label": label,
        "evidence": "",
    }


def test_rows_come_back_sorted(tmp_path: Path) -> None:
    CLAIMS.write(pa.Table.from_pylist([_row(1), _row(0, "irrelevant")], schema=CLAIMS_SCHEMA), tmp_path)
    found = CLAIMS.read(tmp_path).to_pylist()
    assert [(row["index"], row["label"]) for row in found] == [(0, "irrelevant"), (1, "supported")]


def test_no_file_is_no_claims(tmp_path: Path) -> None:
    assert CLAIMS.read(tmp_path).num_rows == 0


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.parquet"
    pq.write_table(pa.Table.from_pylist([_row(0, "true")], schema=CLAIMS_SCHEMA), path)
    with pytest.raises(DataError, match="unknown label .'true'."):
        CLAIMS.read(tmp_path)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.parquet"
    pq.write_table(pa.table({"claim": ["x"]}), path)
    with pytest.raises(DataError, match="columns"):
        CLAIMS.read(tmp_path)
