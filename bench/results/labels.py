"""How judges labelled the pairs of a preference data set: one row per judge, call, pair and presentation order."""

from __future__ import annotations

import pyarrow as pa

from bench.results.tables import TableFile

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
LABELS = TableFile("labels.parquet", LABELS_SCHEMA, ("judge", "run", "call", "row", "order"))
