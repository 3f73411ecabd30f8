"""Why a library refused a model, in one line: its own words without lists of everything that it knows."""

from __future__ import annotations

import re

from bench.core.errors import abridged

_CLASSES = re.compile(r"<class '(?:[\w]+\.)*(\w+)'>")
_LISTS = re.compile(r"(?:Model type should be one of|supported types are:|should have a `model_type` key).*", re.DOTALL)
_MOST = 300


def in_one_line(error: BaseException) -> str:
    """Return what an error says, its kind where it says nothing; class names are short, and lists of them left out."""
    text = _LISTS.sub("", _CLASSES.sub(r"\1", str(error)))
    line = " ".join(text.split()).rstrip(" .:")
    return abridged(line, _MOST) if line else type(error).__name__
