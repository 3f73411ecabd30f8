"""Folders of files of rows: which files, of which split, in which order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.core.data import Data
from bench.core.datasets import read_preferences
from bench.core.errors import DataError
from bench.core.formats.folders import shards_in, split_of
from bench.core.row_formats.file_digests import digest_of_data
from bench.core.stage import Stage


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/train_prefs-00000-of-00001.parquet", "train_prefs"),
        ("data/validation-00000-of-00001.parquet", "validation"),
        ("my_train_file.csv.gz", "train"),
        ("train/0000.parquet", "train"),
        ("helpful-base/test.jsonl.gz", "test"),
        ("dev.json", "validation"),
        ("pairs.jsonl", None),
        ("restrain.jsonl", None),
        ("train_and_test.jsonl", None),
    ],
)
def test_what_a_name_says(name: str, split: str | None) -> None:
    assert split_of(name) == split


def put(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"prompt": name, "chosen": str(number), "rejected": "x"}) + "\n")


def test_files_are_found_sorted_and_what_has_no_rows_is_passed_over(tmp_path: Path) -> None:
    put(
        tmp_path,
        "b.jsonl",
        "a/z.jsonl",
        "a/b.csv.gz",
        ".hidden.jsonl",
        ".git/x.jsonl",
        "README.md",
        "dataset_infos.json",
    )
    assert shards_in(tmp_path, None, "f") == ("a/b.csv.gz", "a/z.jsonl", "b.jsonl")


def test_a_split_is_chosen(tmp_path: Path) -> None:
    put(tmp_path, "train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "test-00000-of-00001.jsonl")
    assert shards_in(tmp_path, "train", "f") == ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl")
    with pytest.raises(DataError, match="f: holds the splits test, train\nsay which: `split: train`"):
        shards_in(tmp_path, None, "f")
    (tmp_path / "train-00001-of-00002.jsonl").unlink()
    with pytest.raises(DataError, match=r"has 1 of the 2 files train-\.\.\.-of-00002"):
        shards_in(tmp_path, "train", "f")


def test_rows_of_shards_are_numbered_through_and_their_bytes_counted(tmp_path: Path) -> None:
    class NoStages:
        def read(self, stage: Stage) -> Path:
            raise AssertionError(stage)

    put(tmp_path, "a.jsonl", "b.jsonl")
    data = Data(path=str(tmp_path), digest="", files=shards_in(tmp_path, None, "f"))
    data = data.model_copy(update={"digest": digest_of_data(data)})
    assert [(row.id, row.chosen) for row in read_preferences(data, NoStages())] == [("1", "0"), ("2", "1")]
    put(tmp_path, "README.md")  # nothing that is read
    assert read_preferences(data, NoStages())
    (tmp_path / "b.jsonl").write_text('{"prompt": "a", "chosen": null, "rejected": "b"}\n')
    with pytest.raises(DataError, match="its bytes have changed"):
        read_preferences(data, NoStages())
    data = data.model_copy(update={"digest": digest_of_data(data)})
    with pytest.raises(DataError, match=r"/b\.jsonl, row 1: chosen is null"):
        read_preferences(data, NoStages())
