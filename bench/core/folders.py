"""The content of a folder as one digest, so that a model's identity is its bytes and not its place."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file


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
