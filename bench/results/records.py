"""Records: one value per prompt, method, run, draw and metric. Never an average, never a sentinel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import NonNegativeInt

from bench.core.errors import DataError
from bench.core.files import replacing
from bench.core.frozen import Frozen

RecordStatus = Literal["ok", "unparsed", "refused", "error", "undefined", "missing"]
Order = Literal["first", "second"]
RECORDS_SCHEMA_VERSION = 1

SCHEMA = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("run", pa.int64(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("versus", pa.string()),
        pa.field("order", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
    ],
    metadata={b"alignment_bench_records": str(RECORDS_SCHEMA_VERSION).encode()},
)
SORT_KEYS = [(name, "ascending") for name in SCHEMA.names if name not in ("value", "status")]


class Record(Frozen):
    """One value.

    ``run`` is the training seed. ``source`` is who produced the value: ``task`` or a judge's name. ``versus`` and
    ``order`` are set for pairwise verdicts only: the other method, and where ``method``'s response stood.
    ``value`` is None exactly when ``status`` is not ``ok``.
    """

    task: str
    prompt: str
    cluster: str
    kind: str
    method: str
    run: int
    draw: NonNegativeInt
    metric: str
    source: str
    versus: str | None = None
    order: Order | None = None
    value: float | None
    status: RecordStatus = "ok"


def write_records(table: pa.Table, path: Path) -> None:
    """Write a table of SCHEMA as Parquet, in canonical order."""
    with replacing(path) as partial:
        pq.write_table(table.cast(SCHEMA).sort_by(SORT_KEYS), partial, compression="zstd", write_statistics=False)


def read_records(path: Path) -> pa.Table:
    """Return the table in a records file.

    Raises DataError for a file that is missing, has other columns, or breaks the rule that a value is null exactly
    when its status is not ``ok``.
    """
    if not path.is_file():
        raise DataError(f"{path}: no records there. Run `bench run {path.parent}` first.")
    table = pq.read_table(path)
    if table.schema.names != SCHEMA.names:
        raise DataError(f"{path}: columns {table.schema.names}, wanted {SCHEMA.names}")
    return checked(table.cast(SCHEMA), str(path))


def checked(table: pa.Table, where: str) -> pa.Table:
    """Return the table; raises DataError where value and status disagree or a status is unknown."""
    unknown = set(pc.unique(table["status"]).to_pylist()) - set(get_args(RecordStatus))
    if unknown:
        raise DataError(f"{where}: unknown status {sorted(unknown)}")
    ok = pc.equal(table["status"], "ok")
    wrong = pc.sum(pc.equal(ok, pc.is_null(table["value"]))).as_py() or 0
    if wrong:
        raise DataError(f"{where}: {wrong} rows whose value and status disagree (null exactly when not ok)")
    return table


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Return all rows of the tables; an empty sequence gives an empty table."""
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()
