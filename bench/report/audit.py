"""What the records say about the judging itself: orders that agree, positions preferred, verdicts that are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PAIR = ("source", "task", "method", "versus")
RESPONSE = ("task", "prompt", "run", "draw")
CELL = (*PAIR, "prompt", "run", "draw")


@dataclass(frozen=True)
class PairAudit:
    """How one judge did on one pair of methods.

    ``agree`` is the share of answers judged in both orders whose two verdicts name the same winner (or both a tie);
    ``first_shown`` the mean preference for the response shown first, 0.5 for a judge without a position bias; ``ties``
    the share of usable verdicts of exactly one half. None where nothing of that kind was judged.
    """

    judge: str
    task: str
    method: str
    versus: str
    asked: int
    usable: int
    unusable: dict[str, int]
    both_orders: int
    agree: float | None
    first_shown: float | None
    ties: float | None


def audit_judges(records: pa.Table) -> list[PairAudit]:
    """Return one audit per judge, task and pair of methods, in order of these names."""
    verdicts = records.filter(pc.is_valid(records["versus"]))
    keys = sorted({tuple(row.values()) for row in verdicts.select(PAIR).group_by(PAIR).aggregate([]).to_pylist()})
    return [_audit(verdicts, key) for key in keys]


def _audit(verdicts: pa.Table, key: tuple[str, ...]) -> PairAudit:
    """Return the audit of the rows with that judge, task, method and versus."""
    rows = verdicts
    for name, value in zip(PAIR, key, strict=True):
        rows = rows.filter(pc.equal(rows[name], value))
    statuses = Counter(rows["status"].to_pylist())
    usable = rows.filter(pc.equal(rows["status"], "ok"))
    values = usable["value"].to_numpy()
    first = np.where(np.asarray(usable["order"].to_pylist()) == "first", values, 1.0 - values)
    cells = usable.group_by(CELL).aggregate([("value", "min"), ("value", "max"), ("value", "count")])
    cells = cells.filter(pc.greater(cells["value_count"], 1))
    low, high = cells["value_min"].to_numpy(), cells["value_max"].to_numpy()
    same = (low > 0.5) | (high < 0.5) | ((low == 0.5) & (high == 0.5))
    judge, task, method, versus = key
    both = set(rows["order"].to_pylist()) >= {"first", "second"}
    return PairAudit(
        judge=judge,
        task=task,
        method=method,
        versus=versus,
        asked=len(rows),
        usable=len(usable),
        unusable={status: statuses[status] for status in sorted(statuses) if status != "ok"},
        both_orders=len(cells),
        agree=float(same.mean()) if len(cells) else None,
        first_shown=float(first.mean()) if len(usable) and both else None,
        ties=float((values == 0.5).mean()) if len(usable) else None,
    )


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
