"""Which words of a text another text has not."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

WORD = re.compile(r"\S+")


def only_in(text: str, other: str) -> list[tuple[int, int]]:
    """Return the stretches [start, end) of the text whose words are in no match with the other text.

    Words in a row are one stretch. The matches are those of ``difflib``: the longest first, so they are in order.
    """
    words = list(WORD.finditer(text))
    matcher = SequenceMatcher(None, [word.group() for word in words], WORD.findall(other), autojunk=False)
    return [
        (words[start].start(), words[end - 1].end())
        for tag, start, end, _, _ in matcher.get_opcodes()
        if tag in ("replace", "delete")
    ]
