"""How pairs of arms, ranks and tokens are written, in tables and in pictures alike."""

from __future__ import annotations

from bench.results.conclusions.judge_audit import JudgeAudit
from bench.results.wording import shortened

# What marks an arm beside a judge that it learnt from.
OWN = "own reward"


def pair_of(audit: JudgeAudit) -> str:
    """Return the pair of arms that an audit is about."""
    return "all pairs" if audit.a is None else f"{audit.a} vs {audit.b}"


def ranks(low: int, high: int) -> str:
    """Return the ranks that a method may hold: ``1`` or ``2-4``."""
    return str(low) if low == high else f"{low}\u2013{high}"


def readable(token: str) -> str:
    """Return a token as a reader can tell it from others: its spaces and line ends are shown."""
    shown = token.replace("\n", "\\n").replace("\t", "\\t").replace(" ", "\u2423")
    return shortened(shown, 22) if shown else "(empty)"
