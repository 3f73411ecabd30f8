"""What each annotator answered: one row per human judge, cell, prompt, draw and annotator, beside the records."""

from __future__ import annotations

import pyarrow as pa

from bench.results.tables import TableFile

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
ANNOTATIONS = TableFile("annotations.parquet", ANNOTATIONS_SCHEMA, (*_TEXTS, "run", "draw", "annotator"))
