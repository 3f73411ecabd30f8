"""Arrow files, as ``datasets`` saves them, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, one_line
from bench.core.formats.csv_rows import check_head
from bench.core.formats.parquet_rows import rows_of_batch

_FILE = b"ARROW1"  # with what the format with an index begins; the one without begins otherwise


def arrow_rows(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of an Arrow file with their numbers, a DataError in the place of one that is too long.

    The file is mapped into memory, and no more of it is read at a time than a few rows. Raises DataError for two
    columns of one name, and where nothing more can be read.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow to import and needed for this one format

    number = 0
    try:
        with path.open("rb") as file:
            has_index = file.read(len(_FILE)) == _FILE
        with pa.memory_map(str(path)) as content:
            found = pa.ipc.open_file(content) if has_index else pa.ipc.open_stream(content)
            check_head(found.schema.names, where)
            count = found.num_record_batches if has_index else None
            batches = iter(found) if count is None else (found.get_batch(place) for place in range(count))
            for batch in batches:
                for named, row in rows_of_batch(batch, where, number):
                    number += 1
                    yield named, row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{where}, behind row {number}: cannot be read: {one_line(str(error), 200)}") from error
