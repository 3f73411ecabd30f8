"""What the bytes of files of data are known by."""

from __future__ import annotations

from pathlib import Path

from bench.core.data import Data
from bench.core.errors import DataError
from bench.core.files import digest_of_files, kind_at
from bench.core.frozen import digest_of_file
from bench.core.row_formats.reading import files_of


def check_digest(data: Data) -> None:
    """Raise DataError for a file whose bytes are not those that a comparison was planned with."""
    found = digest_of_data(data)
    if found != data.digest:
        raise DataError(
            f"{data.path}: its bytes have changed since the comparison was planned (sha256 {found[:12]}..., "
            f"wanted {data.digest[:12]}...). Plan again to use the new content, or restore the old file."
        )


def digest_of_data(data: Data) -> str:
    """Return the digest of the bytes of a file, or of those files of a folder that are read; raises DataError."""
    path = Path(data.path)
    lacking = [file for file, _ in files_of(data, data.path) if kind_at(file) != "file"]
    if lacking:
        raise DataError(f"{lacking[0]}: no such file")
    return digest_of_files(path, data.files) if data.files else digest_of_file(path)
