"""What the exit status of every command says: one table for all of them, shown by every ``--help``."""

from __future__ import annotations

DONE = 0
FAILED = 1
WRONG_INPUT = 2
INCONCLUSIVE = 3
CRASHED = 4
INTERRUPTED = 130

STATUSES = {
    DONE: "done, and nothing speaks against the results",
    FAILED: "a regression, a failure or a difference",
    WRONG_INPUT: "wrong usage or input, damaged or stale results",
    INCONCLUSIVE: "inconclusive",
    CRASHED: "a crash of this program, or a limit of the machine",
    INTERRUPTED: "interrupted",
}


def statuses_in_words() -> str:
    """Return the table on one line, for the end of a command's help."""
    return "; ".join(f"{status} {meaning}" for status, meaning in STATUSES.items()) + "."
