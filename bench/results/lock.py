"""``lock.json``: what a run rested on, so that a later one can say what has changed since."""

from __future__ import annotations

from typing import Any

from bench.core.frozen import Frozen
from bench.results.computed_on import ComputedOn
from bench.results.documents import RUN_AGAIN, JsonFile, as_json_without_empty
from bench.results.identity import RunIdentity

LOCK_VERSION = 1


class Lock(Frozen):
    """A run's surroundings and inputs. Equal runs of the same code write equal locks, ``hardware`` excepted.

    ``program``: version and revision of this program. ``files``: digests of the comparison file and of plug-ins beside
    it. ``data`` and ``models``: what was read and from where, by digest or revision. ``gate``: the digest of the
    criteria as they were declared when the run began. ``stages``: the key of every stage and its kind. ``read``: the
    digest of every file and folder that the comparison names, by the end of its path that tells it apart. ``texts``:
    the comparison file and what it extends, by their paths from the results folder. ``computed_on``: the processors,
    kernels and threads of the stages, which may have been computed elsewhere; ``hardware`` is where the run ended. A
    lock of an earlier version has none of these three.
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
    read: dict[str, str] = {}
    texts: dict[str, str] = {}
    computed_on: ComputedOn | None = None


LOCK = JsonFile("lock.json", Lock, "lock", RUN_AGAIN, as_json_without_empty("read", "texts", "computed_on"))
