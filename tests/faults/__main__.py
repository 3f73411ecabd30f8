"""Run the fault campaign, or kinds of it, and write their lines of the tally in docs/reliability.md."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.case import Case, kinds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- tally: python -m tests.faults -->", "<!-- end of the tally -->"


def main() -> int:
    """Return how many cases did not end as they should."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in every command; read when a kind's module loads NumPy
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what `nohup` and `&` have ignored, commands started here
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # would ignore too
    every = kinds()
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"one or more of: {', '.join(every)}; all by default")
    wanted = parser.parse_args().kinds
    unknown = sorted(set(wanted) - every.keys())
    if unknown:
        parser.error(f"there is no kind {', '.join(unknown)}; there are {', '.join(every)}")
    wrong = 0
    for name in wanted or every:
        module, began = every[name], time.perf_counter()
        ended_wrong = [case.name for case in module.cases() if not is_right(name, case)]
        count = len(module.cases())
        write(module.TITLE, f"| {count} | {count - len(ended_wrong)} |")
        wrong += len(ended_wrong)
        say(f"{name}: {count - len(ended_wrong)} of {count} right, {time.perf_counter() - began:.0f} s")
    return wrong


def is_right(kind: str, case: Case) -> bool:
    """Return whether a case ended as it should; what was wrong is printed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(Path.cwd()):
        try:
            case.do(Path(folder))
        except Exception as error:  # noqa: BLE001 - whatever a case raises is what is wrong
            say(f"  WRONG {kind}: {case.name}: {type(error).__name__}: {error}")
            return False
    return True


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write(title: str, counts: str) -> None:
    """Put the line of a kind into the tally; the others stay."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tally, _, after = rest.partition(END)
    rows = dict(line.removeprefix("| ").split(" | ", 1) for line in tally.strip().split("\n")[2:])
    rows[title] = counts.removeprefix("| ")
    lines = [f"| {name} | {found}" for name, found in sorted(rows.items())]
    table = "\n".join(["| what is done | cases | right |", "|---|--:|--:|", *lines])
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(min(main(), 1))
