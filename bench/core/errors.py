"""Errors that tell a user what is wrong, where, why, and what to do next."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_LONGEST_LINE = 700
_MOST_LINES = 60
_NAMES_SHOWN = 40
_NAMES_COMPARED = 1000
_LONGEST_NAME = 60


class BenchError(Exception):
    """A problem the user can act on; the command line prints it without a traceback and exits with 2.

    Whatever it quotes, it stays readable: long lines lose their middle, and lines beyond the 60th are counted.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(in_few_lines(str(message)))


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a comparison file: where it stands, what is wrong, what to do next."""

    where: str
    what: str
    next_step: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}\n    {self.next_step}" if self.next_step else text


class ConfigError(BenchError):
    """Every problem of a comparison file at once; the first ``SHOWN`` are shown, the rest are counted."""

    SHOWN = 10

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count:,} problems"
        more = [f"and {count - self.SHOWN:,} more"] if count > self.SHOWN else []
        shown = [in_few_lines(str(problem)) for problem in self.problems[: self.SHOWN]]
        super().__init__("\n".join([f"{head} in the comparison file", *shown, *more]))


class DataError(BenchError):
    """Data that cannot be used as given: a missing file, a row without a needed column, a changed digest."""


class StageError(BenchError):
    """A stage that cannot do its work; names the stage, the reason and the next step."""


class DamagedArtefact(BenchError):
    """A stored payload whose bytes differ from what its manifest recorded."""


class IncompleteRecords(BenchError):
    """Rows of the crossing method x seed x prompt are missing, so statistics refuse to run."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'x'?`` followed by the known names, or the known names alone when none is near.

    Of very many names some are shown and the rest are counted.
    """
    names = sorted(set(known))
    compared = [name for name in names[:_NAMES_COMPARED] if len(name) <= _LONGEST_LINE]
    near = get_close_matches(word, compared, n=1, cutoff=0.6) if len(word) <= _LONGEST_LINE else []
    listing = f"known: {some_of(names)}" if names else "none are known"
    return f"Did you mean '{near[0]}'? ({listing})" if near else listing


class MachineError(BenchError):
    """What the machine refuses to every stage alike: room on the disk, writing, locks. It ends a run."""


# What a limit of the machine is called, and what lifts it, by the errors of the operating system that it gives.
_LIMITS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space is left on the disk", "Free some space"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space or raise the quota"),
    errno.EROFS: ("the file system can only be read", "Make it writable, or work on another one"),
    errno.EFBIG: ("a file grew beyond the limit on the size of files", "Raise the limit (ulimit -f)"),
    errno.EMFILE: ("this process may not open more files", "Raise the limit (ulimit -n), or lower --workers"),
    errno.ENFILE: ("this machine may not open more files", "End other programs, or raise the limit (fs.file-max)"),
    errno.ENOMEM: (
        "memory ran out",
        "Lower --workers, micro_tokens or batch sizes, end other programs, or raise the limit (ulimit -v)",
    ),
    errno.EAGAIN: ("no more processes or threads may be started", "Raise the limit (ulimit -u), or lower --workers"),
    errno.ENOLCK: ("the file system has no locks", "Put the results folder on a disk that has (flock)"),
    errno.EIO: ("the disk could not be read or written", "Look at the disk and at the system's log"),
}
# Those that meet every stage that is still to come, so that a run ends with the first.
_MEETS_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOLCK}
# Those that say nothing of the file that was being read.
_OF_THE_PROCESS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
# How libraries that have no OSError of their own say the same.
_IN_WORDS: tuple[tuple[str, int], ...] = (
    ("No space left on device", errno.ENOSPC),
    ("database or disk is full", errno.ENOSPC),
    ("Disk quota exceeded", errno.EDQUOT),
    ("Read-only file system", errno.EROFS),
    ("File too large", errno.EFBIG),
    ("Too many open files", errno.EMFILE),
    ("Cannot allocate memory", errno.ENOMEM),
    ("failed to map segment", errno.ENOMEM),
    ("CUDA out of memory", errno.ENOMEM),
    ("can't start new thread", errno.EAGAIN),
    ("disk I/O error", errno.EIO),
    ("iostream error", errno.EIO),
)


def limit_of(error: BaseException) -> int | None:
    """Return which limit of the machine an exception comes from, as an error number of the system; None for others.

    The exceptions that it was raised from or beside count too: a library that fails to write a file often says only
    that its own book-keeping went wrong.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if isinstance(at, MemoryError):
            return errno.ENOMEM
        if isinstance(at, OSError):
            if at.errno in _LIMITS:
                return at.errno
        elif not isinstance(at, BenchError):
            text = str(at)
            found = next((number for words, number in _IN_WORDS if words in text), None)
            if found is not None:
                return found
        at = at.__cause__ or at.__context__
    return None


def told_of_machine(error: BaseException) -> str | None:
    """Return one line that says which limit of the machine was met, where, and what to do; None for other errors.

    An OSError that meets no limit (a file that is not there, or not ours) is its file and the system's words.
    """
    limit = limit_of(error)
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename is not None else ""
    if limit is not None:
        what, next_step = _LIMITS[limit]
        return f"{where}{what}. {next_step}; the same command then goes on from there."
    if isinstance(error, OSError):
        return f"{where}{error.strerror or error}"
    return None


def meets_all(error: BaseException) -> bool:
    """Tell whether an exception comes from a limit that meets every further stage too."""
    return limit_of(error) in _MEETS_ALL or isinstance(error, MachineError)


def says_nothing_of_the_file(error: BaseException) -> bool:
    """Tell whether a file could not be read for want of memory or file handles, so that it may be as good as ever."""
    return limit_of(error) in _OF_THE_PROCESS


def one_line(text: str, most: int = 2_000) -> str:
    """Return a text as one line, cut where it is longer; what no file can hold (half a surrogate pair) is spelt out."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
    return line if len(line) <= most else f"{line[: most - 4]} ..."


def some_of(names: Sequence[str]) -> str:
    """Return names with commas between them; of very many the first ones, and how many more there are."""
    shown = ", ".join(shortened(name, _LONGEST_NAME) for name in names[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else shown


def shortened(text: str, most: int) -> str:
    """Return a text of at most about ``most`` characters: a longer one loses its middle, and says how much."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} [... {len(text) - most:,} characters ...] {text[-(most - most // 2) :]}"


def in_few_lines(text: str) -> str:
    """Return a text whose long lines are shortened and whose many lines are cut, and counted."""
    if len(text) <= _LONGEST_LINE:
        return text
    lines = text.split("\n")
    more = [f"and {len(lines) - _MOST_LINES:,} more lines"] if len(lines) > _MOST_LINES else []
    return "\n".join([*(shortened(line, _LONGEST_LINE) for line in lines[:_MOST_LINES]), *more])
