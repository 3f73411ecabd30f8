"""What each judge leans to: a position, a length, or what a simple rule prefers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.facts.judge_audits import measure, overall, share
from bench.results.conclusions.judge_audit import JudgeAudit, Measure
from bench.results.wording import counted, p_clause, percent, signed

# A control that explains at least this share of a win is reported first.
MUCH = 0.5


def leanings(audits: Sequence[JudgeAudit]) -> list[str]:
    """Return a sentence for every leaning that the intervals show, and for every judge that shows none."""
    lines = []
    for audit in overall(audits):
        same = [one for one in audits if (one.judge, one.task) == (audit.judge, audit.task)]
        own = [
            *_position_leaning(audit),
            *_length_leaning(audit),
            *(line for one in same for line in _strong_controls(one)),
        ]
        where = f"{audit.judge} on {audit.task}"
        lines += [f"{where} {line}" for line in own] or [f"{where} shows no leaning to a position or a length."]
    return lines


def _position_leaning(audit: JudgeAudit) -> list[str]:
    side = _side(audit.first_shown)
    if not side:
        return []
    shown = "first" if side > 0 else "second"
    return [
        f"leans to the response shown {shown}: preference for the first {measure(audit.first_shown)}; {_flips(audit)}."
    ]


def _length_leaning(audit: JudgeAudit) -> list[str]:
    """Return a sentence where the preference goes with length: within pairs of methods, where a slope is there."""
    sloped = audit.length_status == "ok"
    side = _side(audit.length_slope, 0.0) if sloped else _side(audit.longer_wins)
    if not side:
        return []
    which = "longer" if side > 0 else "shorter"
    slope = f", slope {measure(audit.length_slope, signed)}" if sloped else ""
    return [f"prefers the {which} of two responses: the longer one wins in {share(audit.longer_wins)}{slope}."]


def _strong_controls(audit: JudgeAudit) -> list[str]:
    """Return which controls explain much of a win; a loss is the other arm's win."""
    lines = []
    for one in audit.controls:
        part = one.share
        if part.estimate is not None and part.estimate >= MUCH and part.low is not None and part.low > 0:
            won = (one.excess.estimate or 0.0) > 0
            winner, loser = (audit.a, audit.b) if won else (audit.b, audit.a)
            lines.append(f"prefers {winner} to {loser}, and {one.control} explains {share(part)} of it.")
    return lines


def _side(found: Measure, null: float = 0.5) -> int:
    """Return 1 or -1 where the interval is above or below the value of no leaning, else 0."""
    if found.low is None or found.high is None:
        return 0
    return 1 if found.low > null else -1 if found.high < null else 0


def _flips(audit: JudgeAudit) -> str:
    found = audit.flips_to_first
    if not found.n:
        return "no pair flips with the order"
    p = p_clause(audit.position_p, audit.level)
    return f"{percent(found.estimate)} of {counted(found.n, 'flip')} go to the first, {p}"
