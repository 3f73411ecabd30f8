"""How own rewards, ranks and tokens are written, in tables and in pictures alike."""

from __future__ import annotations

from bench.results.unseen import visible
from bench.results.wording import shortened

# What marks an arm beside a judge that it learnt from.
OWN = "own reward"


def ranks(low: int, high: int) -> str:
    """Return the ranks that a method may hold: ``1`` or ``2-4``."""
    return str(low) if low == high else f"{low}\u2013{high}"


def readable(token: str) -> str:
    """Return a token as a reader can tell it from others: its spaces, line ends and unseen characters are shown.

    A vocabulary of bytes has control characters, which a drawing's file (SVG, which is XML) must not hold.
    """
    shown = visible(token).replace("\n", "\\n").replace("\t", "\\t").replace(" ", "\u2423")
    return shortened(shown, 22) if shown else "(empty)"
