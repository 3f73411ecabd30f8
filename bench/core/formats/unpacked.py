"""Opening a person's file of rows: packed or not, never more of it in memory than a row, and no device or pipe."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bench.core.errors import DataError

MOST_ROW = 16_000_000  # characters or bytes of one row; a book has about a million
# Long examples before every short question pack to a hundred and thirtieth, the most that was seen of rows that are not
# all equal; equal rows pack to a three hundred and fortieth, a text of one letter to a thousandth.
_MOST_TIMES = 200
_ANY_SIZE = 64_000_000  # bytes that a small file may unpack to, whatever its size
_MAGIC = b"\x1f\x8b"
_TRAILER = struct.Struct("<I")


class Unpacked:
    """The bytes of a file, unpacked where it is packed, with a limit on how much may come of how little."""

    def __init__(self, path: Path, where: str, stream: IO[bytes], *, packed: bool) -> None:
        self.stream = stream
        self._where = where
        self._limit = max(_ANY_SIZE, _MOST_TIMES * path.stat().st_size) if packed else None
        if packed:
            self._refuse_beyond(_size_told(path))

    def check(self) -> None:
        """Raise DataError where more has been unpacked than rows can have been packed to so little."""
        if self._limit is not None:
            self._refuse_beyond(self.stream.tell())

    def _refuse_beyond(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise DataError(
                f"{self._where}: unpacks to more than {_MOST_TIMES} times its size, as no file of rows does, or is "
                "cut off. Unpack it by hand, look at it, and name the unpacked file."
            )


class _Zstandard(io.RawIOBase):
    """What comes out of a file packed with zstd; pyarrow unpacks it, and does not say how much it has unpacked."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 - slow to import and needed for this one packing

        self._file = pa.input_stream(str(path), compression="zstd")
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        self._count += len(found)
        return len(found)

    def tell(self) -> int:
        return self._count

    def close(self) -> None:
        self._file.close()
        super().close()


def _zstandard(path: Path) -> io.BufferedReader:
    return io.BufferedReader(_Zstandard(path), 1 << 20)


_OPENERS: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".zst": _zstandard}
PACKINGS = tuple(_OPENERS)


@contextmanager
def unpacked(path: Path, where: str) -> Iterator[Unpacked]:
    """Open a file, a packed one unpacked as it is read; raises DataError, with the reason, where that cannot be."""
    opener = _OPENERS.get(path.suffix)
    try:
        with path.open("rb") if opener is None else opener(path) as stream:
            yield Unpacked(path, where, stream, packed=opener is not None)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        how = f"cannot be unpacked ({reason})" if opener is not None else str(reason)
        raise DataError(f"{where}: cannot be read: {how}") from error


def _size_told(path: Path) -> int:
    """Return the size, modulo 2^32, that a gzip file says it unpacks to; 0 where it is none, or too short to say."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC or file.seek(0, 2) < _TRAILER.size:
            return 0
        file.seek(-_TRAILER.size, 2)
        return int(_TRAILER.unpack(file.read())[0])
