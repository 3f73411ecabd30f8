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

from bench.core.errors import DamagedArtefact, StageError
from bench.core.frozen import digest_of_file, encode
from bench.core.stage import Stage

if TYPE_CHECKING:
    from bench.config.comparison import Comparison

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
# The part of a store that `bench run --portable` fills: equal keys, and other last digits.
PORTABLE_PART = ".portable"


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

    def place(self, stage: Stage) -> Path:
        """Return where the artefact of a stage lies, or would lie."""
        return self.root / stage.KIND / stage.key

    def scratch(self, stage: Stage) -> Path:
        """Return the folder in which a stage keeps its own checkpoints between attempts."""
        return self.root / ".work" / stage.key / "scratch"

    @property
    def answers(self) -> Path:
        """The folder with all answers that were ever paid for (``bench.evaluation.api``), which both parts share."""
        whole = self.root.parent if self.holds_portable else self.root
        return whole / ".answers"

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


def store_of(comparison: Comparison) -> Store:
    """Return the store of a comparison: ``.store`` beside its folder, shared with its neighbours."""
    return Store(Path(comparison.path).parent.parent / ".store")


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
