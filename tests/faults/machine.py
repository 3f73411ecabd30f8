"""What the machine refuses, and signals: one line that names the cause, and the same command goes on afterwards.

A finished comparison of which a few stages are gone is run, meets a limit, and is run again without it. Limits are the
system's own where a process can set them for itself; a disk that is full, or that has no locks, is played.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bench.engine import launch
from bench.engine.events import Together
from bench.engine.launch import ProcessesLost, run_in_processes
from tests import forked
from tests.fakes import Number
from tests.faults._whole import finished, said, same_results, store_of
from tests.faults.case import Case
from tests.methods.tiny import Bench
from tests.once import ROOT

TITLE = "limits of the machine and signals, met by a run that is then taken up again"
IN_SUITE = 2
GONE = ("score", "train/dpo")  # of each kind one stage is computed again
Play = Callable[[pytest.MonkeyPatch], None]


def to_run(folder: Path) -> Path:
    """Return the folder of a comparison of which a few stages are not there."""
    whole = finished(folder)
    for kind in GONE:
        shutil.rmtree(sorted((store_of(whole) / kind).iterdir())[0])
    return whole


def goes_on(whole: Path) -> None:
    """Raise AssertionError unless the same command ends well now, with the results of an undisturbed run."""
    status, told = said("run", whole, "--engine", "inline")
    assert status == 0, told
    same_results(whole)


def finished_stages(whole: Path) -> int:
    return sum(1 for kind in store_of(whole).glob("[!.]*") for _ in kind.rglob("manifest.json"))


def refuses(where: str, number: int) -> Play:
    """Let a function raise an error of the system."""

    def play(patch: pytest.MonkeyPatch) -> None:
        def refused(*_arguments: object, **_options: object) -> None:
            raise OSError(number, os.strerror(number))

        patch.setattr(where, refused)

    return play


def meets(play: Play, words: str, folder: Path) -> None:
    """Raise AssertionError unless what is played ends the run with one line, and it goes on afterwards."""
    whole = to_run(folder)
    before = finished_stages(whole)
    with pytest.MonkeyPatch.context() as patch:
        play(patch)
        status, told = said("run", whole, "--engine", "inline")
    assert status == 4, (status, told)
    assert words in told, told
    assert told.count("error ") == 1, told
    assert finished_stages(whole) == before, "something was finished"
    goes_on(whole)


def fails(number: int, words: str, folder: Path) -> None:
    """Raise AssertionError unless the stages that meet a limit fail with one line each, and go on afterwards."""
    whole = to_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        refuses("bench.engine.store.make_durable", number)(patch)
        status, told = said("run", whole, "--engine", "inline")
    assert status == 1, (status, told)
    assert words in told, told
    goes_on(whole)


def limited(limit: int, most: int, whole: str, printed: str) -> None:
    """In a process of its own: run with a limit."""
    with Path(printed).open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from bench.pipeline import compare, plan  # noqa: F401, PLC0415 - what a run loads before it computes

    resource.setrlimit(limit, (most, most))
    from bench.cli.app import main  # noqa: PLC0415

    main(["run", whole, "--engine", "inline"])


def without_rights(whole: str, printed: str) -> None:
    """In a process of its own: run as somebody who may not write into folders that are read-only, root too."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capset(2), version 3, this process: no capability at all
    ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)())
    limited(resource.RLIMIT_NOFILE, 1_000, whole, printed)


def runs_into(start: Callable[[str, str], None], words: str, folder: Path) -> None:
    """Raise AssertionError unless a run in a process of its own ends with a line on its limit, and goes on after it."""
    whole, printed = to_run(folder), folder / "printed.txt"
    process = forked.start(start, str(whole), str(printed))
    process.join(timeout=300)
    told = " ".join(printed.read_text(encoding="utf-8").split())
    assert process.exitcode in (1, 4), (process.exitcode, told)
    assert words in told, told
    assert "Traceback" not in told, told
    goes_on(whole)


def read_only(name: str, folder: Path) -> None:
    """Raise AssertionError unless a folder that cannot be written is found before anything is computed."""
    whole, printed = to_run(folder), folder / "printed.txt"
    place = {"the results": whole, "the store": store_of(whole)}.get(name, store_of(whole) / name)
    place.mkdir(exist_ok=True)
    place.chmod(0o555)
    try:
        process = forked.start(without_rights, str(whole), str(printed))
        process.join(timeout=300)
    finally:
        place.chmod(0o755)
    told = printed.read_text(encoding="utf-8")
    assert process.exitcode == 4, (process.exitcode, told)
    assert str(place) in told and "nothing can be written there" in told, told
    assert "stages" not in told, told
    goes_on(whole)


