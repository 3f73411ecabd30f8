"""One writer of a results folder at a time: whoever changes its files holds the folder's lock meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.files import remove_partials
from bench.core.held import POLL_SECONDS, TOLD_AFTER, Holder, check_can_be_held, held, holder_of, text_if_held

LOCK_FILE = ".writing"  # there while somebody writes, or until the next one where a writer was killed


@contextmanager
def writing(folder: Path, told: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a results folder while the block runs, and wait while another command writes there.

    ``told`` is given a line where this one waits. What killed writers have left in the folder is removed. Raises
    MachineError for a folder that cannot be written to, and where its file system has no locks.
    """
    with held(folder / LOCK_FILE, {}, lambda holder: told(waits_for(folder, holder))):
        remove_partials(folder)
        yield


def wait_for_writers(folder: Path, told: Callable[[str], None]) -> None:
    """Return when nobody writes the results in a folder: what lies there is then of one run.

    ``told`` is given a line where this takes longer than a moment. Nothing is written: a folder that cannot be written
    to, or is not there, has no writers.
    """
    looked = 0
    while text_if_held(folder / LOCK_FILE) is not None:
        looked += 1
        if looked == TOLD_AFTER:
            told(waits_for(folder, holder_of(folder / LOCK_FILE)))
        time.sleep(POLL_SECONDS)


def waits_for(folder: Path, holder: Holder | None) -> str:
    """Return the line on who is waited for."""
    who = "" if holder is None else f" ({holder})"
    return f"another command{who} is writing the results in {folder}; this one waits until that has ended"


def require_locks(folder: Path) -> None:
    """Raise MachineError for a results folder whose lock cannot be held, such as where its file system has none."""
    check_can_be_held(folder / LOCK_FILE)
