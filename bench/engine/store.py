"""The store: payloads addressed by the content of the computation that made them.

``<root>/<kind>/<key>/`` holds the payload and ``manifest.json``. A payload is first written to a working folder, the
manifest goes in last, and one rename makes the artefact visible: whatever is at its final place is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from bench.core.errors import BenchError, DamagedArtefact, StageError, one_line
from bench.core.files import make_durable, replace_text
from bench.core.frozen import digest_of_file
from bench.core.machine_limits import MachineError, limit_of, says_nothing_of_the_file, told_of_machine
from bench.core.stage import LOCKS, Stage
from bench.engine.manifest import MANIFEST, Manifest, read_manifest

if TYPE_CHECKING:
    from bench.config.comparison import Comparison

STORE, STORE_VARIABLE = ".store", "ALIGNMENT_BENCH_STORE"
WORK, LOGS, DAMAGED = ".work", ".logs", ".damaged"
ANSWERS, LENGTHS, USES, TOKENS = ".answers", ".lengths", ".uses", ".tokens"
# What a folder is known by as a store, and no other folder that a prune must keep its hands off.
MARKS = (USES, LOCKS, LENGTHS, ANSWERS, WORK, TOKENS)
IGNORED = "# Stages that alignment-bench has computed: `bench store` says what is here.\n*\n"
# What locking gives where a file system has none; NFS without its lock daemon gives ENOLCK.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# The part of a store that `bench run --portable` fills: equal keys, and other last digits.
PORTABLE_PART = ".portable"


class Store:
    """Artefacts below one folder. Safe for several processes: the lock of a key admits one writer at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: set[str] = set()
        self._told: list[str] = []

    def prepare(self) -> None:
        """Make the folder, with a ``.gitignore`` in it that keeps all of it out of a repository."""
        self.root.mkdir(parents=True, exist_ok=True)
        ignored = self.root / ".gitignore"
        if not ignored.exists():
            replace_text(ignored, IGNORED)

    def place(self, stage: Stage) -> Path:
        """Return where the artefact of a stage lies, or would lie."""
        return self.root / stage.KIND / stage.key

    def scratch(self, stage: Stage) -> Path:
        """Return the folder in which a stage keeps its own checkpoints between attempts."""
        return self.root / WORK / stage.key / "scratch"

    @property
    def answers(self) -> Path:
        """The folder with all answers that were ever paid for (``bench.evaluation.api``), which both parts share."""
        whole = self.root.parent if self.holds_portable else self.root
        return whole / ANSWERS

    @property
    def tokens(self) -> Path:
        """The folder with data as tokens (``bench.models.tokenised``), which both parts share: they are not rounded."""
        whole = self.root.parent if self.holds_portable else self.root
        return whole / TOKENS

    @property
    def portable(self) -> Store:
        """The part of this store with what portable kernels computed; itself where it is that part."""
        return self if self.holds_portable else Store(self.root / PORTABLE_PART)

    @property
    def holds_portable(self) -> bool:
        """Whether this is the part with what portable kernels computed."""
        return self.root.name == PORTABLE_PART

    def find(self, stage: Stage) -> Manifest | None:
        """Return the manifest of a finished artefact whose bytes are as recorded, or None when there is none.

        Raises DamagedArtefact when something is there that is not that artefact, whole. Bytes are read once per
        process.
        """
        manifest = self.recorded(stage)
        if manifest is not None and stage.key not in self._verified:
            for name, path in files_below(self.place(stage)).items():
                if _digest(stage, path) != manifest.files[name]:
                    raise DamagedArtefact(f"{stage.label()}: {name} differs from the digest in its manifest")
            self._verified.add(stage.key)
        return manifest

    def recorded(self, stage: Stage) -> Manifest | None:
        """Return the manifest of an artefact, or None when there is none, without reading the payload's bytes.

        Raises DamagedArtefact for a manifest that cannot be read or belongs to another stage, and where the files are
        not those that it names.
        """
        folder = self.place(stage)
        try:
            folder.lstat()
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise DamagedArtefact(f"{stage.label()}: a file stands where the folder {stage.KIND} belongs") from error
        try:
            manifest = read_manifest(folder)
        except DamagedArtefact as damage:
            raise DamagedArtefact(f"{stage.label()}: {damage}") from damage
        if (manifest.key, manifest.kind) != (stage.key, stage.KIND):
            other = one_line(f"{manifest.kind} {manifest.key[:10]}", 60)
            raise DamagedArtefact(f"{stage.label()}: its manifest belongs to {other}")
        try:
            odd = sorted(files_below(folder).keys() ^ manifest.files.keys())
        except RecursionError as error:
            raise DamagedArtefact(f"{stage.label()}: folders are nested too deeply in it") from error
        if odd:
            named = one_line(", ".join(odd), 200)
            raise DamagedArtefact(f"{stage.label()}: files differ from the manifest: {named}")
        return manifest

    def payload(self, stage: Stage) -> Path:
        """Return the payload folder of a finished stage; raises StageError when there is none.

        Raises DamagedArtefact, with what to do, where it is not as it was recorded.
        """
        try:
            manifest = self.find(stage)
        except DamagedArtefact as damage:
            raise DamagedArtefact(
                f"{damage}. Run the comparison again: it is set aside and computed again."
            ) from damage
        if manifest is None:
            raise StageError(f"{stage.label()} has not been computed yet, but another stage wants to read it")
        return self.place(stage)

    def set_aside(self, stage: Stage) -> Path | None:
        """Move a damaged artefact out of the way and return where it went, or None when it is gone already."""
        self._verified.discard(stage.key)
        self._make_folder(self.place(stage).parent)
        return self._move_aside(self.place(stage), stage.key)

    def _move_aside(self, path: Path, name: str) -> Path | None:
        damaged = self.root / DAMAGED
        if os.path.lexists(damaged) and not damaged.is_dir():
            damaged.rename(self.root / f"{DAMAGED}-{time.time_ns()}")
        damaged.mkdir(parents=True, exist_ok=True)
        target = damaged / f"{name}-{time.time_ns()}"
        try:
            path.rename(target)
        except FileNotFoundError:
            return None
        return target

    def _make_folder(self, folder: Path) -> Path:
        """Return a folder of the store after making it. A file or a dead link in its way is set aside and told."""
        for part in (*reversed(folder.relative_to(self.root).parents), folder.relative_to(self.root)):
            place = self.root / part
            if os.path.lexists(place) and not place.is_dir():
                if place == self.root:  # there is nowhere to move it to
                    raise MachineError(f"{place}: a file stands where the store belongs. Move it away.")
                went = self._move_aside(place, part.name)
                self._told.append(f"{place}: what stood where a folder of the store belongs was moved to {went}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def told(self) -> list[str]:
        """Return what was set aside, beside artefacts, since this was last asked."""
        told, self._told = self._told, []
        return told

    def make_ready(self, stages: Iterable[Stage]) -> None:
        """Make the store's own folders and see that they, and those of these stages, can be written to and locked.

        Raises MachineError where that is not so: before anything is computed that could not be kept.
        """
        kinds = (self.root / kind for kind in sorted({stage.KIND for stage in stages}))
        try:
            own = [self._make_folder(self.root / name) for name in (LOCKS, WORK, LOGS)]
            self.prepare()
        except OSError as error:
            raise MachineError(f"{self.root}: {_cannot_be_written(error)}") from error
        for folder in (self.root, *own, *(kind for kind in kinds if kind.is_dir())):
            require_writable(folder)
        self._acquire(self.root / LOCKS / "ready.lock").release()

    @contextlib.contextmanager
    def lock(self, stage: Stage) -> Iterator[None]:
        """Hold the lock of a key; the operating system frees it when the process dies, however it dies.

        Raises MachineError where the file system has no locks.
        """
        file = self._make_folder(self.root / LOCKS) / f"{stage.key}.lock"
        if os.path.lexists(file) and not file.is_file():
            self._told.append(f"{file}: no lock file, moved to {self._move_aside(file, file.name)}")
        lock = self._acquire(file)
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, file: Path) -> FileLock:
        """Return the lock of a file, held; raises MachineError where the file system has no locks."""
        lock = FileLock(file)
        try:
            lock.acquire()
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            why = "the file system has no locks (flock), and runs share a store by them"
            raise MachineError(f"{self.root}: {why}. Put it on a disk that has.") from error
        return lock

    def fresh_payload_folder(self, stage: Stage) -> Path:
        """Return an empty folder to write a payload in; leftovers of a killed attempt are removed."""
        work = self._make_folder(self.root / WORK / stage.key)
        out = work / "payload"
        if out.is_dir() and not out.is_symlink():
            shutil.rmtree(out)
        elif out.is_symlink():
            out.unlink()
        self._make_folder(self.scratch(stage))
        return self._make_folder(out)

    def commit(self, stage: Stage, out: Path, cost: Mapping[str, float], provenance: Mapping[str, Any]) -> Manifest:
        """Return the manifest after writing it last, syncing, and renaming the payload to its final place."""
        files = {name: digest_of_file(path) for name, path in files_below(out).items()}
        manifest = Manifest(stage.KIND, stage.key, files, dict(cost), dict(provenance))
        for path in files_below(out).values():
            make_durable(path)
        manifest_path = out / MANIFEST
        manifest_path.write_text(manifest.text_for(stage), encoding="utf-8")
        make_durable(manifest_path)
        target = self.place(stage)
        self._make_folder(target.parent)
        out.rename(target)
        make_durable(target.parent)
        self._verified.add(stage.key)
        shutil.rmtree(out.parent, ignore_errors=True)
        return manifest