def ended_by(number: signal.Signals, folder: Path) -> None:
    """Raise AssertionError unless a signal ends the command and its workers, with a message, and it goes on then."""
    whole, printed = to_run(folder), folder / "printed.txt"
    with printed.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "bench.cli", "run", str(whole), "--workers", "1"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, env=env, start_new_session=True)
        try:
            wait_for(lambda: "found in the store" in printed.read_text() and bool(children(run.pid)))
            workers = children(run.pid)
            time.sleep(0.5)
            run.send_signal(number)
            run.wait(timeout=60)
        finally:
            run.kill()
    told = printed.read_text(encoding="utf-8")
    assert run.returncode == 130, (run.returncode, told)
    assert f"interrupted ({number.name})" in told, told
    assert "Traceback" not in told, told
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers))
    goes_on(whole)


AS_BY_HAND = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


def ends_inline(number: signal.Signals, folder: Path) -> None:
    """Raise AssertionError unless a signal ends a run in this process, from the middle of a stage."""
    whole = to_run(folder)

    def signalled(*_arguments: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.evaluation.measurements.scores.ScoreResponses.run", signalled)
        before = signal.signal(number, AS_BY_HAND[number])  # what starts this may ignore it, as a shell does for a job
        try:
            with pytest.raises(KeyboardInterrupt):
                said("run", whole, "--engine", "inline")
            assert signal.getsignal(number) is AS_BY_HAND[number]
        finally:
            signal.signal(number, before)
    goes_on(whole)


def launched(code: str, folder: Path) -> None:
    """Raise AssertionError unless processes that train together and die or hang are given up, in time."""
    bench = Bench(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "command", lambda _folder, _processes: [sys.executable, "-c", code])
        patch.setattr(launch, "PATIENCE_SECONDS", 3.0)
        began = time.monotonic()
        with pytest.raises(ProcessesLost):
            run_in_processes(Number(value=1, journal="j"), bench.io(), folder, Together(2))
    assert time.monotonic() - began < 60


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in found]


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def cases() -> list[Case]:
    """Errors of the system that are played, limits of a process, folders that cannot be written, signals, launches."""
    full = "no space is left on the disk"
    played: dict[str, tuple[Play, str]] = {
        "the disk is full at the end of a stage": (refuses("bench.engine.store.make_durable", errno.ENOSPC), full),
        "the quota is used up": (refuses("bench.engine.store.make_durable", errno.EDQUOT), "quota"),
        "the disk turns read-only": (refuses("bench.engine.store.make_durable", errno.EROFS), "can only be read"),
        "no locks: ENOLCK": (refuses("fcntl.flock", errno.ENOLCK), "no locks"),
        "no locks: EOPNOTSUPP": (refuses("fcntl.flock", errno.EOPNOTSUPP), "no locks"),
        "the disk is full at once": (refuses("tempfile.NamedTemporaryFile", errno.ENOSPC), full),
    }
    own: dict[str, tuple[Callable[[str, str], None], str]] = {
        "files of at most 1 kB": (partial(limited, resource.RLIMIT_FSIZE, 1_000), "limit on the size of files"),
        "files of at most 20 kB": (partial(limited, resource.RLIMIT_FSIZE, 20_000), "limit on the size of files"),
    }
    silent, dead = "import time; time.sleep(600)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    return [
        *(Case(name, partial(meets, play, words)) for name, (play, words) in played.items()),
        *(Case(f"{number.name} inline", partial(ends_inline, number)) for number in ENDING),
        *(Case(f"{name} is read-only", partial(read_only, name)) for name in READ_ONLY),
        *(Case(f"a stage meets {name}", partial(fails, number, words)) for name, number, words in OF_A_STAGE),
        *(Case(name, partial(runs_into, start, words)) for name, (start, words) in own.items()),
        *(Case(f"{number.name} with a worker", partial(ended_by, number)) for number in ENDING),
        Case("processes that train together, silent", partial(launched, silent)),
        Case("processes that train together, dead", partial(launched, dead)),
    ]


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OF_A_STAGE = (
    ("too many open files", errno.EMFILE, "this process may not open more files"),
    ("too many open files of all", errno.ENFILE, "this machine may not open more files"),
    ("too little memory", errno.ENOMEM, "memory ran out"),
    ("a limit on files", errno.EFBIG, "limit on the size of files"),
)
READ_ONLY = ("the results", "the store", ".work", ".locks", "score")
