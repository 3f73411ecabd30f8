"""What of a store nobody uses, and removing it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from bench.core.errors import BenchError
from bench.core.files import remove_partials
from bench.core.stage import LOCKS
from bench.engine.holdings import KEY, Artefact, artefacts, size_of
from bench.engine.store import DAMAGED, LENGTHS, LOGS, TOKENS, USES, WORK, Store
from bench.engine.uses import RUNNING, Used, User, pruning_waits, used
from bench.results.held import held_if_free

T = TypeVar("T", Artefact, "Leftover")
REMOVED = ".removed"  # what is about to go lies here for a moment: a kill leaves no half of an artefact in its place
ASKERS = "askers"  # in the folder of answers: a lock file of every process that asks


@dataclass(frozen=True)
class Leftover:
    """What is left of damaged artefacts, of unfinished stages or of workers, and kept tokens: where it lies, its bytes.

    ``key``: of the stage or tokens whose lock must be free when it goes; None for what belongs to none.
    """

    path: Path
    size: int
    key: str | None = None


@dataclass(frozen=True)
class Prunable:
    """What can go from a store: artefacts that nobody uses, leftovers, and the records of those who are gone."""

    artefacts: tuple[Artefact, ...]
    leftovers: tuple[Leftover, ...]
    gone: tuple[User, ...]

    @property
    def size(self) -> int:
        """The bytes of all of it."""
        return sum(one.size for one in self.artefacts) + sum(one.size for one in self.leftovers)


@dataclass
class Pruned:
    """What has gone, in bytes and by number; a line for what is ``kept`` since it is computed now, or cannot go."""

    artefacts: int = 0
    leftovers: int = 0
    size: int = 0
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def prunable(store: Store, known: Used, gone: Collection[User] = ()) -> Prunable:
    """Return what can go from a store of which it is known what is used. ``gone``: whose stages nobody needs any more.

    Answers that were paid for are never among it.
    """
    needed = known.keys(without=frozenset(user.path for user in gone))
    held = artefacts(store.root)
    finished = {one.key for one in held}
    return Prunable(
        artefacts=tuple(one for one in held if one.key not in needed),
        leftovers=tuple(_leftovers(store.root, known, needed, finished)),
        gone=tuple(gone),
    )


def _leftovers(root: Path, known: Used, needed: Collection[str], finished: Collection[str]) -> Iterator[Leftover]:
    running = frozenset().union(*known.running.values())
    for path in (*inside(root / DAMAGED), *inside(root / REMOVED)):
        yield Leftover(path, size_of(path))
    for path in inside(root / WORK):
        # A stage that is needed and not finished goes on from its checkpoint.
        if path.name not in running and (path.name not in needed or path.name in finished):
            yield Leftover(path, size_of(path), path.name)
    for path in inside(root / LOCKS):
        if path.stem not in running:
            yield Leftover(path, size_of(path), path.stem)
    if not known.running:
        for path in inside(root / LOGS):
            yield Leftover(path, size_of(path))
        for path in inside(root / TOKENS):  # a run that begins makes again what it needs of them
            yield Leftover(path, size_of(path), path.name if KEY.fullmatch(path.name) else None)


def inside(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order; nothing where there is no such folder."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def refuse_unknown(known: Used) -> None:
    """Raise BenchError where it is not known what all who use the store use."""
    if known.unknown:
        lines = "\n    ".join(known.unknown)
        raise BenchError(
            f"nothing is removed while it is not known what is used:\n    {lines}\n"
            "  Mend or remove these files, then prune again."
        )


def prune(store: Store, agreed: Prunable, told: Callable[[str], None]) -> Pruned:
    """Return what has gone of what was agreed to: only what still nobody uses, and no stage that is computed now.

    No run begins while this goes on, and a run that has begun keeps its stages; ``told`` is given a line where another
    prune is waited for. Whatever ends this, every artefact that is left is whole. Raises BenchError where it is not
    known what is used.
    """
    done = Pruned()
    with pruning_waits(store, told):
        known = used(store)
        refuse_unknown(known)
        still = prunable(store, known, agreed.gone)
        for one in _both(still.artefacts, agreed.artefacts):
            done.artefacts += _remove(one.path, one.size, one.key, store, done)
        for left in _both(still.leftovers, agreed.leftovers):
            done.leftovers += _remove(left.path, left.size, left.key, store, done)
        for record in (user.record for user in agreed.gone if user.record is not None):
            record.unlink(missing_ok=True)
        for running in (store.root / USES).glob(f"{RUNNING}*"):
            with held_if_free(running):
                pass  # of a run that was killed: it goes with its last holder
        for folder in (store.root, store.root / USES, store.root / LENGTHS):
            remove_partials(folder)
    return done


def _both(still: Collection[T], agreed: Collection[T]) -> list[T]:
    paths = {one.path for one in agreed}
    return [one for one in still if one.path in paths]


def _remove(path: Path, size: int, key: str | None, store: Store, done: Pruned) -> bool:
    """Return whether something of a store has gone; a stage that is computed now stays, and is named."""
    with lock_if_free(store, key) as free:
        if not free:
            done.kept.append(f"{path.relative_to(store.root)}: it is being computed")
            return False
        try:
            discard(path, store)
        except OSError as error:
            done.failed.append(f"{path.relative_to(store.root)}: it cannot be removed ({error.strerror})")
            return False
    done.size += size
    return True


def remove_answers(store: Store, told: Callable[[str], None]) -> int:
    """Return the bytes of all answers that were paid for, which have gone. Raises BenchError while somebody asks."""
    size = size_of(store.answers)
    with pruning_waits(store, told):
        if running := used(store).running:
            raise BenchError(f"the answers are used by a run that goes on: {', '.join(running)}. Wait for its end.")
        for asker in inside(store.answers / ASKERS):
            try:
                FileLock(asker).acquire(timeout=0).lock.release()
            except Timeout as error:
                raise BenchError(f"{store.answers}: a process asks just now. Wait for its end.") from error
        if store.answers.exists():
            discard(store.answers, store)
    return size


def discard(path: Path, store: Store) -> None:
    """Remove a file or folder of a store: out of its place first, in one rename."""
    aside = store.root / REMOVED / uuid.uuid4().hex
    aside.parent.mkdir(exist_ok=True)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return  # gone meanwhile
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink()


@contextmanager
def lock_if_free(store: Store, key: str | None) -> Iterator[bool]:
    """Hold the lock of a stage while the block runs; yields whether it was free. Without a key there is no lock."""
    if key is None:
        yield True
        return
    file = store.root / LOCKS / f"{key}.lock"
    file.parent.mkdir(exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        file.unlink(missing_ok=True)
        lock.release()