def store_of(comparison: Comparison, given: Path | None = None) -> Store:
    """Return the store of a comparison: the ``given`` folder, that of ``ALIGNMENT_BENCH_STORE``, or one beside it.

    That is ``.store`` beside the comparison's folder, shared with its neighbours. Where a store lies is in no key.
    """
    chosen = chosen_store(given)
    return Store(Path(comparison.path).parent.parent / STORE if chosen is None else chosen)


def store_beside(path: Path, given: Path | None = None) -> Path:
    """Return the folder of the store that a comparison file or its folder will have; see ``store_of``."""
    chosen = chosen_store(given)
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    return folder.parent / STORE if chosen is None else chosen


def chosen_store(given: Path | None) -> Path | None:
    """Return the absolute path of the ``given`` store, else of that of the environment; None where neither is.

    Raises BenchError for a folder that holds something else.
    """
    named = given or os.environ.get(STORE_VARIABLE)  # an empty variable names none
    if not named:
        return None
    folder = Path(named).expanduser().absolute()
    if folder.exists() and not is_store(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        how = f"--store {given}" if given else f"{STORE_VARIABLE}={named}"
        raise BenchError(f"{how}: there is something else than a store. Name a new folder, an empty one, or a store.")
    return folder


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store, by what no other folder has in it."""
    return any((folder / mark).is_dir() for mark in MARKS)


def require_writable(folder: Path) -> None:
    """Raise MachineError where nothing can be written in a folder, be it for its rights or for want of room."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-") as file:
            file.write(bytes(4096))
    except OSError as error:
        raise MachineError(f"{folder}: {_cannot_be_written(error)}") from error


def _cannot_be_written(error: OSError) -> str:
    """Return why nothing can be written somewhere, and what to do, without the name of the file that was tried."""
    limit = limit_of(error)
    if limit is not None and (told := told_of_machine(OSError(limit, ""))) is not None:
        return told
    return f"nothing can be written there ({error.strerror}). Make the folder writable; the same command then goes on."


def _digest(stage: Stage, path: Path) -> str:
    try:
        return digest_of_file(path)
    except OSError as error:
        if says_nothing_of_the_file(error):
            raise
        raise DamagedArtefact(f"{stage.label()}: {path.name} cannot be read ({error.strerror})") from error


def files_below(folder: Path) -> dict[str, Path]:
    """Return the payload files below a folder by relative name, in order, the manifest left out."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: path for path in found if (name := path.relative_to(folder).as_posix()) != MANIFEST}
