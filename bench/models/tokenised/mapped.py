"""Arrays in files: written bit by bit, mapped where they are read, and never wholly in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.core.files import text_in
from bench.core.frozen import digest_of_file

ENTRY_FILE = "entry.json"
_MOST_ENTRY = 100_000_000  # bytes of an entry's own file: notes may name each of many texts
_TYPES = {"int32", "int64", "float64", "bool"}


class DamagedEntry(BenchError):
    """What is kept in a folder of arrays is not what was written there."""


@dataclass(frozen=True)
class Entry:
    """Arrays by name, each of one axis and mapped from its file, and what else was written beside them as JSON."""

    arrays: Mapping[str, NDArray[Any]]
    notes: Mapping[str, Any]


@dataclass(frozen=True)
class Ragged:
    """Rows of numbers of different lengths: all of them end to end, and where each ends."""

    flat: NDArray[Any]
    ends: NDArray[Any]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ends)

    def row(self, number: int) -> list[int]:
        """Return one row, as a list of Python's numbers."""
        start = int(self.ends[number - 1]) if number else 0
        found: list[int] = self.flat[start : int(self.ends[number])].tolist()
        return found

    def lengths(self) -> NDArray[np.int64]:
        """Return the length of every row."""
        return np.diff(self.ends, prepend=0).astype(np.int64)


class EntryWriter:
    """Writes an entry into a folder: a file per array, which grows, and at last the entry's own file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._files: dict[str, Any] = {}
        self._types: dict[str, str] = {}
        self._hashes: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, name: str, values: NDArray[Any]) -> None:
        """Write values behind those that an array has."""
        if name not in self._files:
            self._files[name] = self._open.enter_context((self._folder / f"{name}.bin").open("wb"))
            self._types[name] = str(values.dtype)
            self._hashes[name] = hashlib.sha256()
            self._counts[name] = 0
        data = values.tobytes()
        self._files[name].write(data)
        self._hashes[name].update(data)
        self._counts[name] += len(values)

    def append_rows(self, name: str, rows: Sequence[Sequence[int]]) -> int:
        """Return the highest number in rows, 0 for none, after writing them behind those of a ragged array."""
        before = self._counts.get(f"{name}_flat", 0)
        flat = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=sum(map(len, rows)))
        self.append(f"{name}_flat", flat)
        self.append(f"{name}_ends", before + np.cumsum([len(row) for row in rows], dtype=np.int64))
        return int(flat.max(initial=0))

    def finish(self, notes: Mapping[str, Any]) -> None:
        """Close all files and write what they hold, with a digest of each, into the entry's own file."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._open.close()
        arrays = {
            name: {"dtype": kind, "count": self._counts[name], "sha256": self._hashes[name].hexdigest()}
            for name, kind in self._types.items()
        }
        content = {"arrays": arrays, "notes": dict(notes)}
        whole = {**content, "checksum": _checksum(content)}
        with (self._folder / ENTRY_FILE).open("w", encoding="utf-8") as file:
            file.write(json.dumps(whole, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close all files, whatever has become of the entry."""
        self._open.close()


def read_entry(folder: Path) -> Entry:
    """Return the entry in a folder, all its bytes looked at; raises DamagedEntry where it is not what was written."""
    try:
        own = folder / ENTRY_FILE
        whole = json.loads(text_in(own, min(own.stat().st_size, _MOST_ENTRY)))
        content = {"arrays": whole["arrays"], "notes": whole["notes"]}
        if whole["checksum"] != _checksum(content):
            raise DamagedEntry(f"{ENTRY_FILE} differs from its checksum")
        arrays = {name: _mapped(folder / f"{name}.bin", said) for name, said in content["arrays"].items()}
    except (ValueError, KeyError, TypeError, RecursionError, FileNotFoundError, NotADirectoryError) as error:
        raise DamagedEntry(f"{ENTRY_FILE} cannot be read") from error
    except BenchError as error:
        raise DamagedEntry(str(error)) from error
    return Entry(arrays, content["notes"])


def ragged(entry: Entry, name: str) -> Ragged:
    """Return a ragged array of an entry."""
    return Ragged(entry.arrays[f"{name}_flat"], entry.arrays[f"{name}_ends"])


def _mapped(file: Path, said: Mapping[str, Any]) -> NDArray[Any]:
    if said["dtype"] not in _TYPES:
        raise DamagedEntry(f"{file.name} holds {said['dtype']}")
    if not file.is_file() or digest_of_file(file) != said["sha256"]:
        raise DamagedEntry(f"{file.name} differs from its digest")
    if said["count"] == 0:
        return np.empty(0, dtype=said["dtype"])
    return np.memmap(file, dtype=said["dtype"], mode="r", shape=(said["count"],))


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
