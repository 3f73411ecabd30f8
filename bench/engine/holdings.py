"""What a store holds: its artefacts with their sizes, and what lies beside them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Artefact:
    """What a stage left in a store: where it lies, and the bytes of its files."""

    kind: str
    key: str
    path: Path
    size: int


def artefacts(root: Path) -> list[Artefact]:
    """Return the artefacts below the folder of a store, by kind and key; nothing else that lies there is one."""
    return sorted(_artefacts(root), key=lambda one: (one.kind, one.key))


def _artefacts(root: Path) -> Iterator[Artefact]:
    for folder, inside, files in os.walk(root):
        place = Path(folder)
        for name in filter(KEY.fullmatch, (*inside, *files) if place != root else ()):
            path = place / name
            yield Artefact(place.relative_to(root).as_posix(), name, path, size_of(path))
        inside[:] = [name for name in inside if not KEY.fullmatch(name) and not name.startswith(".")]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; what goes meanwhile counts nothing."""
    files = [path, *(Path(folder) / name for folder, _, names in os.walk(path) for name in names)]
    return sum(_length(file) for file in files)


def _length(file: Path) -> int:
    try:
        found = file.lstat()
    except OSError:
        return 0
    return found.st_size if not stat.S_ISDIR(found.st_mode) else 0


def size_in_words(size: float) -> str:
    """Return a number of bytes as a person reads it: ``12.3 MB``, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
