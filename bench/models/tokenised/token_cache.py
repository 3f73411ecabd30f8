"""The tokens that a store keeps: a folder for each thing that was made of data, by a digest of all it rests on.

Whatever is in its place is whole: it is written elsewhere, synced, and renamed. Of several processes that need the
same, one makes it and the others wait. What is damaged is told, set aside and made again, and where nothing can be
written the tokens are made in the stage's own scratch folder, which is told too.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

from bench.core.files import PARTIAL, lives
from bench.core.machine_limits import limit_of
from bench.core.stage import LOCKS, StageIO
from bench.models.tokenised.mapped import DamagedEntry, Entry, EntryWriter, read_entry

_TOKENS = "tokens-"
# What makes entries: it is given a writer for each of those that are wanted, and finishes them all.
Make = Callable[[Mapping[str, EntryWriter]], None]


def kept_entries(wanted: Mapping[str, str | None], io: StageIO, make: Make) -> dict[str, Entry]:
    """Return the entries that are ``wanted``: names to the digests they are kept by; ``make`` makes those not there.

    What has no digest is made anew each time, in the scratch folder. Raises what ``make`` raises.
    """
    known = {name: key for name, key in wanted.items() if key is not None and io.tokens is not None}
    found: dict[str, Entry] = {}
    if known and io.tokens is not None:
        try:
            found = _from_store(known, io.tokens, io, make)
        except OSError as error:
            if limit_of(error) is not None:
                raise
            io.warn(f"{io.tokens}: no tokens can be kept there ({error.strerror}): they are made for this stage alone")
    missing = {name: key for name, key in wanted.items() if name not in found}
    if missing:
        place = _own_folder(io.scratch)
        made = {name: place / (name if key is None else key) for name, key in missing.items()}
        _make(made, make)
        found |= {name: read_entry(folder) for name, folder in made.items()}
    return found


def _own_folder(scratch: Path) -> Path:
    """Return this process's own folder for tokens: those that train a stage together have one scratch folder."""
    for left in scratch.glob(f"{_TOKENS}*"):
        process = left.name.removeprefix(_TOKENS)
        if process == str(os.getpid()) or (process.isdigit() and not lives(int(process))):
            shutil.rmtree(left, ignore_errors=True)
    return scratch / f"{_TOKENS}{os.getpid()}"


def _from_store(known: Mapping[str, str], root: Path, io: StageIO, make: Make) -> dict[str, Entry]:
    """Return entries by name from below ``root``, after making those that are not there, whole."""
    places = {name: root / key for name, key in known.items()}
    found, _ = _looked_up(places)
    missing = sorted(known.keys() - found.keys(), key=lambda name: known[name])
    if not missing:
        return found
    for folder in (root, root.parent / LOCKS):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        for key in sorted({known[name] for name in missing}):  # in one order everywhere, so that none waits for ever
            locks.enter_context(FileLock(root.parent / LOCKS / f"{key}.lock"))
        meanwhile, damages = _looked_up({name: places[name] for name in missing})
        found |= meanwhile
        for place, damage in damages.items():
            io.warn(f"kept tokens, {place.name[:10]}, are damaged ({damage}): they are made again")
            _remove(place)
        left = [name for name in missing if name not in found]
        if left:
            with _beside(root) as aside:
                made = {name: aside / known[name] for name in left}
                _make(made, make)
                for name in left:
                    made[name].rename(places[name])
            found |= {name: read_entry(places[name]) for name in left}
    return found


def _looked_up(places: Mapping[str, Path]) -> tuple[dict[str, Entry], dict[Path, DamagedEntry]]:
    """Return the entries that are there, whole, and what is there and is not."""
    found, damages = {}, {}
    for name, place in places.items():
        try:
            if os.path.lexists(place):
                found[name] = read_entry(place)
        except DamagedEntry as damage:
            damages[place] = damage
    return found, damages


def _make(places: Mapping[str, Path], make: Make) -> None:
    writers = {name: EntryWriter(folder) for name, folder in places.items()}
    try:
        make(writers)
    finally:
        for writer in writers.values():
            writer.close()


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """Yield a folder in which entries are written; it is gone afterwards, as are those that killed processes left."""
    for left in root.glob(f".*{PARTIAL}"):
        process = left.name[1:].partition("-")[0]
        if process.isdigit() and not lives(int(process)):
            _remove(left)
    folder = root / f".{os.getpid()}-{uuid.uuid4().hex}{PARTIAL}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
