"""Claims: what a response says, one row per claim, and whether something supports it."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from bench.core.errors import DataError
from bench.core.task import Support
from bench.results.tables import TableFile

# What one response says: the rows of the stage ``extract_claims``.
EXTRACTED_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
    ]
)
# The same with what was found about each claim: the rows of the stage ``check_claims``.
CHECKED_SCHEMA = pa.schema(
    [
        *EXTRACTED_SCHEMA,
        pa.field("label", pa.string(), nullable=False),
        pa.field("evidence", pa.string(), nullable=False),
    ]
)
CLAIMS_SCHEMA = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("run", pa.int64(), nullable=False),
        *CHECKED_SCHEMA,
    ]
)
"""``index``: the place of the claim in its response, from 0. ``start`` and ``end``: the characters of the response that
make the claim, ``response[start:end]``; null for a claim in other words than the response's. ``label``: ``supported``,
``not_supported`` or ``irrelevant`` (nothing that could be true or false of what was asked). ``evidence``: what the
label rests on, in words; may be empty. A response without claims has no row."""


def check(table: pa.Table, where: str) -> None:
    """Raise DataError for labels that are not known."""
    unknown = set(pc.unique(table["label"]).to_pylist()) - set(get_args(Support))
    if unknown:
        raise DataError(f"{where}: unknown label {sorted(unknown)}, wanted one of {', '.join(get_args(Support))}")


CLAIMS = TableFile("claims.parquet", CLAIMS_SCHEMA, ("task", "prompt", "method", "run", "draw", "index"), check)
