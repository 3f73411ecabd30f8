"""What judges said of the pairs of a preference data set: one row per judge, call, pair and presentation order."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import DataError
from bench.core.files import replacing

# What one call of one judge says: the rows of the stage ``label_pairs``.
CALL_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("order", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("label", pa.float64(), nullable=False),
        pa.field("gold", pa.float64()),
    ]
)
LABELS_SCHEMA = pa.schema(
    [
        pa.field("judge", pa.string(), nullable=False),
        pa.field("run", pa.int64()),
        pa.field("call", pa.int64(), nullable=False),
        *CALL_SCHEMA,
    ]
)
"""``value``: the preference for the response that the data calls chosen. ``order``: where it stood. ``label``: the
data's own probability that it is the better one. ``gold``: by how much its true utility is higher, where known.
``run``: the training seed of the judge's model, null for a judge that takes none from an arm. ``call``: 0, or 1 with
other noise."""


def write_labels(table: pa.Table, path: Path) -> None:
    """Write a table of LABELS_SCHEMA as Parquet, in canonical order."""
    keys = [(name, "ascending") for name in ("judge", "run", "call", "row", "order")]
    with replacing(path) as partial:
        pq.write_table(table.cast(LABELS_SCHEMA).sort_by(keys), partial, compression="zstd", write_statistics=False)


def read_labels(path: Path) -> pa.Table:
    """Return the table in a labels file, an empty one where there is no file; raises DataError for other columns."""
    if not path.is_file():
        return LABELS_SCHEMA.empty_table()
    table = pq.read_table(path)
    if table.schema.names != LABELS_SCHEMA.names:
        raise DataError(f"{path}: columns {table.schema.names}, wanted {LABELS_SCHEMA.names}")
    return table.cast(LABELS_SCHEMA)
