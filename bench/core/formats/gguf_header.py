"""What a GGUF file says of itself, known without loading it: its architecture, and the shapes of its tensors.

The GGUF format, version 2 and 3 (https://github.com/ggml-org/ggml, docs/gguf.md): ``GGUF``, the version, the numbers of
tensors and of entries; the entries, a key, a type and a value each; name, sides, type and place of every tensor; the
tensors. Numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bench.core.errors import DataError, abridged
from bench.core.files import kind_at

SUFFIX = ".gguf"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_LONGEST = 10_000_000  # bytes of a text, and entries of a list: more is no header
_MOST_SIDES = 8
# Numbers in a block and bytes of it, by type (ggml.h); of other types only the beginning is known.
_BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
           11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2)}  # fmt: skip


@dataclass(frozen=True)
class GgufHeader:
    """``architecture`` (``llama``, ``qwen2``), and the shape of every tensor by name, the longest side last or not."""

    architecture: str
    shapes: dict[str, tuple[int, ...]]


def header_of(file: Path, where: str) -> GgufHeader:
    """Return what a GGUF file says of itself; raises DataError for one that is no whole language model.

    ``where`` is how messages name it.
    """
    if kind_at(file) != "file":
        raise DataError(f"{where}: no such file\nthe path starts from the folder of the file it is written in")
    size = file.stat().st_size
    try:
        with file.open("rb") as content:
            if (magic := content.read(4)) != b"GGUF":
                pointer = " (it is a pointer of Git LFS: `git lfs pull` fetches the file)" if magic == b"vers" else ""
                raise DataError(f"{where}: no GGUF file{pointer}")
            (version,) = _read(content, "<I")
            if version not in (2, 3):
                raise DataError(f"{where}: GGUF of version {version}; versions 2 and 3 are known")
            tensors, entries = _read(content, "<QQ")
            found = dict(_entry(content) for _ in range(entries))
            places = [_tensor(content) for _ in range(tensors)]
            start = content.tell()
    except (struct.error, ValueError, OSError, MemoryError) as error:
        raise DataError(f"{where}: a GGUF file whose header cannot be read, or cut off. Get it again.") from error
    architecture, kind = found.get("general.architecture"), found.get("general.type", "model")
    if not isinstance(architecture, str) or kind != "model" or not places:
        said = "without a model" if kind == "model" else f"of the type {abridged(repr(kind), 40)}"
        raise DataError(f"{where}: a GGUF file {said}; give one of a whole language model")
    alignment = found.get("general.alignment", 32)
    behind = -(-start // alignment) * alignment if isinstance(alignment, int) and alignment > 0 else start
    end = behind + max(place for _, _, place in places)
    if end > size:
        raise DataError(f"{where}: has {size:,} bytes, and its header tells of at least {end:,}. Get it again.")
    return GgufHeader(architecture, {name: shape for name, shape, _ in places})


def _read(content: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, content.read(struct.calcsize(form)))


def _text(content: BinaryIO) -> str:
    (length,) = _read(content, "<Q")
    if length > _LONGEST:
        raise ValueError("a text of that length")
    return content.read(length).decode("utf-8", "replace")


def _entry(content: BinaryIO) -> tuple[str, Any]:
    key = _text(content)
    (kind,) = _read(content, "<I")
    return key, _value(content, kind)


def _value(content: BinaryIO, kind: int) -> Any:
    """Return a text or a number; None for a list, which is skipped."""
    if kind == _TEXT:
        return _text(content)
    if kind != _ARRAY:
        return _read(content, f"<{_NUMBERS.get(kind, 'no such type')}")[0]
    inner, count = _read(content, "<IQ")
    if count > _LONGEST:
        raise ValueError("a list of that length")
    if inner in _NUMBERS:
        content.seek(struct.calcsize(f"<{_NUMBERS[inner]}") * count, 1)
    else:
        for _ in range(count):
            _skip_text(content) if inner == _TEXT else _value(content, inner)
    return None


def _skip_text(content: BinaryIO) -> None:
    (length,) = _read(content, "<Q")
    content.seek(length, 1)


def _tensor(content: BinaryIO) -> tuple[str, tuple[int, ...], int]:
    """Return name and shape of a tensor, and how many bytes behind the header it ends."""
    name = _text(content)
    (count,) = _read(content, "<I")
    if count > _MOST_SIDES:
        raise ValueError("a tensor of so many sides")
    sides = _read(content, f"<{count}Q")
    kind, place = _read(content, "<IQ")
    numbers, width = _BLOCKS.get(kind, (1, 0))
    return name, tuple(reversed(sides)), place + math.prod(sides) // numbers * width
