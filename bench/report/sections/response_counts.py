"""What the records say about the responses themselves: how many, how long, ended or cut, what is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Pictures, Table, drawn
from bench.results.wording import number, percent

RESPONSE = ("task", "prompt", "run", "draw")


@dataclass(frozen=True)
class ResponseCounts:
    """How one arm's responses look: how many, how long, how many ended by themselves, how many scores are not there."""

    arm: str
    responses: int
    mean_tokens: float | None
    ended: float | None
    unscored: dict[str, int]


def responses_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return how each arm's responses look, with their lengths; nothing without any."""
    lines = count_responses(inputs.records, list(inputs.summary.arms))
    if not lines:
        return []
    rows = tuple(
        (
            line.arm,
            f"{line.responses:,}",
            number(line.mean_tokens, 1),
            percent(line.ended),
            ", ".join(f"{count:,} {status}" for status, count in line.unscored.items()) or "0",
        )
        for line in lines
    )
    columns = ("arm", "responses", "mean tokens", "ended by itself", "values not there")
    return [Heading(2, "Responses"), Table(columns, "lrrrr", rows), *drawn(pictures, "response_length")]


def count_responses(records: pa.Table, arms: Sequence[str]) -> list[ResponseCounts]:
    """Return one line per arm that has rows of its own."""
    own = records.filter(pc.is_null(records["versus"]))
    found = []
    for arm in arms:
        rows = own.filter(pc.equal(own["method"], arm))
        if len(rows):
            statuses = Counter(rows["status"].to_pylist())
            found.append(
                ResponseCounts(
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
