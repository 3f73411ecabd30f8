"""Work in parts that outlive a killed process: each finished part is kept, with what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from bench.core.meter import Meter
from bench.core.stage import StageIO
from methods._train.loop.kept import keep, kept

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
        place = io.scratch / f"{name}-{start:08d}.json"
        part = kept(place, io, _part)
        if part is not None:
            _add(io.meter, part["cost"])
        else:
            before = io.meter.as_dict()
            made = work(items[start : start + size])
            cost = {field: value - before[field] for field, value in io.meter.as_dict().items() if field != "seconds"}
            part = {"rows": made, "cost": cost}
            _keep(place, json.dumps(part))
        rows += part["rows"]
        io.progress(min(start + size, len(items)), len(items), "row")
    return rows


def _part(place: Path) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return part


def _keep(place: Path, text: str) -> None:
    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    keep(place, write)


def _add(meter: Meter, cost: dict[str, float]) -> None:
    for field in fields(Meter):
        if field.name in cost:
            setattr(meter, field.name, getattr(meter, field.name) + cost[field.name])
