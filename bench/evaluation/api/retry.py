"""How long to wait before a request is tried again."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_BACK_OFF = 60.0
# A server that asks for more than this is out for the day: the run ends and is taken up later.
LONGEST_ASKED_FOR = 600.0


def back_off(key: str, attempt: int, first: float) -> float:
    """Return the seconds to wait behind a failed attempt (the first is 0): doubled each time, at most a minute.

    Of that, between a half and all ("equal jitter"), so that many questions do not come back at once. The share is a
    function of the question's key and the attempt, so the schedule is the same in every run.
    """
    whole = min(first * 2.0**attempt, LONGEST_BACK_OFF)
    drawn = hashlib.sha256(f"{key}:{attempt}".encode()).digest()
    return whole * (0.5 + int.from_bytes(drawn[:4], "big") / 2**33)


def asked_for(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait (``retry-after-ms``, ``Retry-After``), 0 where it asks for none."""
    milliseconds = headers.get("retry-after-ms")
    try:
        if milliseconds is not None:
            return _seconds(float(milliseconds) / 1000)
        return _seconds(float(headers.get("retry-after", "0")))
    except ValueError:
        return _until(headers.get("retry-after", ""))


def _seconds(asked: float) -> float:
    """Return a wait; 0 for one that has no length (a NaN would never be over)."""
    return 0.0 if math.isnan(asked) else max(asked, 0.0)


def _until(date: str) -> float:
    """Return the seconds until an HTTP date, 0 for what is none."""
    try:
        return max(parsedate_to_datetime(date).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0.0
