"""What the audit of a judge found: its pairs, and its measures as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.results.conclusions.judge_audit import JudgeAudit, Measure
from bench.results.wording import NONE, decimals_for, number, percent

Write = Callable[[float | None, int], str]
MOST_DECIMALS = 3


def pair_of(audit: JudgeAudit) -> str:
    """Return the pair of arms that an audit is about."""
    return "all pairs" if audit.a is None else f"{audit.a} vs {audit.b}"


def overall(audits: Sequence[JudgeAudit]) -> list[JudgeAudit]:
    """Return one audit per judge and task: over all pairs, or of the only pair."""
    found: dict[tuple[str, str], JudgeAudit] = {}
    for audit in audits:
        found.setdefault((audit.judge, audit.task), audit)
    return list(found.values())


def measure(found: Measure, write: Write = number) -> str:
    """Return ``0.52 [0.49, 0.55]`` with the decimals that the interval deserves; ``write=signed`` for differences."""
    value, bounds = measure_parts(found, write)
    return value if bounds == NONE else f"{value} {bounds}"


def measure_parts(found: Measure, write: Write = number) -> tuple[str, str]:
    """Return an estimate and its interval as two texts, dashes where there is none."""
    if found.low is None or found.high is None:
        return write(found.estimate, 3), NONE
    decimals = min(decimals_for((found.high - found.low) / 2), MOST_DECIMALS)
    return write(found.estimate, decimals), f"[{write(found.low, decimals)}, {write(found.high, decimals)}]"


def share(found: Measure) -> str:
    """Return ``52.1% [48%, 56%]``, or a dash."""
    if found.estimate is None:
        return NONE
    return f"{percent(found.estimate)} [{percent(found.low)}, {percent(found.high)}]"


def rare(found: Measure) -> str:
    """Return the share of something that should not happen: ``0`` for none."""
    return "0" if found.estimate == 0 else share(found)
