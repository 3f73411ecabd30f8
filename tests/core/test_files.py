"""Files that take the place of others in one rename, whoever else writes them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from bench.core.files import PARTIAL, lives, remove_partials, replacing
from tests import spawned


def write_often(path: Path, text: str, times: int) -> None:
    for _ in range(times):
        with replacing(path) as partial:
            partial.write_text(text)


def write_and_hang(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_text("half")
        time.sleep(600)


def test_many_writers_of_one_file_never_fail_and_leave_a_whole_one(tmp_path: Path) -> None:
    path, texts = tmp_path / "file.json", [letter * 100_000 for letter in "abc"]
    writers = [spawned.start(write_often, path, text, 48) for text in texts]
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert path.read_text() in texts
    assert [left.name for left in tmp_path.iterdir()] == ["file.json"]


def test_what_ends_in_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)  # a name that leaves no room for a longer one
    write_often(path, "old", 1)
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_writer_left_is_removed_and_what_one_writes_now_is_not(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    living, dead = (spawned.start(write_and_hang, tmp_path / where) for where in ("a.json", "plots/b.png"))
    until = time.monotonic() + 60
    while len(list(tmp_path.rglob(f".*{PARTIAL}"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert dead.pid is not None
    os.kill(dead.pid, signal.SIGKILL)
    dead.join()
    (tmp_path / f".strange{PARTIAL}").write_text("of somebody else")
    remove_partials(tmp_path)
    left = [path.name for path in tmp_path.rglob(f".*{PARTIAL}")]
    assert len(left) == 2
    assert any(name.startswith(f".{living.pid}-") for name in left)
    living.kill()
    living.join()
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.rglob(f".*{PARTIAL}")] == [f".strange{PARTIAL}"]


def test_which_processes_live() -> None:
    assert lives(os.getpid())
    assert lives(1)
    assert not lives(2**22 + 7)  # above the highest number that Linux gives
    assert not lives(10**30)
