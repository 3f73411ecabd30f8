"""One file per measurement: its stage, the cells it plans, the rows it gives; the file name is its name.

A measurement in a file of its own needs ``bench.core`` and the names that this package gives away.
"""

from bench.core.judge import reseeded
from bench.evaluation.generate import Generate, read_rows
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows, Written, as_metric
from bench.results.records import RECORDS
from bench.results.responses import VERDICTS
from bench.results.tables import TableFile

__all__ = [
    "RECORDS",
    "VERDICTS",
    "Cell",
    "Design",
    "Generate",
    "Measurement",
    "Payload",
    "Rows",
    "TableFile",
    "Written",
    "as_metric",
    "read_rows",
    "reseeded",
]
