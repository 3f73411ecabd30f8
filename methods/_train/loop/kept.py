"""What a stage keeps in its scratch folder, so that a killed run goes on from there: files with their digests.

A file is replaced in one rename, and its digest stands beside it: one flipped bit in a checkpoint would else train on
to other weights under a manifest that is right. What cannot be read as it was written is told and not used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.core.files import make_durable
from bench.core.frozen import digest_of_file
from bench.core.machine_limits import says_nothing_of_the_file
from bench.core.stage import StageIO

T = TypeVar("T")
DIGESTS = ".sha256"
EARLIER = 3


def keep(path: Path, write: Callable[[Path], None]) -> None:
    """Keep the file that ``write`` makes at the path it is given; a kill at any moment leaves the old one or the new.

    The file with the digests is replaced first and still has those of the files before, so whichever a kill leaves is
    known; more than one of these, in case several kills have met this moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digests, partial = _digests(path), path.with_name(path.name + ".partial")
    beside = digests.with_name(digests.name + ".partial")
    for place in (path, digests, partial, beside):  # a folder or a link is nothing of ours
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
    write(partial)
    make_durable(partial)
    known = [digest_of_file(partial), *_known(digests)[:EARLIER]]
    beside.write_text("".join(f"{digest}\n" for digest in known), encoding="ascii")
    make_durable(beside)
    beside.replace(digests)
    partial.replace(path)


def kept(path: Path, io: StageIO, read: Callable[[Path], T]) -> T | None:
    """Return what ``read`` makes of a kept file; None where there is none, or none as it was written, which is told.

    Raises what says nothing of the file: memory that ran out, too many open files.
    """
    if not os.path.lexists(path):
        return None
    try:
        if digest_of_file(path) in _known(_digests(path)):
            return read(path)
        why = "differs from the digest beside it"
    except Exception as error:
        if says_nothing_of_the_file(error):
            raise
        why = f"cannot be read ({type(error).__name__})"
    io.warn(f"{path.name}, which an earlier attempt kept, {why}: it is not used, and its part is computed anew")
    return None


def _digests(path: Path) -> Path:
    return path.with_name(path.name + DIGESTS)


def _known(digests: Path) -> list[str]:
    """Return the digests in a file beside a kept one: none where it is not there or cannot be read."""
    try:
        return digests.read_text(encoding="ascii").split()
    except UnicodeDecodeError:
        return []
    except OSError as error:
        if says_nothing_of_the_file(error):
            raise
        return []
