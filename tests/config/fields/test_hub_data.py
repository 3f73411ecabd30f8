"""Data of the hub: from caches on disk, offline, with the commit in the key."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import constants

from bench.config.comparison import Comparison
from bench.config.fields.files_read import FilesThatWereRead, Recorded
from bench.config.fields.named_files import FilesToRead
from bench.config.load import FILES_TO_READ, load_comparison
from bench.core.data import Data
from bench.core.errors import ConfigError
from bench.core.frozen import digest, digest_of_file
from bench.pipeline.lock import formats_of, hub_of
from tests.config.test_data_table import COMPARISON

COMMIT, OTHER = "a1" * 20, "b2" * 20
ROWS = [{"prompt": f"p{number}", "chosen": "a", "rejected": "b"} for number in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
README = """\
---
license: mit
configs:
- config_name: default
  data_files:
  - split: train_prefs
    path: data/train_prefs-*
  - split: test_prefs
    path: [data/test_prefs-*]
- config_name: small
  data_dir: small
---
# A data set
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the hub, which cannot be reached."""
    home = tmp_path / "hf"
    for name, value in {"HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), "HF_HUB_OFFLINE": True}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    return home


def cached(home: Path, repo: str, commit: str, files: dict[str, str], ref: str = "main") -> Path:
    """Write files as the hub's cache has them."""
    place = home / "hub" / f"datasets--{repo.replace('/', '--')}"
    for name, content in files.items():
        path = place / "snapshots" / commit / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / ref).write_text(commit)
    return place / "snapshots" / commit


FILES = {
    "README.md": README,
    "data/train_prefs-00000-of-00002.jsonl": LINES,
    "data/train_prefs-00001-of-00002.jsonl": LINES,
    "data/test_prefs-00000-of-00001.jsonl": LINES,
    "small/train.jsonl": LINES,
}


def load(place: Path, form: str, files: FilesToRead = FILES_TO_READ) -> Comparison:
    file = place / "comparison.yaml"
    file.write_text(COMPARISON.format(role="preferences", name="X", settings="").replace("{path: X}", form))
    return load_comparison(file, files=files)


def preferences(place: Path, form: str) -> Data:
    found = load(place, form).given.preferences
    assert isinstance(found, Data) and found.hub is not None
    return found


def test_a_split_is_read_from_the_cache_at_its_commit(place: Path, hub: Path) -> None:
    cached(hub, "org/prefs", COMMIT, FILES)
    found = preferences(place, "{repo: org/prefs, split: train_prefs}")
    assert found.files == tuple(sorted(name for name in FILES if "train_prefs" in name))
    assert found.hub is not None and (found.hub.commit, found.hub.asked) == (COMMIT, "main")
    by_commit = preferences(place, f"{{repo: org/prefs, split: train_prefs, revision: {COMMIT}}}")
    assert digest(by_commit) == digest(found)  # the key has the commit, and not how it was asked for
    small = preferences(place, "{repo: org/prefs, config: small, limit: 2}")
    assert (small.files, small.limit) == (("small/train.jsonl",), 2)
    cached(hub, "org/prefs", OTHER, FILES)  # the branch has moved on
    moved = preferences(place, "{repo: org/prefs, split: train_prefs}")
    assert moved.hub is not None and moved.hub.commit == OTHER
    assert digest(moved) != digest(found)


def test_a_repository_without_declared_files(place: Path, hub: Path) -> None:
    names = {"helpful-base/train.jsonl": LINES, "helpful-base/test.jsonl": LINES, "README.md": "# HH"}
    cached(hub, "org/hh", COMMIT, names)
    found = preferences(place, "{repo: org/hh, config: helpful-base, split: train}")
    assert found.files == ("helpful-base/train.jsonl",)


def test_what_datasets_has_prepared(place: Path, hub: Path) -> None:
    folder = hub / "datasets" / "org___help_steer2" / "default" / "0.0.0" / COMMIT
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(ROWS)
    for split in ("train", "validation"):
        with pa.ipc.new_stream(str(folder / f"help_steer2-{split}.arrow"), table.schema) as writer:
            writer.write_table(table)
    (folder / "dataset_info.json").write_text("{}")
    found = preferences(place, "{repo: org/HelpSteer2, split: validation}")
    assert found.files == ("help_steer2-validation.arrow",)
    assert found.hub is not None and found.hub.commit == COMMIT


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("{repo: org/prefs}", "holds the splits test_prefs, train_prefs"),
        ("{repo: org/prefs, split: train_pref}", "Did you mean 'train_prefs'?"),
        ("{repo: org/prefs, config: smal}", "Did you mean 'small'?"),
        (
            "{repo: org/prefs, split: train_prefs, revision: v2}",
            "hf download org/prefs --repo-type dataset --revision v2",
        ),
        ("{repo: org/none}", "not in the cache, and the hub cannot be reached"),
        ("{repo: org/script}", "made by a script, which is not run"),
        ("{repo: org/half, split: train}", "or has none in the cache"),
        ("{repo: org/part, split: train}", "has 1 of the 2 files data/train-...-of-00002"),
        ("{repo: no repository}", "is no repository name"),
        ("{repo: org/prefs, split: 3}", "must be text, not 3"),
        ("{repo: org/prefs, path: x}", "needs exactly one of"),
        ("{repo: org/bad, split: train}", "row 2: chosen is null"),
        ("{repo: org/prefs, split: train_prefs, format: chats}", "no format is called 'chats'"),
    ],
)
def test_what_cannot_be_had_is_told(form: str, words: str, place: Path, hub: Path) -> None:
    cached(hub, "org/prefs", COMMIT, FILES)
    cached(hub, "org/script", COMMIT, {"README.md": "# A", "script.py": "raise SystemExit"})
    half = "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: gone.jsonl}\n---\n"
    cached(hub, "org/half", COMMIT, {"README.md": half})
    cached(hub, "org/part", COMMIT, {"data/train-00001-of-00002.jsonl": LINES})
    null = json.dumps({**ROWS[0], "chosen": None})
    cached(hub, "org/bad", COMMIT, {"train.jsonl": LINES[: LINES.index("\n") + 1] + null})
    with pytest.raises(ConfigError) as caught:
        load(place, form)
    assert words in str(caught.value)


def test_a_finished_run_is_read_without_its_data(place: Path, hub: Path) -> None:
    """What a run has recorded stands for data that is not here, or has moved on: commits, digests, formats."""
    asked = {"role": "user", "content": "q"}
    chats = {name: [asked, {"role": "assistant", "content": name}] for name in ("chosen", "rejected")}
    snapshot = cached(hub, "org/chats", COMMIT, {"train.jsonl": json.dumps(chats)})
    (place / "chats.jsonl").write_text(json.dumps(chats))
    forms = ("{repo: org/chats}", "{path: chats.jsonl}", "{paths: [chats.jsonl, {repo: org/chats, weight: 2}]}")
    planned = [load(place, form) for form in forms]
    recorded = [
        Recorded({"chats.jsonl": digest_of_file(place / "chats.jsonl")}, formats=formats_of(one), hub=hub_of(one))
        for one in planned
    ]
    (place / "chats.jsonl").unlink()
    (snapshot / "train.jsonl").unlink()
    cached(hub, "org/chats", OTHER, {"train.jsonl": json.dumps(chats)})
    for form, before, known in zip(forms, planned, recorded, strict=True):
        again = load(place, form, FilesThatWereRead(known))
        assert digest(again.given.preferences) == digest(before.given.preferences)
