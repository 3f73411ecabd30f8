"""What of a store is used, and by whom; and a prune, which removes the rest and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from bench.core.errors import BenchError
from bench.core.stage import LOCKS
from bench.engine.prune import Pruned, prunable, prune, refuse_unknown, remove_answers
from bench.engine.store import USES, Store, is_store
from bench.engine.uses import RUNNING, in_use, used
from tests.engine.used_store import comparison_beside, number, odd_key, results_that_rest_on, stored, with_numbers


def run_of(store: Store, file: Path, values: list[int]) -> None:
    """Do what a run does before and after it computes: it records what it uses."""
    with in_use(store, file, {number(value).key: number(value) for value in values}, print):
        pass


def pruned(store: Store) -> Pruned:
    """Prune without asking; comparisons that are gone need nothing any more."""
    known = used(store)
    return prune(store, prunable(store, known, [user for user in known.users if not user.there]), print)


def test_what_the_last_run_asked_for_and_what_lies_there_rests_on_is_kept(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 8)
    mine, old = comparison_beside(store, "mine"), comparison_beside(store, "old")
    results_that_rest_on(old, [0, 1])  # from before there were records
    results_that_rest_on(mine, [1, 2])
    run_of(store, mine, [5, 6])
    run_of(store, mine, [3, 4])  # the last run, interrupted: its results are those of an earlier one
    assert {user.path: len(user.keys) for user in used(store).users} == {mine: 4, old: 2}
    done = pruned(store)
    assert (done.artefacts, done.kept) == (3, [])
    assert done.size > 0
    assert stored(store, 8) == [0, 1, 2, 3, 4]
    assert pruned(store).artefacts == 0


def test_results_alone_keep_their_stages_and_a_comparison_that_is_gone_is_asked_about(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 4)
    gone, left = comparison_beside(store, "gone"), comparison_beside(store, "left")
    run_of(store, gone, [0, 1])
    run_of(store, left, [1, 2])
    results_that_rest_on(left, [1])
    left.unlink()  # its results are still there
    shutil.rmtree(gone.parent)
    known = used(store)
    assert {user.path.parent.name: user.there for user in known.users} == {"gone": False, "left": True}
    assert prune(store, prunable(store, known), print).artefacts == 1  # the answer was no
    assert stored(store, 4) == [0, 1, 2]
    assert pruned(store).artefacts == 1
    assert stored(store, 4) == [1, 2]
    assert [user.path.parent.name for user in used(store).users] == ["left"]


def test_a_tree_that_is_moved_whole_keeps_what_it_uses(tmp_path: Path) -> None:
    store = with_numbers(tmp_path / "here", 3)
    run_of(store, comparison_beside(store, "mine"), [0])
    (tmp_path / "here").rename(tmp_path / "there")
    moved = Store(tmp_path / "there" / "results" / ".store")
    assert [user.there for user in used(moved).users] == [True]
    copy = Store(shutil.copytree(moved.root, tmp_path / "copy"))
    assert [user.there for user in used(copy).users] == [False]  # what it was beside is not there
    (tmp_path / "there").rename(tmp_path / "here")
    assert [user.there for user in used(copy).users] == [True]
    assert pruned(copy).artefacts == 2
    assert stored(copy, 3) == [0]


def test_a_run_that_goes_on_keeps_its_stages_whatever_is_recorded_meanwhile(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 4)
    mine = comparison_beside(store, "mine")
    work = store.root / ".work" / number(9).key / "scratch"
    work.mkdir(parents=True)
    with in_use(store, mine, {number(value).key: number(value) for value in (0, 1, 9)}, print):
        run_of(store, mine, [2])  # the same comparison with another setting, beside it
        assert len(used(store).running) == 1
        assert str(mine) in next(iter(used(store).running))
        (store.root / ".logs").mkdir()
        (store.root / ".logs" / "worker-0.log").write_text("at work")
        assert pruned(store).artefacts == 1
        assert work.is_dir()
        assert (store.root / ".logs" / "worker-0.log").is_file()
    assert not list((store.root / USES).glob(f"{RUNNING}*"))
    assert stored(store, 4) == [0, 1, 2]
    pruned(store)
    assert stored(store, 4) == [2]
    assert not work.is_dir()


def test_a_stage_that_is_computed_now_stays_and_is_named(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 2)
    with store.lock(number(0)):
        done = pruned(store)
    assert stored(store, 2) == [0]
    assert any("it is being computed" in line for line in done.kept)


def test_leftovers_go_and_checkpoints_to_go_on_from_stay(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 2)
    mine = comparison_beside(store, "mine")
    run_of(store, mine, [0, 7])
    for key, kept in ((number(7).key, True), (number(0).key, False), (odd_key("old"), False)):
        (store.root / ".work" / key / "scratch").mkdir(parents=True)
        (store.root / ".work" / key / "scratch" / "kept").write_text(str(kept))
    for name in (".damaged/a-1", ".removed/b"):
        (store.root / name).mkdir(parents=True)
        (store.root / name / "file").write_text("x" * 10)
    (store.root / ".logs").mkdir()
    (store.root / ".logs" / "worker-0.log").write_text("of a worker")
    (store.root / USES / f"{RUNNING}of-a-killed-run").write_text("{}")
    (store.root / ".lengths").mkdir()
    (store.root / ".lengths" / "kept.json").write_text("{}")
    (store.root / ".lengths" / f".{2**22 + 7}-0.partial").write_text("{")
    (store.root / "notes.txt").write_text("mine")  # whatever else lies there
    pruned(store)
    left = {path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()}
    record = next(iter((store.root / USES).glob("*.json"))).name
    assert left == {
        ".gitignore",
        f".uses/{record}",
        ".lengths/kept.json",
        f".work/{number(7).key}/scratch/kept",
        f"test/number/{number(0).key}/manifest.json",
        f"test/number/{number(0).key}/value.txt",
        "notes.txt",
    }


def test_nothing_goes_while_it_is_not_known_what_is_used(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 2)
    mine, other = comparison_beside(store, "mine"), comparison_beside(store, "other")
    run_of(store, mine, [0])
    agreed = prunable(store, used(store))
    (other.parent / "lock.json").write_text('{"stages": ')
    with pytest.raises(BenchError, match="not known what is used") as raised:
        refuse_unknown(used(store))
    assert "lock.json" in str(raised.value)
    with pytest.raises(BenchError, match="not known what is used"):
        prune(store, agreed, print)
    (other.parent / "lock.json").unlink()
    for text in ("", "[]", '{"path": "x"}', "\x00" * 100, "[" * 10_000):
        (store.root / USES / "odd.json").write_text(text)
        with pytest.raises(BenchError, match=r"odd\.json"):
            prune(store, agreed, print)
    assert stored(store, 2) == [0, 1]


def test_what_cannot_be_removed_is_told_and_the_rest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = with_numbers(tmp_path, 3)
    fixed = store.place(number(1))

    def rename(path: Path, target: Path) -> Path:
        if path == fixed:
            raise PermissionError(1, "not permitted")
        path.replace(target)
        return target

    monkeypatch.setattr(Path, "rename", rename)
    done = pruned(store)
    assert (done.artefacts, stored(store, 3)) == (2, [1])
    assert done.failed == [f"test/number/{number(1).key}: it cannot be removed (not permitted)"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 1)
    (store.root / USES).write_text("a file")
    with pytest.raises(BenchError, match="no folder can be made there"):
        run_of(store, comparison_beside(store, "mine"), [0])
    (store.root / USES).unlink()
    (store.root / USES / "pruning").mkdir(parents=True)
    with pytest.raises(BenchError, match="cannot be written"):
        run_of(store, comparison_beside(store, "mine"), [0])


def test_a_run_whose_record_cannot_be_read_is_waited_for(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 1)
    with in_use(store, comparison_beside(store, "mine"), {}, print):
        running = next((store.root / USES).glob(f"{RUNNING}*"))
        running.write_text('{"process": 1, "host": "h", "since": "s", "facts": {}}')
        with pytest.raises(BenchError, match="a run goes on"):
            pruned(store)
    assert pruned(store).artefacts == 1


def test_paid_answers_go_only_by_name_and_not_while_somebody_asks(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 1)
    answers = store.answers / "answers.sqlite"
    (store.answers / "askers").mkdir(parents=True)
    answers.write_bytes(b"paid")
    pruned(store)
    assert stored(store, 1) == []
    assert answers.read_bytes() == b"paid"
    with FileLock(store.answers / "askers" / "one.lock"), pytest.raises(BenchError, match="asks just now"):
        remove_answers(store, print)
    mine = comparison_beside(store, "mine")
    with in_use(store, mine, {}, print), pytest.raises(BenchError, match="a run that goes on"):
        remove_answers(store, print)
    assert answers.is_file()
    assert remove_answers(store, print) >= 4
    assert not store.answers.exists()


def test_a_store_keeps_itself_out_of_a_repository_and_is_known_by_what_it_has(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "store")
    store.prepare()
    assert (store.root / ".gitignore").read_text().endswith("\n*\n")
    (store.root / ".gitignore").write_text("mine\n")
    run_of(store, tmp_path / "comparison.yaml", [1])
    assert (store.root / ".gitignore").read_text() == "mine\n"
    assert is_store(store.root)
    record = json.loads(next((store.root / USES).glob("*.json")).read_text())
    assert record == {
        "path": str(tmp_path / "comparison.yaml"), "beside": None, "stages": {number(1).key: "test/number"}
    }  # fmt: skip
    assert not is_store(tmp_path)


def test_what_stands_in_a_record_is_told_or_not_known_and_never_waited_for(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 1)
    mine = comparison_beside(store, "mine")
    run_of(store, mine, [0])
    (record,) = (store.root / USES).glob("*.json")
    named = json.loads(record.read_text())
    record.write_text(json.dumps({**named, "path": "/" + "b" * 5_000, "beside": None}))  # longer than a name may be
    assert [user.there for user in used(store).users] == [False]
    record.unlink()
    os.mkfifo(record)
    assert len(used(store).unknown) == 1
    record.unlink()
    record.mkdir()
    with pytest.raises(BenchError, match="a folder stands where runs record"):
        run_of(store, mine, [0])


def test_tokens_go_unless_a_run_uses_them_or_they_are_just_made(tmp_path: Path) -> None:
    store = with_numbers(tmp_path, 1)
    mine = comparison_beside(store, "mine")
    made, written = store.tokens / ("a" * 64), store.tokens / ("b" * 64)
    for folder in (made, written):
        folder.mkdir(parents=True)
        (folder / "ids_flat.bin").write_bytes(bytes(1000))
    with in_use(store, mine, {number(0).key: number(0)}, print):
        assert prunable(store, used(store)).leftovers == ()
    with FileLock(store.root / LOCKS / f"{written.name}.lock"):
        done = pruned(store)
    assert f".tokens/{written.name}: it is being computed" in done.kept
    assert (made.exists(), written.exists()) == (False, True)
    assert pruned(store).size >= 1000
    assert not written.exists()
