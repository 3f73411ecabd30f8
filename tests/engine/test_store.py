"""The store: whole or absent, checked on reading, one writer per key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import DamagedArtefact, StageError
from bench.engine.execute import execute
from bench.engine.inline import InlineEngine
from bench.engine.manifest import MANIFEST
from bench.engine.store import Store
from tests.fakes import Fails, Number, Sum


def run(stage: Number | Sum | Fails, store: Store, damage: list[str] | None = None) -> bool:
    return execute(stage, store, "cpu", lambda _: None, (damage if damage is not None else []).append)


def test_a_finished_stage_is_found_and_not_computed_again(tmp_path: Path) -> None:
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    stage = Number(value=3, journal=str(journal))
    assert run(stage, store) is True
    assert run(stage, store) is False
    assert run(stage, Store(tmp_path / "store")) is False
    assert journal.read_text() == "3\n"
    manifest = store.find(stage)
    assert manifest is not None
    assert manifest.cost["examples"] == 1
    assert manifest.cost["seconds"] > 0
    assert set(manifest.provenance) >= {"packages", "platform", "started", "device", "threads", "revision"}


def test_a_manifest_tells_what_the_stage_was_made_of(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    number = Number(value=3, journal=str(tmp_path / "journal"))
    whole = Sum(parts=(number,))
    run(number, store)
    run(whole, store)
    body = json.loads((store.place(whole) / MANIFEST).read_text())
    assert body["inputs"] == {number.key: "test/number"}
    assert body["spec"]["parts"][0]["value"] == 3
    assert list(body["files"]) == ["value.txt"]


@pytest.mark.parametrize("harm", ["changed", "removed", "added", "manifest", "other_key"])
def test_damage_is_reported_set_aside_and_computed_again(tmp_path: Path, harm: str) -> None:
    stage = Number(value=3, journal=str(tmp_path / "journal"))
    run(stage, Store(tmp_path / "store"))
    folder = Store(tmp_path / "store").place(stage)
    if harm == "changed":
        (folder / "value.txt").write_text("4")
    elif harm == "removed":
        (folder / "value.txt").unlink()
    elif harm == "added":
        (folder / "extra.txt").write_text("x")
    elif harm == "manifest":
        (folder / MANIFEST).write_text("{")
    else:
        body = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps({**body, "key": "0" * 64}))
    with pytest.raises(DamagedArtefact):
        Store(tmp_path / "store").find(stage)
    told: list[str] = []
    store = Store(tmp_path / "store")
    assert run(stage, store, told) is True
    assert len(told) == 1
    assert "computed again" in told[0]
    assert (store.payload(stage) / "value.txt").read_text() == "3"
    assert len(list((tmp_path / "store" / ".damaged").iterdir())) == 1


def test_a_failed_stage_leaves_nothing_at_its_place(tmp_path: Path) -> None:
    store, stage = Store(tmp_path / "store"), Fails(how="error")
    with pytest.raises(StageError):
        run(stage, store)
    assert not store.place(stage).exists()
    assert store.find(stage) is None
    with pytest.raises(StageError, match="has not been computed yet"):
        store.payload(stage)


def test_payload_bytes_do_not_depend_on_leftovers_of_a_killed_attempt(tmp_path: Path) -> None:
    store, stage = Store(tmp_path / "store"), Number(value=3, journal=str(tmp_path / "journal"))
    (store.fresh_payload_folder(stage) / "leftover.txt").write_text("half")
    run(stage, store)
    assert [path.name for path in sorted(store.place(stage).iterdir())] == [MANIFEST, "value.txt"]
    assert not (tmp_path / "store" / ".work" / stage.key).exists()


def test_two_processes_compute_a_stage_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.fakes import Number;"
        "from bench.engine.store import Store; from bench.engine.execute import execute;"
        "stage = Number(value=7, journal=sys.argv[1], seconds=0.5);"
        "print(execute(stage, Store(Path(sys.argv[2])), 'cpu', lambda p: None, print))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "journal"), str(tmp_path / "store")]
    root = Path(__file__).resolve().parents[2]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(3)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert said == ["False", "False", "True"]
    assert (tmp_path / "journal").read_text() == "7\n"


def test_the_inline_engine_tells_progress_and_end(tmp_path: Path) -> None:
    engine = InlineEngine(Store(tmp_path / "store"))
    engine.start(Number(value=1, journal=str(tmp_path / "journal")), 0)
    names = []
    while (event := engine.next_event(0.0)) is not None:
        names.append(event.name)
    assert names == ["progress", "done"]
