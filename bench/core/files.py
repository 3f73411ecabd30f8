"""Files: what is at a path, whatever it is; what they hold; and writing them whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file

PARTIAL = ".partial"  # what the names of files end in that are being written


def kind_at(path: Path) -> Literal["file", "folder"] | None:
    """Return what lies at a path; None for nothing, a device or a pipe, and a path that the system refuses."""
    try:
        return "file" if path.is_file() else "folder" if path.is_dir() else None
    except OSError:
        return None


def never_ends(path: Path) -> bool:
    """Return whether a pipe, a device or a socket lies at a path: to open or to read one may take for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def refuse_endless(path: Path) -> None:
    """Raise ValueError where a pipe, a device or a socket lies at a path."""
    if never_ends(path):
        raise ValueError("it is a pipe or a device")


def resolved(path: Path) -> Path:
    """Return a path as absolute, its links followed; links in a circle, which lead nowhere, are left as they are."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a character that no path can have: nothing lies there
        return path.absolute()


def text_in(path: Path, most: int) -> str:
    """Return the UTF-8 text of a file of at most so many bytes, a byte order mark left out.

    Raises DataError, which does not name the file, for anything else that lies there, a pipe or a device too.
    """
    if kind_at(path) != "file":
        raise DataError("no such file")
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise DataError(f"longer than {most:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"not UTF-8 text in line {line} ({error.reason})") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it takes the place of ``path`` in one rename when the block ends without an error.

    It lies in the same folder, under a name that no other writer has, and is gone when the block ends otherwise. What a
    killed writer leaves in a results folder goes with the next one (``bench.results.writing``).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{uuid.uuid4().hex}{PARTIAL}")  # short whatever the name of the file
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a file of this UTF-8 text, whole or not at all; see ``replacing``."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def make_durable(path: Path) -> None:
    """Have a file or folder outlast a power cut, before anything is written that says that it is there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partials(folder: Path) -> None:
    """Remove what writers have left in a folder, and in the folders in it, that were killed on this machine."""
    for partial in (*folder.glob(f".*{PARTIAL}"), *folder.glob(f"*/.*{PARTIAL}")):
        process = partial.name[1:].partition("-")[0]
        if process.isdigit() and not lives(int(process)):
            partial.unlink(missing_ok=True)


def lives(process: int) -> bool:
    """Return whether a process of that number runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def digest_of_folder(folder: Path) -> str:
    """Return the sha256 over the sorted relative names of a folder's files and the sha256 of each file's bytes.

    Links count as what they point to; Python's compiled files do not count. Raises DataError when there is no such
    folder or no file in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give the folder that holds the files.")
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    if not files:
        raise DataError(f"{folder}: the folder holds no files. Give the folder that holds them.")
    return digest_of_files(folder, sorted(files))


def digest_of_files(folder: Path, names: Sequence[str]) -> str:
    """Return the sha256 over the relative names of files in a folder, in this order, and that of each file's bytes."""
    listing = [[name, digest_of_file(folder / name)] for name in names]
    return hashlib.sha256(json.dumps(listing, separators=(",", ":")).encode()).hexdigest()
