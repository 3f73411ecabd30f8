"""What each person answered: one row per human judge, cell, prompt, draw and annotator, beside the records."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import DataError
from bench.core.files import replacing

ANNOTATIONS = "annotations.parquet"
_TEXTS = ("judge", "task", "prompt", "cluster", "method", "versus")
ANNOTATIONS_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in _TEXTS),
        pa.field("run", pa.int64(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
    ]
)
"""``value``: the person's preference for ``method`` over ``versus``: 1, 0, or 0.5 for a tie and where both are bad.
``answer``: ``1`` the method's response, ``2`` the other, ``tie`` or ``both_bad``."""


def write_annotations(table: pa.Table, path: Path) -> None:
    """Write a table of ANNOTATIONS_SCHEMA as Parquet, in canonical order."""
    names = (*_TEXTS, "run", "draw", "annotator")
    keys = [(name, "ascending") for name in names]
    with replacing(path) as partial:
        pq.write_table(
            table.cast(ANNOTATIONS_SCHEMA).sort_by(keys), partial, compression="zstd", write_statistics=False
        )


def read_annotations(path: Path) -> pa.Table:
    """Return the table in a file, an empty one where there is no file; raises DataError for other columns."""
    if not path.is_file():
        return ANNOTATIONS_SCHEMA.empty_table()
    table = pq.read_table(path)
    if table.schema.names != ANNOTATIONS_SCHEMA.names:
        raise DataError(f"{path}: columns {table.schema.names}, wanted {ANNOTATIONS_SCHEMA.names}")
    return table.cast(ANNOTATIONS_SCHEMA)
