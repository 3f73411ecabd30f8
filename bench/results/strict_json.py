"""JSON as this program writes it, read back: what no writer of ours makes is refused with a reason."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MOST_DEEP = 100  # mappings and lists within one another; a document of ours has a dozen
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parsed(text: str) -> Any:
    """Return what a JSON text holds.

    Raises ValueError for what is no JSON, for numbers that are not finite, for values nested more than ``MOST_DEEP``
    times, and for text that no file can hold (half of a surrogate pair).
    """
    try:
        value = json.loads(text, parse_constant=_not_finite)
    except RecursionError:
        raise ValueError(f"nested more than {MOST_DEEP} times") from None
    _check(value, written=bool(_SURROGATE.search(text)))
    return value


def printable_line(text: str, most: int = 200) -> str:
    """Return a reason on one line that no terminal takes for a command, cut where it is long."""
    flat = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))
    return flat if len(flat) <= most else f"{flat[: most - 3]}..."


def _not_finite(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _check(value: Any, *, written: bool) -> None:
    """Raise ValueError for what is not finite, too deep, or, where ``written`` as an escape, half a character."""
    layer, depth = [value], 0
    while layer:
        if depth > MOST_DEEP:
            raise ValueError(f"nested more than {MOST_DEEP} times")
        below: list[Any] = []
        for part in layer:
            if isinstance(part, float) and not math.isfinite(part):
                raise ValueError("a number is too large")
            if isinstance(part, int) and abs(part) >= 2**63:
                raise ValueError("a whole number is too large")
            if isinstance(part, dict):
                below.extend(part.values())
                below.extend(part if written else ())
            elif isinstance(part, list):
                below.extend(part)
            elif written and isinstance(part, str):
                part.encode()
        layer, depth = below, depth + 1
