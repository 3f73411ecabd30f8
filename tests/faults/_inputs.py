"""How an input is handed over and what must come of it: a few lines, exit status 2, soon, and in bounded memory.

Every command runs in a fork of its own, so that one that hangs is ended, one that takes memory is refused it, and
whatever it does to its process goes with it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.case import Case

SECONDS = 5.0
MEGABYTES = 1500  # beyond what the process has when it begins
CHARACTERS = 2000
WRONG_INPUT = 2
_CRASHED = 99
_PATIENCE = 3  # times as long as it should take
COMPARISON = """\
question: Is what is handed over refused in a line?
given:
  base: {world: atlas, size: base}
  demonstrations: {path: rows.jsonl}
  seeds: [0]
methods:
  base: {}
  sft: {}
evaluate:
  tasks: [atlas_prompts]
  win_rate: {judges: [gold], versus: base}
"""
ROWS = '{"prompt": "a", "response": "b"}\n{"prompt": "c", "response": "d"}\n'


def refused(arguments: Sequence[str], *, within: float = SECONDS, says: str = "", most: int = CHARACTERS) -> str:
    """Return what a command printed that refused its input; raises AssertionError where it ended in another way.

    ``says``: what must stand in it. ``most``: how many characters it may have.
    """
    status, text, seconds = ended(lambda: _main(arguments), within)
    assert status is not None, f"hang: not ended after {within:g} s"
    assert "Traceback" not in text and status != _CRASHED, f"traceback: {text.strip()[-300:]}"
    assert status != 0, f"accepted: {text.strip()[:300]}"
    assert status == WRONG_INPUT, f"status {status}: {text.strip()[-300:]}"
    assert text.strip(), "silent: nothing is said"
    assert len(text) <= most, f"long: {len(text):,} characters: {text[:200]}"
    assert says in text, f"unclear: {says!r} is not in {text[:400]}"
    assert seconds <= within, f"hang: {seconds:.1f} s"
    return text


def taken(arguments: Sequence[str], *, within: float = SECONDS) -> str:
    """Return what a command printed that took its input; raises AssertionError where it did not."""
    status, text, _ = ended(lambda: _main(arguments), within)
    assert status == 0, f"refused ({status}): {text.strip()[-600:]}"
    return text


def raises_in_a_few_lines(call: Callable[[], object], *, within: float = SECONDS, says: str = "") -> str:
    """Return the text of the BenchError that a call raises; raises AssertionError where it ended in another way."""

    def do() -> int:
        from bench.core.errors import BenchError  # noqa: PLC0415 - in the fork

        try:
            call()
        except BenchError as error:
            sys.stderr.write(f"{error}\n")
            return WRONG_INPUT
        return 0

    status, text, seconds = ended(do, within)
    assert status is not None, f"hang: not ended after {within:g} s"
    assert "Traceback" not in text and status != _CRASHED, f"traceback: {text.strip()[-300:]}"
    assert status == WRONG_INPUT, f"accepted: {text.strip()[:300]}"
    assert len(text) <= CHARACTERS, f"long: {len(text):,} characters: {text[:200]}"
    assert says in text, f"unclear: {says!r} is not in {text[:400]}"
    assert seconds <= within, f"hang: {seconds:.1f} s"
    return text


def ended(do: Callable[[], int], within: float) -> tuple[int | None, str, float]:
    """Return the exit status of a call in a fork (None: it was ended), what it printed, and its processor's seconds."""
    with tempfile.TemporaryFile() as printed:
        began = time.perf_counter()
        child = os.fork()
        if child == 0:
            _be_the_child(do, printed.fileno())
        while time.perf_counter() - began < _PATIENCE * within:
            done, status, used = os.wait4(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.005)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None, "", time.perf_counter() - began
        seconds = used.ru_utime + used.ru_stime  # others may be busy on this machine
        printed.seek(0)
        text = printed.read(50_000_000).decode("utf-8", errors="replace")
        return os.waitstatus_to_exitcode(status), text, seconds


def _be_the_child(do: Callable[[], int], printed: int) -> None:
    status = _CRASHED
    try:
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + MEGABYTES * 10**6,) * 2)
        status = do()
    except BaseException:  # noqa: BLE001 - whatever comes through is what a person would see
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _main(arguments: Sequence[str]) -> int:
    from bench.cli.app import main  # noqa: PLC0415 - imported once by whoever runs many cases

    try:
        main(list(arguments))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


def warm_up() -> None:
    """Import what every command imports, so that a fork need not."""
    import bench.cli.app  # noqa: PLC0415, F401
    import bench.config.load  # noqa: PLC0415, F401
    import bench.pipeline.forecast  # noqa: PLC0415, F401
    import bench.pipeline.lengths  # noqa: PLC0415, F401
    import bench.pipeline.plan  # noqa: PLC0415, F401


def comparison(folder: Path, text: str = COMPARISON, rows: str | bytes | None = ROWS, name: str = "rows.jsonl") -> Path:
    """Return the folder of a comparison that is written there, with rows beside it."""
    place = folder / "results" / "mine"
    place.mkdir(parents=True, exist_ok=True)
    (place / "comparison.yaml").write_text(text, encoding="utf-8")
    if isinstance(rows, str):
        (place / name).write_bytes(rows.encode("utf-8", "surrogatepass"))
    elif rows is not None:
        (place / name).write_bytes(rows)
    return place


def planning(
    name: str, make: Callable[[Path], Path], *, says: str = "", within: float = SECONDS, most: int = CHARACTERS
) -> Case:
    """Return the case that what ``make`` writes is refused when it is planned; it returns what is handed over."""

    def do(folder: Path) -> None:
        warm_up()
        refused(["plan", str(make(folder))], says=says, within=within, most=most)

    return Case(name, do)
