"""The store: payloads addressed by the content of the computation that made them.

``<root>/<kind>/<key>/`` holds the payload and ``manifest.json``. A payload is first written to a working folder, the
manifest goes in last, and one rename makes the artefact visible: whatever is at its final place is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from bench.core.errors import BenchError, DamagedArtefact, StageError
from bench.core.files import replacing
from bench.core.frozen import digest_of_file, encode
from bench.core.stage import Stage

if TYPE_CHECKING:
    from bench.config.comparison import Comparison

STORE, STORE_VARIABLE = ".store", "ALIGNMENT_BENCH_STORE"
# What a folder is known by as a store, and no other folder that a prune must keep its hands off.
MARKS = (".uses", ".locks", ".lengths", ".answers", ".work")
IGNORED = "# Stages that alignment-bench has computed: `bench store` says what is here.\n*\n"
MANIFEST = "manifest.json"
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What is known about a finished artefact: its files with their digests, its cost, and where it was made."""

    kind: str
    key: str
    files: Mapping[str, str]
    cost: Mapping[str, float]
    provenance: Mapping[str, Any]


class Store:
    """Artefacts below one folder. Safe for several processes: the lock of a key admits one writer at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: set[str] = set()

    def prepare(self) -> None:
        """Make the folder, with a ``.gitignore`` in it that keeps all of it out of a repository."""
        self.root.mkdir(parents=True, exist_ok=True)
        ignored = self.root / ".gitignore"
        if not ignored.exists():
            with replacing(ignored) as partial:
                partial.write_text(IGNORED, encoding="utf-8")

    def place(self, stage: Stage) -> Path:
        """Return where the artefact of a stage lies, or would lie."""
        return self.root / stage.KIND / stage.key

    def scratch(self, stage: Stage) -> Path:
        """Return the folder in which a stage keeps its own checkpoints between attempts."""
        return self.root / ".work" / stage.key / "scratch"

    @property
    def answers(self) -> Path:
        """The folder with all answers that were ever paid for (``bench.evaluation.api``)."""
        return self.root / ".answers"

    def find(self, stage: Stage) -> Manifest | None:
        """Return the manifest of a finished artefact whose bytes are as recorded, or None when there is none.

        Raises DamagedArtefact when it is there but its bytes have changed. Bytes are read once per process.
        """
        folder = self.place(stage)
        try:
            manifest = read_manifest(folder)
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DamagedArtefact(f"{stage.label()}: its manifest cannot be read ({error})") from error
        if stage.key not in self._verified:
            self._verify(stage, folder, manifest)
            self._verified.add(stage.key)
        return manifest

    def _verify(self, stage: Stage, folder: Path, manifest: Manifest) -> None:
        if manifest.key != stage.key:
            raise DamagedArtefact(f"{stage.label()}: its manifest belongs to {manifest.key[:10]}")
        present = files_below(folder)
        if present.keys() != manifest.files.keys():
            odd = sorted(present.keys() ^ manifest.files.keys())
            raise DamagedArtefact(f"{stage.label()}: files differ from the manifest: {', '.join(odd)}")
        for name, path in present.items():
            if digest_of_file(path) != manifest.files[name]:
                raise DamagedArtefact(f"{stage.label()}: {name} differs from the digest in its manifest")

    def payload(self, stage: Stage) -> Path:
        """Return the payload folder of a finished stage; raises StageError when there is none."""
        if self.find(stage) is None:
            raise StageError(f"{stage.label()} has not been computed yet, but another stage wants to read it")
        return self.place(stage)

    def set_aside(self, stage: Stage) -> Path | None:
        """Move a damaged artefact out of the way and return where it went, or None when it is gone already."""
        folder = self.place(stage)
        target = self.root / ".damaged" / f"{stage.key}-{time.time_ns()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        self._verified.discard(stage.key)
        try:
            folder.rename(target)
        except FileNotFoundError:
            return None
        return target

    @contextlib.contextmanager
    def lock(self, stage: Stage) -> Iterator[None]:
        """Hold the lock of a key; the operating system frees it when the process dies, however it dies."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{stage.key}.lock"):
            yield

    def fresh_payload_folder(self, stage: Stage) -> Path:
        """Return an empty folder to write a payload in; leftovers of a killed attempt are removed."""
        out = self.root / ".work" / stage.key / "payload"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.scratch(stage).mkdir(parents=True, exist_ok=True)
        return out

    def commit(self, stage: Stage, out: Path, cost: Mapping[str, float], provenance: Mapping[str, Any]) -> Manifest:
        """Return the manifest after writing it last, syncing, and renaming the payload to its final place."""
        files = {name: digest_of_file(path) for name, path in files_below(out).items()}
        manifest = Manifest(stage.KIND, stage.key, files, dict(cost), dict(provenance))
        body = {
            "manifest_version": MANIFEST_VERSION,
            "kind": manifest.kind,
            "key": manifest.key,
            "version": stage.VERSION,
            "inputs": {step.key: step.KIND for step in stage.inputs()},
            "spec": encode(stage),
            "files": files,
            "cost": manifest.cost,
            "provenance": manifest.provenance,
        }
        for path in files_below(out).values():
            sync(path)
        manifest_path = out / MANIFEST
        manifest_path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        sync(manifest_path)
        target = self.place(stage)
        target.parent.mkdir(parents=True, exist_ok=True)
        out.rename(target)
        sync(target.parent)
        self._verified.add(stage.key)
        shutil.rmtree(out.parent, ignore_errors=True)
        return manifest


def store_of(comparison: Comparison, given: Path | None = None) -> Store:
    """Return the store of a comparison: the ``given`` folder, that of ``ALIGNMENT_BENCH_STORE``, or one beside it.

    That is ``.store`` beside the comparison's folder, shared with its neighbours. Where a store lies is in no key.
    """
    chosen = chosen_store(given)
    return Store(Path(comparison.path).parent.parent / STORE if chosen is None else chosen)


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


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in a folder; raises FileNotFoundError when there is none."""
    body = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return Manifest(body["kind"], body["key"], body["files"], body["cost"], body["provenance"])


def files_below(folder: Path) -> dict[str, Path]:
    """Return the payload files below a folder by relative name, in order, the manifest left out."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: path for path in found if (name := path.relative_to(folder).as_posix()) != MANIFEST}


def sync(path: Path) -> None:
    """Make a file or folder durable, so that a power cut cannot leave a manifest without its payload."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
