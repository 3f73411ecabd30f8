"""``lock.json``: what a run rested on, so that a later one can say what has changed since."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.core.frozen import Frozen, digest_of_file
from bench.results.computed_on import ComputedOn
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.documents import RUN_AGAIN, JsonFile, as_json_without_empty
from bench.results.identity import RunIdentity

LOCK_VERSION = 1


class PluginUse(Frozen):
    """Code of others that a run executed, as far as it must be known to read what was concluded.

    ``kind``: judge, task, ... ``code``: the file's name, or the name that a package announces. ``name``: its NAME (a
    method has none: the same as ``code``). ``package``: the installed package and its version, None for a file.
    ``settings`` and ``defaults``: its plain fields, as they were and where nothing is written. ``metrics``: those of a
    task. ``cites``: the arXiv ids in its documentation. ``seed``: of a judge that draws noise.
    """

    kind: str
    code: str
    name: str
    package: str | None = None
    settings: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    metrics: tuple[dict[str, Any], ...] = ()
    cites: tuple[str, ...] = ()
    seed: int | None = None


class Lock(Frozen):
    """A run's surroundings and inputs.

    Equal runs of the same code write equal locks, except ``hardware`` and the digest of run.json, which holds times.

    ``program``: version and revision of this program. ``files``: digests of the comparison file and of plug-ins beside
    it. ``data`` and ``models``: what was read and from where, by digest or revision. ``gate``: the digest of the
    criteria as they were declared when the run began. ``stages``: the key of every stage and its kind. ``read``: the
    digest of every file and folder that the comparison names, by the end of its path that tells it apart. ``texts``:
    the comparison file and what it extends, by their paths from the results folder. ``written``: the digest of every
    file that the run wrote and its conclusions rest on, and of the conclusions. ``plugins``: the code of others that
    was executed. ``computed_on``: the processors, kernels and threads of the stages, which may have been computed
    elsewhere; ``hardware`` is where the run ended. ``formats`` and ``hub``: those of data that have one of ours, and
    commits and digests of data of the hub (``bench.config.fields.files_read``). A lock of an earlier version has none
    of these seven.
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
    written: dict[str, str] = {}
    plugins: tuple[PluginUse, ...] = ()
    computed_on: ComputedOn | None = None
    formats: dict[str, str] = {}
    hub: dict[str, str] = {}

    def changed(self, folder: Path) -> list[str]:
        """Return the files that lie in a results folder and are not what the run wrote; its conclusions left aside.

        These are made again by ``bench report``, and held against the rows where they are not the run's.
        """
        rows = {name: known for name, known in self.written.items() if name != CONCLUSIONS.name}
        return [name for name, known in rows.items() if differs(folder / name, known)]

    def has_other_conclusions(self, folder: Path) -> bool:
        """Return whether the conclusions that lie in a results folder are not those of the run, as far as is known."""
        known = self.written.get(CONCLUSIONS.name)
        return known is not None and differs(CONCLUSIONS.path(folder), known)

    def lost(self, folder: Path) -> list[str]:
        """Return the files that the run wrote and that are not in its folder."""
        return [name for name in self.written if not (folder / name).exists()]


def digests_in(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digests of files in a results folder, by name."""
    return {name: digest_of_file(folder / name) for name in sorted(names)}


def differs(path: Path, known: str) -> bool:
    """Return whether there is a file at a path and its bytes are others; what is no file is left to its reader."""
    try:
        return path.is_file() and digest_of_file(path) != known
    except OSError:
        return False


def _fields(body: Any) -> Any:
    """Return the fields of a lock of this version; raises ValueError for another one."""
    version = body.get("lock_version", LOCK_VERSION) if isinstance(body, dict) else LOCK_VERSION
    if version != LOCK_VERSION:
        raise ValueError(f"it has version {version!r}, and this program reads version {LOCK_VERSION}")
    return body


LATER_FIELDS = ("read", "texts", "written", "plugins", "computed_on", "formats", "hub")
LOCK = JsonFile("lock.json", Lock, "lock", RUN_AGAIN, as_json_without_empty(*LATER_FIELDS), _fields)
