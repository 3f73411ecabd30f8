"""``lock.json``: what a run rested on, so that a later one can say what has changed since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.core.errors import DataError
from bench.core.files import replacing
from bench.core.frozen import Frozen
from bench.results.identity import RunIdentity

LOCK = "lock.json"
LOCK_VERSION = 1


class Lock(Frozen):
    """A run's surroundings and inputs. Equal runs of the same code write equal locks, ``hardware`` excepted.

    ``program``: version and revision of this program. ``files``: digests of the comparison file and of plug-ins beside
    it. ``data`` and ``models``: what was read and from where, by digest or revision. ``gate``: the digest of the
    criteria as they were declared when the run began. ``stages``: the key of every stage and its kind.
    """

    lock_version: int = LOCK_VERSION
    name: str
    program: dict[str, str | None]
    python: str
    packages: dict[str, str]
    hardware: dict[str, Any]
    seeds: tuple[int, ...]
    files: dict[str, str]
    data: dict[str, str]
    models: dict[str, str]
    identity: RunIdentity
    gate: str
    stages: dict[str, str]


def write_lock(lock: Lock, path: Path) -> None:
    """Write the lock as sorted JSON."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_lock(path: Path) -> Lock:
    """Return the lock in a file; raises DataError when there is none, or none of this version."""
    again = f"Run `bench run {path.parent}` again: finished stages are kept."
    if not path.is_file():
        raise DataError(f"{path}: no lock there, so nobody knows what the run rested on. {again}")
    try:
        return Lock.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: not a lock of this version ({where}: {first['msg']}). {again}") from error
