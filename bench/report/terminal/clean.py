"""Text of others, fit for a terminal."""

from __future__ import annotations


def clean(text: str) -> str:
    """Return the text without control characters, so that a completion cannot steer the terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
