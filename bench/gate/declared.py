"""What a comparison declares: its gate and its files, as digests that a lock keeps and a check compares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison
from bench.config.document.merged import layers_of
from bench.config.fields.stand_ins import NOT_KNOWN, StandIn
from bench.core.frozen import Frozen, Open, children, digest, digest_of_file
from bench.core.stage import Stage


def gate_digest(comparison: Comparison) -> str:
    """Return the digest of the criteria and how they are corrected; where a baseline lies is no part of it."""
    return digest([*comparison.gate, comparison.gate_settings.correction])


def files_of(comparison: Comparison) -> dict[str, str]:
    """Return the digests of the comparison file and of the plug-ins of others that are files, by name."""
    file = Path(comparison.path)
    found = {file.name: digest_of_file(file)} if file.is_file() else {}
    found |= dict(code_in(comparison))
    found |= {file.name: digest_of_file(file) for file in measurements_beside(comparison) if file.is_file()}
    return dict(sorted(found.items()))


def code_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and digest of every plug-in file in a value, those nested within stages left out.

    For one whose code is not run they are those of what stands in for it.
    """
    for part in children(value):
        source = type(part).source_digest() if isinstance(part, Open) else None
        if isinstance(part, StandIn) and part.path is not None and not part.digest.startswith(NOT_KNOWN):
            yield part.code, part.digest
        elif source is not None:
            yield Path(str(sys.modules[type(part).__module__].__file__)).name, source
        if not isinstance(part, Stage):
            yield from code_in(part)


def measurements_beside(comparison: Comparison) -> list[Path]:
    """Return the measurements that are files beside the comparison."""
    return [Path(name) for name in comparison.evaluation.measurements if name.endswith(".py")]


def named_files(value: Any) -> dict[Path, str]:
    """Return every file and folder within a value that stands there with the digest of its content, and that digest.

    One that may still come, and is not there, has no digest and is left out.
    """
    found: dict[Path, str] = {}
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        place, known = own_place(part), getattr(part, "digest", None)
        if place is not None and isinstance(known, str):
            found[place] = known
        waiting.extend(children(part))
    return found


def own_place(value: Any) -> Path | None:
    """Return the file or folder that a frozen value names itself, None where it names none."""
    place = getattr(value, "path", getattr(value, "folder", None)) if isinstance(value, Frozen) else None
    return Path(place) if isinstance(place, str) else None


def texts_of(file: Path) -> dict[str, str]:
    """Return the texts of a comparison file and of all that it extends, by their paths from its folder."""
    return {
        Path(os.path.relpath(layer, file.parent)).as_posix(): layer.read_text(encoding="utf-8-sig")
        for layer in layers_of(file)
    }
