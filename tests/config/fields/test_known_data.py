"""Rows that were right once are not looked at again, until their bytes or how they are read change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.config.fields import data_sources
from bench.config.fields.known_data import FilesKnown
from bench.config.load import load_comparison
from bench.core import datasets
from bench.core.data import Data
from bench.core.datasets import row_with_margin, rows_known
from bench.core.errors import ConfigError
from bench.core.row_formats import row_facts
from tests.whole import write_whole


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of which all rows are looked at; what this process knows of any is forgotten."""
    found: list[str] = []
    whole, rows = data_sources.check_rows, datasets._rows
    monkeypatch.setattr(
        data_sources, "check_rows", lambda data, *rest: (found.append(Path(data.path).name), whole(data, *rest))[1]
    )
    monkeypatch.setattr(datasets, "_rows", lambda data: (found.append("again"), rows(data))[1])
    monkeypatch.setattr(row_facts, "_FACTS", {})
    return found


def planned(folder: Path, kept: Path) -> tuple[Data, Data]:
    row_facts._FACTS.clear()  # as in another process
    files = FilesKnown(kept)
    given = load_comparison(folder, files=files).given
    files.keep()
    assert isinstance(given.demonstrations, Data)
    assert isinstance(given.preferences, Data)
    return given.demonstrations, given.preferences


def test_a_second_plan_looks_at_no_row(tmp_path: Path, looks: list[str]) -> None:
    folder, kept = write_whole(tmp_path / "one"), tmp_path / "kept"
    first = planned(folder, kept)
    assert sorted(looks) == ["demonstrations.jsonl", "preferences.jsonl"]
    assert planned(folder, kept) == first
    assert (row_with_margin(first[1]), rows_known(first[1])) == (None, 8)
    assert len(looks) == 2
    elsewhere = planned(write_whole(tmp_path / "other"), kept)  # the same bytes in another place
    assert [one.path for one in elsewhere] != [one.path for one in first]
    assert len(looks) == 2


def test_other_bytes_and_settings_and_what_is_damaged_are_looked_at(tmp_path: Path, looks: list[str]) -> None:
    folder, kept = write_whole(tmp_path), tmp_path / "kept"
    planned(folder, kept)
    file = tmp_path / "preferences.jsonl"
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c", "margin": 2}) + "\n")
    _, preferences = planned(folder, kept)
    assert looks[2:] == ["preferences.jsonl"]
    _, again = planned(folder, kept)
    assert (row_with_margin(again), rows_known(again)) == (9, 9)
    assert again == preferences
    text = (folder / "comparison.yaml").read_text(encoding="utf-8")
    (folder / "comparison.yaml").write_text(
        text.replace("preferences.jsonl}", "preferences.jsonl, limit: 3}"), encoding="utf-8"
    )
    planned(folder, kept)
    assert looks[3:] == ["preferences.jsonl"]
    for path in kept.iterdir():
        path.write_text("{", encoding="utf-8")
    planned(folder, kept)
    assert sorted(looks[4:]) == ["demonstrations.jsonl", "preferences.jsonl"]


def test_wrong_rows_are_told_each_time(tmp_path: Path, looks: list[str]) -> None:
    folder, kept = write_whole(tmp_path), tmp_path / "kept"
    with (tmp_path / "preferences.jsonl").open("a", encoding="utf-8") as out:
        out.write('{"prompt": "a", "chosen": null, "rejected": "c"}\n')
    for _ in range(2):
        with pytest.raises(ConfigError, match="chosen is null"):
            planned(folder, kept)
    assert looks.count("preferences.jsonl") == 2
