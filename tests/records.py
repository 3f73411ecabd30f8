"""One record as a value, for tests that write records."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt

from bench.core.frozen import Frozen
from bench.results.records import RecordStatus


class Record(Frozen):
    """One row of ``bench.results.records.SCHEMA``."""

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
    order: Literal["first", "second"] | None = None
    value: float | None
    status: RecordStatus = "ok"
