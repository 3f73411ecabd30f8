"""Records: one value per prompt, method, seed, draw and metric. Never an average, never a sentinel."""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from bench.core.errors import DataError
from bench.results.tables import TableFile

RecordStatus = Literal["ok", "unparsed", "refused", "error", "undefined", "missing", "too_long"]
# The status of what was not measured because the prompt, or what was to be read with it, is longer than a model reads.
TOO_LONG: Final = "too_long"
RECORDS_SCHEMA_VERSION = 1
# The source of a value that no judge gave.
TASK_SOURCE = "task"

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
"""One value per row. ``run`` is the training seed. ``source`` is who produced the value: ``task`` or a judge's name.
``versus`` and ``order`` are set for verdicts on pairs only: the other method, and where the response of ``method``
stood. ``value`` is null exactly when ``status`` is not ``ok``."""


def check(table: pa.Table, where: str) -> None:
    """Raise DataError where value and status disagree or a status is unknown."""
    unknown = set(pc.unique(table["status"]).to_pylist()) - set(get_args(RecordStatus))
    if unknown:
        raise DataError(f"{where}: unknown status {sorted(unknown)}")
    ok = pc.equal(table["status"], "ok")
    wrong = pc.sum(pc.equal(ok, pc.is_null(table["value"]))).as_py() or 0
    if wrong:
        raise DataError(f"{where}: {wrong} rows whose value and status disagree (null exactly when not ok)")


KEYS = tuple(name for name in SCHEMA.names if name not in ("value", "status"))
RECORDS = TableFile("records.parquet", SCHEMA, KEYS, check, required=True)
# Verdicts that were had only to know the judges: of the control judges (metric CONTROL, the control as source), and of
# judges asked once more with other noise (metric RETEST). They are no records, because whoever reads records takes a
# verdict in them for one that counts. Of metric IMITATION there is a row for each pair of responses of which one holds
# what parts the judge's question, or what passes for its answer; of RATED_IMITATION for each such response that is
# rated, of CLAIMS_IMITATION for each response with such a claim (its verifier as source), and of LABELLED_IMITATION for
# each such pair of a data set that is labelled (task and method LABELLED_DATA, the pair's number as prompt).
AUDIT = TableFile("audit.parquet", SCHEMA, KEYS, check)
CONTROL, RETEST, IMITATION = "control", "retest", "imitation"
RATED_IMITATION, CLAIMS_IMITATION = "rated_imitation", "claims_imitation"
LABELLED_IMITATION, LABELLED_DATA = "labelled_imitation", "labelled data"
