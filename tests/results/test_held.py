"""A file that somebody holds: one at a time, said who, free after a kill."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.core.machine_limits import MachineError
from bench.results.held import Holder, check_can_be_held, held, held_if_free, holder_of
from tests import spawned


def hold(path: Path, seconds: float) -> None:
    with held(path, {"what": "a test"}, lambda _holder: None):
        time.sleep(seconds)


def count_up(path: Path, number: Path, times: int) -> None:
    """Read a number and write the next one, as often as said: an increment is lost where two do it at once."""
    for _ in range(times):
        with held(path, {}, lambda _holder: None):
            number.write_text(str(int(number.read_text()) + 1))


def wait_until_held(path: Path) -> Holder:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        holder = holder_of(path)
        if holder is not None:
            return holder
        time.sleep(0.01)
    raise AssertionError("nobody holds it")


def test_one_holds_it_at_a_time_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    others = [spawned.start(count_up, tmp_path / "lock", number, 40) for _ in range(3)]
    for other in others:
        other.join()
    assert number.read_text() == "120"
    assert not (tmp_path / "lock").exists()
    assert holder_of(tmp_path / "lock") is None


def test_who_waits_is_told_once_by_whom_and_a_kill_frees_it(tmp_path: Path) -> None:
    path, told = tmp_path / "lock", []
    other = spawned.start(hold, path, 600)
    found = wait_until_held(path)
    assert found.process == other.pid
    assert found.facts == {"what": "a test"}
    with held_if_free(path) as free:
        assert not free
    threading.Timer(1.0, other.kill).start()
    with held(path, {}, told.append):
        mine = holder_of(path)
        assert mine is not None
        assert mine.process == os.getpid()
    assert [one.process for one in told if one is not None] == [other.pid]
    assert f"process {other.pid} on " in str(told[0])
    assert not path.exists()


def test_a_holder_that_cannot_be_read_is_waited_for_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text('{"process": "[')
    assert holder_of(path) is None  # nobody holds it
    with held(path, {}, lambda _holder: None):
        path.write_text("[1, 2]")
        with held_if_free(path) as free:
            assert not free
        assert holder_of(path) is None  # nobody can say who does


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_locks(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(MachineError, match="has no locks") as raised:
        check_can_be_held(tmp_path / "lock")
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EMFILE])
def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(MachineError, match="cannot be written") as raised:
        check_can_be_held(tmp_path / "lock")
    assert os.strerror(number) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_no_file_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "held"
    os.mkfifo(path)
    with pytest.raises(BenchError, match="held: a pipe or a device stands there") as told, held(path, {}, print):
        pass
    assert "\n" not in str(told.value)
    assert holder_of(path) is None
