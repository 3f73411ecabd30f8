"""What the records say about the responses themselves: how many, how long, ended or cut, what is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

RESPONSE = ("task", "prompt", "run", "draw")


@dataclass(frozen=True)
class ArmHygiene:
    """How one arm's responses look: how many, how long, how many ended by themselves, how many scores are not there."""

    arm: str
    responses: int
    mean_tokens: float | None
    ended: float | None
    unscored: dict[str, int]


def audit_arms(records: pa.Table, arms: Sequence[str]) -> list[ArmHygiene]:
    """Return one line per arm that has rows of its own."""
    own = records.filter(pc.is_null(records["versus"]))
    found = []
    for arm in arms:
        rows = own.filter(pc.equal(own["method"], arm))
        if len(rows):
            statuses = Counter(rows["status"].to_pylist())
            found.append(
                ArmHygiene(
                    arm=arm,
                    responses=len(rows.group_by(RESPONSE).aggregate([])),
                    mean_tokens=_mean(rows, "response_tokens"),
                    ended=_mean(rows, "ended"),
                    unscored={status: statuses[status] for status in sorted(statuses) if status != "ok"},
                )
            )
    return found


def _mean(rows: pa.Table, metric: str) -> float | None:
    """Return the mean of one metric over usable rows, None without any."""
    value = pc.mean(rows.filter(pc.and_(pc.equal(rows["metric"], metric), pc.equal(rows["status"], "ok")))["value"])
    return None if value.as_py() is None else float(value.as_py())
