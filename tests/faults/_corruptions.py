"""What happens to an artefact of the store: by name, a function of its folder and the folder's store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.engine.manifest import CHECKSUM, MANIFEST, checksum

Corruption = Callable[[Path, Path], None]


def as_bytes(content: bytes) -> Corruption:
    """The manifest is these bytes."""

    def do(artefact: Path, _store: Path) -> None:
        (artefact / MANIFEST).write_bytes(content)

    return do


def part(share: float) -> Corruption:
    """Only so much of the manifest is left."""

    def do(artefact: Path, _store: Path) -> None:
        content = (artefact / MANIFEST).read_bytes()
        (artefact / MANIFEST).write_bytes(content[: int(len(content) * share)])

    return do


def zeroed(artefact: Path, _store: Path) -> None:
    """As many zeros as it had bytes: what a power cut leaves."""
    (artefact / MANIFEST).write_bytes(bytes((artefact / MANIFEST).stat().st_size))


def flipped(near: str, bit: int = 0) -> Corruption:
    """One bit of the first character behind a text of the manifest is another."""

    def do(artefact: Path, _store: Path) -> None:
        content = bytearray((artefact / MANIFEST).read_bytes())
        content[content.index(near.encode()) + len(near)] ^= 1 << bit
        (artefact / MANIFEST).write_bytes(bytes(content))

    return do


def field(name: str, value: Any) -> Corruption:
    """A field holds something else, and the checksum is right: it was written so."""

    def do(artefact: Path, _store: Path) -> None:
        body = json.loads((artefact / MANIFEST).read_text())
        *path, last = name.split(".")
        place = body
        for key in path:
            place = place[key]
        place[last] = value
        body[CHECKSUM] = checksum(body)
        (artefact / MANIFEST).write_text(json.dumps(body))

    return do


def spelt(number: str) -> Corruption:
    """A cost is a number that JSON allows and no computation has."""

    def do(artefact: Path, store: Path) -> None:
        field("cost.seconds", "HERE")(artefact, store)
        text = (artefact / MANIFEST).read_text().replace('"HERE"', number)
        (artefact / MANIFEST).write_text(text)

    return do


def without(name: str) -> Corruption:
    """A field is not there."""

    def do(artefact: Path, _store: Path) -> None:
        body = json.loads((artefact / MANIFEST).read_text())
        del body[name]
        (artefact / MANIFEST).write_text(json.dumps(body))

    return do


def of_another(artefact: Path, _store: Path) -> None:
    """The manifest is that of a neighbour."""
    other = next(path for path in sorted(artefact.parent.iterdir()) if path != artefact)
    shutil.copy(other / MANIFEST, artefact / MANIFEST)


def no_manifest(artefact: Path, _store: Path) -> None:
    """The payload is there, its manifest is not."""
    (artefact / MANIFEST).unlink()


def manifest_is_a_folder(artefact: Path, _store: Path) -> None:
    (artefact / MANIFEST).unlink()
    (artefact / MANIFEST / "within").mkdir(parents=True)


def manifest_is_a_pipe(artefact: Path, _store: Path) -> None:
    """Whoever opened it would wait for a writer."""
    (artefact / MANIFEST).unlink()
    os.mkfifo(artefact / MANIFEST)


def manifest_leads_to_itself(artefact: Path, _store: Path) -> None:
    (artefact / MANIFEST).unlink()
    (artefact / MANIFEST).symlink_to(MANIFEST)


def manifest_is_huge(artefact: Path, _store: Path) -> None:
    with (artefact / MANIFEST).open("r+b") as file:
        file.truncate(2**40)  # without a byte on the disk


def artefact_is_a_file(artefact: Path, _store: Path) -> None:
    shutil.rmtree(artefact)
    artefact.write_text("a file")


def artefact_is_empty(artefact: Path, _store: Path) -> None:
    shutil.rmtree(artefact)
    artefact.mkdir()


def artefact_leads_to_itself(artefact: Path, _store: Path) -> None:
    shutil.rmtree(artefact)
    artefact.symlink_to(artefact.name)


def artefact_leads_nowhere(artefact: Path, _store: Path) -> None:
    shutil.rmtree(artefact)
    artefact.symlink_to("nowhere")


def artefact_is_a_neighbour(artefact: Path, _store: Path) -> None:
    """The link leads to another artefact of the kind."""
    other = next(path for path in sorted(artefact.parent.iterdir()) if path != artefact)
    shutil.rmtree(artefact)
    artefact.symlink_to(other.name)


def kind_is_a_file(artefact: Path, _store: Path) -> None:
    shutil.rmtree(artefact.parent)
    artefact.parent.write_text("a file")


def payload_of(artefact: Path) -> Path:
    """The largest file of the payload."""
    files = [path for path in artefact.rglob("*") if path.is_file() and path.name != MANIFEST]
    return max(files, key=lambda path: path.stat().st_size)


def payload_flipped(artefact: Path, _store: Path) -> None:
    content = bytearray(payload_of(artefact).read_bytes())
    content[len(content) // 2] ^= 1
    payload_of(artefact).write_bytes(bytes(content))


def payload_cut(artefact: Path, _store: Path) -> None:
    os.truncate(payload_of(artefact), payload_of(artefact).stat().st_size // 2)


def payload_gone(artefact: Path, _store: Path) -> None:
    payload_of(artefact).unlink()


def payload_more(artefact: Path, _store: Path) -> None:
    (artefact / "more.txt").write_text("more")


def payload_is_a_folder(artefact: Path, _store: Path) -> None:
    file = payload_of(artefact)
    file.unlink()
    file.mkdir()


def payload_leads_to_itself(artefact: Path, _store: Path) -> None:
    file = payload_of(artefact)
    file.unlink()
    file.symlink_to(file.name)


def own_folder_is_a_file(name: str) -> Corruption:
    """A folder of the store's own is a file, and the artefact has to be computed again."""

    def do(artefact: Path, store: Path) -> None:
        shutil.rmtree(store / name, ignore_errors=True)
        (store / name).write_text("a file")
        payload_cut(artefact, store)

    return do


