"""Files: what is at a path, whatever it is; what they hold; and writing them whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file


def kind_at(path: Path) -> Literal["file", "folder"] | None:
    """Return what lies at a path; None for nothing, a device or a pipe, and a path that the system refuses."""
    try:
        return "file" if path.is_file() else "folder" if path.is_dir() else None
    except OSError:
        return None


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
    """Yield a path to write to; it takes the place of ``path`` in one rename when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    yield partial
    partial.replace(path)


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
    listing = [[name, digest_of_file(files[name])] for name in sorted(files)]
    return hashlib.sha256(json.dumps(listing, separators=(",", ":")).encode()).hexdigest()
