"""Writing files so that a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file


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