def own_folder_leads_to_itself(artefact: Path, store: Path) -> None:
    shutil.rmtree(store / ".locks", ignore_errors=True)
    (store / ".locks").symlink_to(".locks")
    payload_cut(artefact, store)


def lock_is_a_folder(artefact: Path, store: Path) -> None:
    lock = store / ".locks" / f"{artefact.name}.lock"
    lock.unlink(missing_ok=True)
    (lock / "within").mkdir(parents=True)
    payload_cut(artefact, store)


def work_is_a_file(artefact: Path, store: Path) -> None:
    (store / ".work").mkdir(exist_ok=True)
    (store / ".work" / artefact.name).write_text("a file")
    payload_cut(artefact, store)


def scratch_is_a_file(artefact: Path, store: Path) -> None:
    work = store / ".work" / artefact.name
    work.mkdir(parents=True)
    (work / "payload").write_text("a file")
    (work / "scratch").write_text("a file")
    payload_cut(artefact, store)


DEEP = 100_000
SEEN_BY_A_PLAN: dict[str, Corruption] = {
    "the manifest is empty": as_bytes(b""),
    "half of the manifest": part(0.5),
    "the manifest but for its last bytes": part(0.99),
    "the manifest is zeros": zeroed,
    "the manifest is []": as_bytes(b"[]"),
    "the manifest is null": as_bytes(b"null"),
    "the manifest is a text": as_bytes(b'"manifest"'),
    "the manifest is a number": as_bytes(b"1e400"),
    "the manifest is {}": as_bytes(b"{}"),
    "the manifest is not UTF-8": as_bytes(b'{"kind": "\xff\xfe"}'),
    "the manifest has a mark of its order of bytes": as_bytes(b"\xef\xbb\xbf{}"),
    "the manifest is 100,000 brackets": as_bytes(b"[" * DEEP + b"]" * DEEP),
    "the manifest is 100,000 objects": as_bytes(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "a text of megabytes without an end": as_bytes(b'{"kind": "' + b"x" * 2**22),
    "the manifest is a sparse terabyte": manifest_is_huge,
    "a bit of a digest": flipped('"files": {\n  "'),
    "a bit of a cost": flipped('"seconds": '),
    "a bit of the key": flipped('"key": "'),
    "a bit of the kind": flipped('"kind": "'),
    "a bit of the version": flipped('"manifest_version": '),
    "a bit of the version of the stage": flipped('"version": '),
    "a bit of the checksum": flipped('"checksum": "'),
    "a bit of the checksum's name": flipped('"check'),
    "a bit of the provenance": flipped('"platform": "', 1),
    "a bit of the specification": flipped('"spec": {\n  "'),
    "files are a list": field("files", []),
    "files have numbers for digests": field("files", {"value": 1}),
    "files are a text": field("files", "none"),
    "the cost is null": field("cost", None),
    "costs are missing": field("cost", {}),
    "a cost is a text": field("cost.seconds", "soon"),
    "a cost is yes": field("cost.seconds", True),
    "a cost is below nothing": field("cost.flops", -1.0),
    "a cost is beyond all numbers": spelt("1e400"),
    "a cost is NaN": spelt("NaN"),
    "a cost has 5,000 digits": spelt("9" * 5_000),
    "a cost has 4,000 digits": spelt("9" * 4_000),
    "a cost is larger than any": field("cost.flops", 1e200),
    "the key is a list": field("key", ["a"]),
    "the kind is a mapping": field("kind", {}),
    "the provenance is a number": field("provenance", 4),
    "a newer version": field("manifest_version", 9),
    "a version that is a text": field("manifest_version", "2"),
    "a version below all": field("manifest_version", -1),
    "no version": without("manifest_version"),
    "no files": without("files"),
    "no checksum": without(CHECKSUM),
    "a neighbour's manifest": of_another,
    "another kind's manifest": field("kind", "generate/other"),
    "no manifest": no_manifest,
    "the manifest is a folder": manifest_is_a_folder,
    "the manifest leads to itself": manifest_leads_to_itself,
    "the manifest is a pipe": manifest_is_a_pipe,
    "the artefact is a file": artefact_is_a_file,
    "the artefact is empty": artefact_is_empty,
    "the artefact leads to itself": artefact_leads_to_itself,
    "the artefact leads nowhere": artefact_leads_nowhere,
    "the artefact is a neighbour": artefact_is_a_neighbour,
    "the kind is a file": kind_is_a_file,
    "no payload": payload_gone,
    "more than the payload": payload_more,
    "the payload is a folder": payload_is_a_folder,
    "the payload leads to itself": payload_leads_to_itself,
}
# A plan reads no payload, and needs none of the store's own folders.
SEEN_BY_A_RUN: dict[str, Corruption] = {
    "a bit of the payload": payload_flipped,
    "half of the payload": payload_cut,
    ".locks is a file": own_folder_is_a_file(".locks"),
    ".work is a file": own_folder_is_a_file(".work"),
    ".logs is a file": own_folder_is_a_file(".logs"),
    ".damaged is a file": own_folder_is_a_file(".damaged"),
    ".locks leads to itself": own_folder_leads_to_itself,
    "the lock is a folder": lock_is_a_folder,
    "the place of work is a file": work_is_a_file,
    "the place of checkpoints is a file": scratch_is_a_file,
}
