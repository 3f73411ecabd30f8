"""Parquet, row by row."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import DataError, one_line
from bench.core.formats.csv_rows import check_head
from bench.core.formats.unpacked import MOST_ROW, PACKINGS, unpacked

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 64  # that are in memory together: a file that names one long text for many rows is small until it is read
_MOST_UNPACKED = 256_000_000  # bytes of a table that is packed once more, which must be unpacked as a whole


def parquet_rows(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a Parquet file with their numbers, a DataError in the place of one that is too long.

    Raises DataError for two columns of one name, and where nothing more can be read.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow to import and needed for this one format
    import pyarrow.parquet as pq  # noqa: PLC0415

    number = 0
    try:
        with _opened(path, where) as content, pq.ParquetFile(content) as file:
            check_head(file.schema_arrow.names, where)
            _check_sizes(file.metadata, where)
            for batch in file.iter_batches(batch_size=_ROWS):
                for named, row in rows_of_batch(batch, where, number):
                    number += 1
                    yield named, row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{where}, behind row {number}: cannot be read: {one_line(str(error), 200)}") from error


def rows_of_batch(batch: pa.RecordBatch, where: str, before: int) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a batch with their numbers, of which the first has ``before`` ones before it."""
    for start in range(0, batch.num_rows, _ROWS):
        part = batch.slice(start, _ROWS)
        long = _too_long(part)
        for place, row in enumerate(part.to_pylist()):
            named = f"{where}, row {before + start + place + 1}"
            yield named, DataError(f"{named}: more than {MOST_ROW:,} bytes") if place in long else row


def _opened(path: Path, where: str) -> Any:
    if path.suffix not in PACKINGS:
        return path.open("rb")
    with unpacked(path, where) as file:
        content = file.stream.read(_MOST_UNPACKED + 1)
    if len(content) > _MOST_UNPACKED:
        raise DataError(f"{where}: unpacks to more than {_MOST_UNPACKED:,} bytes. Parquet is packed: unpack it once.")
    return io.BytesIO(content)


def _check_sizes(metadata: Any, where: str) -> None:
    """Raise DataError where a group of rows unpacks to more than all its rows may have."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.total_byte_size > MOST_ROW * max(group.num_rows, 1):
            raise DataError(f"{where}: a row has more than {MOST_ROW:,} bytes, the most that one may have")


def _too_long(batch: pa.RecordBatch) -> set[int]:
    """Return the places of the rows of a batch that have more bytes than a row may have."""
    if batch.nbytes <= MOST_ROW:
        return set()
    return {place for place in range(batch.num_rows) if batch.slice(place, 1).nbytes > MOST_ROW}
