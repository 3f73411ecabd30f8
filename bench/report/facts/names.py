"""How own rewards, ranks and tokens are written, in tables and in pictures alike."""

from __future__ import annotations

import re

from bench.results.wording import shortened

# Characters that no reader sees and that change what others look like: controls, joiners of words, direction marks.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
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


def visible(text: str) -> str:
    """Return the text with every unseen character written as its code point, so that none can mislead a reader."""
    return UNSEEN.sub(lambda found: f"\u27e8U+{ord(found.group()):04X}\u27e9", text)
