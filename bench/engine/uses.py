"""What is used of a store: the stages that comparisons which ran here rest on, and those of runs that go on now.

Every run records its comparison's path and its keys in ``.uses/``, and holds a file there until it ends. Before there
were records, and for results that came from elsewhere, the keys are those of the ``lock.json`` in the folders beside
the store. What stands in neither is unreachable.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.config.document.merged import COMPARISON_FILE
from bench.core.errors import BenchError, DataError
from bench.core.files import kind_at, refuse_endless, replace_text
from bench.core.frozen import Frozen
from bench.core.stage import Stage
from bench.engine.store import USES, Store
from bench.results.held import Holder, held, read_holder, text_if_held
from bench.results.lock import LOCK

PRUNING, RUNNING = "pruning", "running-"


class Use(Frozen):
    """A comparison that ran, and its stages by kind.

    ``path``: its file. ``beside``: the same from the folder that the store is in, where it lies in that: both may have
    been moved together.
    """

    path: str
    beside: str | None
    stages: dict[str, str]

    def file(self, folder: Path) -> Path:
        """Return where its file is, for a store in a folder."""
        moved = None if self.beside is None else Path(os.path.normpath(folder / self.beside))
        return moved if moved is not None and kind_at(moved) == "file" else Path(self.path)


@dataclass(frozen=True)
class User:
    """A comparison that uses a store. ``keys``: what its last run asked for, and what the results beside it rest on.

    ``there``: whether its file or its results are where they were. ``record``: the file of its record, where one is.
    """

    path: Path
    keys: frozenset[str]
    there: bool
    record: Path | None


@dataclass(frozen=True)
class Used:
    """What is used of a store. ``running``: the keys of the runs that go on now, by who they are.

    ``unknown``: a line for every record that cannot be read, so that it is not known what is used.
    """

    users: tuple[User, ...]
    running: Mapping[str, frozenset[str]]
    unknown: tuple[str, ...]

    def keys(self, without: frozenset[Path] = frozenset()) -> frozenset[str]:
        """Return every key that is used, by other comparisons than those ``without``, or by a run that goes on."""
        of_users = (user.keys for user in self.users if user.path not in without)
        return frozenset().union(*of_users, *self.running.values())


@contextmanager
def in_use(store: Store, path: Path, stages: Mapping[str, Stage], told: Callable[[str], None]) -> Iterator[None]:
    """Record that the comparison at a path uses these stages, and keep every prune from them while the block runs.

    A prune that goes on is waited for; ``told`` is given a line then.
    """
    store.prepare()
    folder = uses_folder(store)
    beside = path.relative_to(store.root.parent).as_posix() if path.is_relative_to(store.root.parent) else None
    use = Use(path=str(path), beside=beside, stages={key: stage.KIND for key, stage in stages.items()})
    with ExitStack() as until_it_ends:
        with pruning_waits(store, told):
            facts = {"path": str(path), "keys": sorted(stages)}
            running = folder / f"{RUNNING}{uuid.uuid4().hex}"
            until_it_ends.enter_context(held(running, facts, lambda _holder: None))
            record = _record_of(store, use)
            if kind_at(record) == "folder":
                raise BenchError(f"{record}: a folder stands where runs record what they use. Move it away.")
            replace_text(record, json.dumps(use.model_dump(), indent=1) + "\n")
        yield


def uses_folder(store: Store) -> Path:
    """Return the folder of what is used after making it; raises BenchError where something else is in its place."""
    folder = store.root / USES
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BenchError(
            f"{folder}: no folder can be made there ({error.strerror}), and runs record in it what they use. Move away "
            "what stands there, or make the store writable."
        ) from error
    return folder


@contextmanager
def pruning_waits(store: Store, told: Callable[[str], None]) -> Iterator[None]:
    """Hold what a prune holds while it removes something, and wait for one that does."""

    def wait_for(holder: Holder | None) -> None:
        who = "" if holder is None else f" ({holder})"
        told(f"another command{who} looks what is used of the store {store.root}; this one waits until that has ended")

    with held(uses_folder(store) / PRUNING, {}, wait_for):
        yield


def used(store: Store) -> Used:
    """Return what is used of a store."""
    unknown: list[str] = []
    found: dict[Path, tuple[frozenset[str], Path | None]] = {}
    for record in sorted((store.root / USES).glob("*.json")):
        try:
            refuse_endless(record)
            use = Use.model_validate_json(record.read_text(encoding="utf-8"))
        except (ValidationError, ValueError, OSError) as error:
            reason = str(error).partition("\n")[0]
            unknown.append(f"{record}: no record of what a comparison uses can be read there ({reason})")
            continue
        path = use.file(store.root.parent)
        before, _ = found.get(path, (frozenset(), None))  # of a tree that was moved there may be two
        found[path] = (before | frozenset(use.stages), record)
    neighbours = {file.parent for file in store.root.parent.glob(f"*/{LOCK.name}")}
    recorded = {path.parent for path in found if kind_at(LOCK.path(path.parent)) == "file"}
    for folder in sorted(neighbours | recorded):
        try:
            keys = frozenset(LOCK.read(folder).stages)
        except DataError as error:
            unknown.append(str(error))
            continue
        of_folder = [path for path in found if path.parent == folder] or [folder / COMPARISON_FILE]
        for path in of_folder:
            before, own_record = found.get(path, (frozenset(), None))
            found[path] = (before | keys, own_record)
    users = tuple(
        User(path, keys, "file" in (kind_at(path), kind_at(LOCK.path(path.parent))), record)
        for path, (keys, record) in found.items()
    )
    return Used(users, _running(store, unknown), tuple(unknown))


def _running(store: Store, unknown: list[str]) -> dict[str, frozenset[str]]:
    """Return the keys of the runs that go on, by a name of each; ``unknown`` gets a line for each that cannot be read.

    Whoever holds what a prune holds finds all of them written.
    """
    found = {}
    for file in sorted((store.root / USES).glob(f"{RUNNING}*")):
        text = text_if_held(file)
        holder = None if text is None else read_holder(text)
        if holder is not None and {"path", "keys"} <= holder.facts.keys():
            found[f"{holder.facts['path']} ({holder})"] = frozenset(holder.facts["keys"])
        elif text is not None:
            unknown.append(f"{file}: a run goes on, and what it uses cannot be read there")
    return found


def _record_of(store: Store, use: Use) -> Path:
    named = use.path if use.beside is None else use.beside
    return store.root / USES / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"
