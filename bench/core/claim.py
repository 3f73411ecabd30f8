"""One claim of a response, and what is found about it."""

from __future__ import annotations

from typing import Literal, get_args

from bench.core.frozen import Frozen

Support = Literal["supported", "not_supported", "irrelevant"]
SUPPORTED, NOT_SUPPORTED, IRRELEVANT = get_args(Support)


class Claim(Frozen):
    """One claim of a response, and which of its characters make it; None where no stretch of it does."""

    text: str
    start: int | None = None
    end: int | None = None


class Finding(Frozen):
    """Whether a claim is supported, and what that rests on."""

    label: Support
    evidence: str = ""
