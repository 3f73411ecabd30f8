"""``bench store`` and ``prune``, where a store lies, and commands that wait for each other's results."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from bench.engine.store import STORE_VARIABLE, Store
from bench.results.held import holder_of
from bench.results.writing import LOCK_FILE, writing
from tests.cli.test_cli import bench, bench_sketched
from tests.engine.used_store import ROOT, comparison_beside, results_that_rest_on, stored, with_numbers
from tests.once import STORE


def some_store(root: Path) -> Store:
    """Four stages, two of which the results of a comparison rest on; and an answer that was paid for."""
    store = with_numbers(root, 4)
    results_that_rest_on(comparison_beside(store, "mine"), [0, 1])
    store.answers.mkdir()
    (store.answers / "answers.sqlite").write_bytes(b"paid")
    return store


def test_the_store_is_shown_by_kind_and_by_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = some_store(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = bench("store")
    assert said.returncode == 0
    assert "4 stages" in said.stdout
    assert "2 of its 2 stages are stored" in said.stdout
    assert "used by nobody: 2 stages" in said.stdout
    assert "paid answers: 4 bytes" in said.stdout
    found = [
        json.loads(bench("store", *where, "--json").stdout)
        for where in ([], ["results"], ["results/mine"], [store.root], ["show"], ["--store", store.root])
    ]
    assert all(one["store"] == str(store.root) for one in found)
    assert found[0]["kinds"]["test/number"]["stages"] == 4
    assert found[0]["unreachable"]["stages"] == 2
    assert found[0]["comparisons"][0] | {"bytes": 0, "own_bytes": 0} == {
        "path": str(tmp_path / "results" / "mine" / "comparison.yaml"),
        "there": True, "stages": 2, "stored": 2, "bytes": 0, "own_bytes": 0,
    }  # fmt: skip
    for arguments in (["nowhere"], ["--store", tmp_path / "nowhere"]):
        said = bench("store", *arguments)
        assert said.returncode == 2
        assert "there is no store" in said.stderr


def test_what_a_portable_run_computed_is_a_store_of_its_own(tmp_path: Path) -> None:
    store = some_store(tmp_path)
    assert "--portable" not in bench("store", store.root).stdout
    (store.portable.root / "test").mkdir(parents=True)
    shutil.move(store.root / "test" / "number", store.portable.root / "test" / "number")
    store.portable.prepare()
    (store.portable.root / ".uses").mkdir()
    said = bench("store", store.root).stdout
    assert "0 stages" in said
    assert f"bench store show {store.portable.root}" in said.replace("\n", "")
    assert json.loads(bench("store", store.portable.root, "--json").stdout)["stages"] == 4


def test_a_prune_asks_and_where_nobody_can_answer_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = some_store(tmp_path)
    said = bench("store", "prune", store.root)
    assert said.returncode == 2
    assert "--yes" in said.stderr
    said = bench("store", "prune", store.root, "--dry-run", "--answers")
    assert said.returncode == 0
    assert "used by nobody: 2 stages" in said.stdout
    assert "all paid answers" in said.stdout
    monkeypatch.setattr("bench.cli.store.asked", lambda _question: False)
    assert "nothing is removed" in bench("store", "prune", store.root).stdout
    assert stored(store, 4) == [0, 1, 2, 3]
    monkeypatch.setattr("bench.cli.store.asked", lambda _question: True)
    assert "removed: 2 stages" in bench("store", "prune", store.root).stdout
    assert stored(store, 4) == [0, 1]
    assert (store.answers / "answers.sqlite").is_file()
    assert bench("store", "prune", store.root, "--yes", "--answers").returncode == 0
    assert not store.answers.exists()
    assert stored(store, 4) == [0, 1]


def test_a_comparison_that_is_gone_is_named_and_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked = some_store(tmp_path), []
    (store.root / ".uses").mkdir()
    record = {"path": "/x/gone/comparison.yaml", "beside": None, "stages": dict.fromkeys(json.loads(
        (tmp_path / "results" / "mine" / "lock.json").read_text())["stages"], "test/number")}  # fmt: skip
    (store.root / ".uses" / "one.json").write_text(json.dumps(record))
    shutil.rmtree(tmp_path / "results" / "mine")
    said = bench("store", store.root)
    assert "gone/comparison.yaml" in said.stdout
    assert "asks about it" in said.stdout
    said = bench("store", "prune", store.root)
    assert said.returncode == 2
    assert "gone/comparison.yaml is not there any more" in said.stderr

    def answer(question: str) -> bool:
        asked.append(question)
        return "Remove this?" in question

    monkeypatch.setattr("bench.cli.store.asked", answer)
    bench("store", "prune", store.root)
    assert len(asked) == 2
    assert stored(store, 4) == [0, 1]
    assert bench("store", "prune", store.root, "--yes").returncode == 0
    assert stored(store, 4) == []
    assert not (store.root / ".uses" / "one.json").exists()


def test_a_store_lies_where_it_is_told_and_nothing_else_is_taken_for_one(
    tmp_path: Path, computed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = computed / "results" / "whole"
    monkeypatch.setenv(STORE_VARIABLE, str(computed / STORE))
    assert json.loads(bench("store", ROOT / "results" / "quickstart", "--json").stdout)["stages"] == 58
    monkeypatch.setenv(STORE_VARIABLE, str(folder))
    for arguments in (["plan", folder], ["run", folder], ["store"], ["store", "prune", "--yes"]):
        said = bench(*arguments)
        assert said.returncode == 2
        assert "something else than a store" in said.stderr
        assert len(said.stderr.strip().splitlines()) == 1
    monkeypatch.setenv(STORE_VARIABLE, "")
    need = json.loads(bench("plan", folder, "--store", tmp_path / "new", "--json").stdout)["disk"]
    kinds = [kind for kind in (computed / STORE).iterdir() if not kind.name.startswith(".")]
    real = sum(path.stat().st_size for kind in kinds for path in kind.rglob("*") if path.is_file())
    assert real / 2 < need["kept"] < real * 2
    assert [path.name for path in (tmp_path / "new").iterdir() if path.is_file()] == [".gitignore"]


@pytest.mark.parametrize("command", ["report", "baseline", "check", "export", "track"])
def test_commands_wait_for_whoever_writes_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder = tmp_path / "results" / "copy"  # of which there is no run yet, which is said after the wait
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "results" / "quickstart" / "comparison.yaml", folder)
    more = {"baseline": ["--reason", "a test", "--to", tmp_path / "b.json"], "track": ["--to", "tensorboard"]}
    release, held, told = threading.Event(), threading.Event(), []

    def write() -> None:
        with writing(folder, print):
            held.set()
            release.wait(60)

    def tell(line: str) -> None:
        told.append(line)
        release.set()

    monkeypatch.setattr("bench.cli.options.tell", tell)

    writer = threading.Thread(target=write)
    writer.start()
    held.wait(60)
    said = bench_sketched(command, folder, *more.get(command, []))
    release.set()
    writer.join()
    assert said.returncode == 2
    assert len(told) == 1, "it did not wait"
    assert told[0].startswith(f"another command (process {os.getpid()} on ")
    assert f"is writing the results in {folder}" in told[0]
    assert holder_of(folder / LOCK_FILE) is None
    assert not (folder / LOCK_FILE).exists()
