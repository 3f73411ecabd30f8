"""What a store holds: its artefacts with their sizes, and what lies beside them."""

from __future__ import annotations

import os
import re
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
    return sorted(_artefacts(root, root), key=lambda one: (one.kind, one.key))


def _artefacts(folder: Path, root: Path) -> Iterator[Artefact]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if KEY.fullmatch(entry.name) and folder != root:
                yield Artefact(folder.relative_to(root).as_posix(), entry.name, path, size_of(path))
            elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _artefacts(path, root)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; what goes meanwhile counts nothing."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        return sum(size_of(inside) for inside in path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return 0


def in_words(size: float) -> str:
    """Return a number of bytes as a person reads it: ``12.3 MB``, in powers of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
