"""What is told of a stage that failed: one line, and beside it the traceback in a log of the store."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Literal

from bench.core.errors import BenchError, one_line
from bench.core.machine_limits import limit_of, meets_all, told_of_machine
from bench.engine.events import Event
from bench.engine.store import LOGS

MOST_OF_A_MESSAGE = 300


def failure(error: Exception, key: str, root: Path, part: str = "") -> Event:
    """Return the event of a failed stage, ``halted`` where every further stage would meet the same.

    Its text is one line: our own errors as they are, a limit of the machine with what to do about it. For what nobody
    foresaw it is the exception and the log below the store's ``root`` that has the traceback. ``part``: of several
    processes that compute the stage, the number of the one in which it happened.
    """
    name: Literal["failed", "halted"] = "halted" if meets_all(error) else "failed"
    log = failure_log(root, key, part)
    kept = f" The traceback is in {log}."
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
    except OSError:
        kept = ""
    if isinstance(error, BenchError):
        return Event(name, key, text=one_line(str(error)))
    machine = told_of_machine(error) if limit_of(error) is not None else None
    if machine is not None:
        return Event(name, key, text=one_line(machine))
    said = one_line(f"{type(error).__name__}: {error}", MOST_OF_A_MESSAGE)
    return Event(name, key, text=f"{said}{'' if said.endswith('.') else '.'}{kept}")


def failure_log(root: Path, key: str, part: str = "") -> Path:
    """Return where the traceback of a stage's last failure lies, in the store at ``root``."""
    return root / LOGS / f"failure-{key[:16]}{part}.log"
