"""Work in parts that outlive a killed process: each finished part is kept, with what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from bench.core.files import replacing
from bench.core.meter import Meter
from bench.core.stage import StageIO

T = TypeVar("T")
Row = dict[str, Any]


def in_parts(
    io: StageIO, name: str, items: Sequence[T], size: int, work: Callable[[Sequence[T]], list[Row]]
) -> list[Row]:
    """Return the rows (plain JSON data) that ``work`` makes of the items, ``size`` of them at a time.

    A finished part lies in ``io.scratch``, so a later run of the same stage goes on behind it. Parts begin at the same
    items in every run, so the rows are the same however often it was interrupted.
    """
    rows: list[Row] = []
    for start in range(0, len(items), size):
        kept = io.scratch / f"{name}-{start:08d}.json"
        if kept.is_file():
            part = json.loads(kept.read_text(encoding="utf-8"))
            _add(io.meter, part["cost"])
        else:
            before = io.meter.as_dict()
            made = work(items[start : start + size])
            cost = {field: value - before[field] for field, value in io.meter.as_dict().items() if field != "seconds"}
            part = {"rows": made, "cost": cost}
            with replacing(kept) as partial:
                partial.write_text(json.dumps(part), encoding="utf-8")
        rows += part["rows"]
        io.progress(min(start + size, len(items)), len(items), "row")
    return rows


def _add(meter: Meter, cost: dict[str, float]) -> None:
    for field in fields(Meter):
        if field.name in cost:
            setattr(meter, field.name, getattr(meter, field.name) + cost[field.name])
