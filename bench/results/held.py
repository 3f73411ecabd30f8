"""A file that somebody holds while they work, and that says who: a lock that a kill frees.

The file is there as long as it is held, or until the next holder comes where the last one was killed. It is removed by
its holder only, and whoever takes it looks whether it is still the one of that name, so that no two hold one name.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.machine_limits import MachineError

POLL_SECONDS = 0.1
TOLD_AFTER = 3  # looks at a file that is held, before anybody is told: most are held for a moment


@dataclass(frozen=True)
class Holder:
    """Who holds a file, as they wrote it there: their process and host, since when, and what else they say."""

    process: int
    host: str
    since: str
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since}"


@contextmanager
def held(path: Path, facts: Mapping[str, Any], told: Callable[[Holder | None], None]) -> Iterator[None]:
    """Hold a file while the block runs, and wait while another does; it says who holds it and these ``facts``.

    ``told`` is called once where somebody else holds it, with who, or None where that cannot be read. Raises
    MachineError where no file can be made there, and where the file system has no locks.
    """
    looked = 0
    while (descriptor := _taken(path, facts)) is None:
        looked += 1
        if looked == TOLD_AFTER:
            told(holder_of(path))
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold a file while the block runs; yields whether it is held, False where somebody else holds it."""
    descriptor = _taken(path, {})
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def check_can_be_held(path: Path) -> None:
    """Raise MachineError where no file can be made at a path, and where the file system has no locks."""
    with held_if_free(path):
        pass


def holder_of(path: Path) -> Holder | None:
    """Return who holds a file; None where nobody does, and where its holder has not written who it is."""
    return None if (text := text_if_held(path)) is None else read_holder(text)


def text_if_held(path: Path) -> str | None:
    """Return what stands in a file that somebody holds; None where nobody does."""
    try:
        if not path.is_file():
            return None
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return None if _is_free(path, descriptor, fcntl.LOCK_SH) else file.read()


def read_holder(text: str) -> Holder | None:
    """Return the holder that a file's text names; None where it names none."""
    try:
        found = json.loads(text)
        return Holder(int(found["process"]), str(found["host"]), str(found["since"]), dict(found["facts"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _taken(path: Path, facts: Mapping[str, Any]) -> int | None:
    """Return the descriptor of a file that is held from now on; None where somebody else holds it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise MachineError(
                f"{path}: it cannot be written ({error.strerror}), and commands tell each other by it that they write "
                "there. Make room, or the folder writable; then the same command goes on."
            ) from error
        try:
            _refuse_no_file(path, descriptor)
            if not _is_free(path, descriptor, fcntl.LOCK_EX):
                os.close(descriptor)
                return None
            if _is_at(path, descriptor):
                _write(descriptor, facts)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed it between the two: another one of that name


def _refuse_no_file(path: Path, descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise BenchError(
            f"{path}: a pipe or a device stands there, and commands tell each other by a file of that name that they "
            "write there. Move it away; then the same command goes on."
        )


def _is_free(path: Path, descriptor: int, how: int) -> bool:
    """Return whether nobody else holds an open file; then it is held by the descriptor."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise MachineError(
            f"{path.parent}: the file system there has no locks ({error.strerror}), so that two commands could write "
            "over each other. Move the folder to one that has them, such as a disk of this machine."
        ) from error
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write(descriptor: int, facts: Mapping[str, Any]) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    body = {"process": os.getpid(), "host": socket.gethostname(), "since": since, "facts": dict(facts)}
    os.ftruncate(descriptor, 0)
    left = json.dumps(body).encode()
    while left:
        left = left[os.write(descriptor, left) :]
