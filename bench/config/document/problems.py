"""Problems of a comparison file, gathered so that all are reported at once, each with its place."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from bench.core.errors import ConfigError, Problem, abridged

KeyPath = tuple[str | int, ...]
_LONGEST_KEY = 200
_LONGEST_PATH = 400


@dataclass(frozen=True)
class Place:
    """Where a value stands: a line of a file, or the override ``--set KEY=...`` when there is no file."""

    file: Path | None
    line: int
    override: str = ""

    def at_line(self, line: int) -> Place:
        """Return the same origin at another line; an override has no lines."""
        return self if self.file is None else replace(self, line=line)

    @property
    def folder(self) -> Path:
        """The folder that relative paths written here start from: the file's, or the current one for an override."""
        return Path.cwd() if self.file is None else self.file.parent

    def where(self, path: KeyPath) -> str:
        """Return the place and the key's path as one text, as an error shows it."""
        key = dotted(path)
        if self.file is None:
            inside = key == self.override or self.override.startswith(key + ".") or not key
            written = abridged(self.override, _LONGEST_KEY)
            return f"--set {written}" if inside else f"--set {written} {abridged(key, _LONGEST_KEY)}"
        return f"{abridged(shown(self.file), _LONGEST_PATH)}:{self.line} {abridged(key, _LONGEST_KEY)}".rstrip()


class Problems:
    """The problems found so far; at the ``MOST`` reading ends, because what follows is more of the same."""

    MOST = 50

    def __init__(self) -> None:
        self._found: list[tuple[tuple[bool, str, int], Problem]] = []
        self._unreadable: set[str] = set()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, path: KeyPath, what: str, next_step: str | None = None) -> None:
        """Note a problem and go on reading; a value that could not be read is not blamed for anything else."""
        where = place.where(path)
        if where not in self._unreadable:
            order = (place.file is None, str(place.file), place.line)
            self._found.append((order, Problem(where, what, next_step)))
            if len(self._found) >= self.MOST:
                raise self.error()

    def unreadable(self, place: Place, path: KeyPath, what: str, next_step: str | None = None) -> None:
        """Note that a value cannot be read; what stands there instead of it is none of the user's."""
        self.add(place, path, what, next_step)
        self._unreadable.add(place.where(path))

    def fail(self, place: Place, path: KeyPath, what: str, next_step: str | None = None) -> NoReturn:
        """Note a problem after which nothing more can be read, and raise ConfigError with all there are."""
        self.add(place, path, what, next_step)
        raise self.error()

    def error(self) -> ConfigError:
        """Return all problems as one error, in the order of the file's lines, equal ones reported once."""
        ordered = [problem for _, problem in sorted(self._found, key=lambda item: item[0])]
        return ConfigError(list(dict.fromkeys(ordered)))


def dotted(path: KeyPath) -> str:
    """Return a key path as the user writes it after ``--set``."""
    return ".".join(str(part) for part in path)


def shown(path: Path) -> str:
    """Return a path relative to the current folder where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive on Windows
        return str(path)
    return min(relative, str(path), key=len)
