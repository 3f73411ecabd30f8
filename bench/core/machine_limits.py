"""The limits of the machine (room on the disk, memory, open files, locks): which one an error comes from, in words."""

from __future__ import annotations

import errno

from bench.core.errors import BenchError


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
