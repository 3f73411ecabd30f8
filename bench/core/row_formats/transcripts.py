r"""Chats written out as one text, with marks for who speaks.

Three ways: Anthropic's HH-RLHF (``\n\nHuman: ... \n\nAssistant: ...``), ``### Human: ... ### Assistant: ...``
(OpenAssistant Guanaco), and ChatML (``<|im_start|>user ... <|im_end|>``). NVIDIA's HelpSteer marks the turns behind
the first one (``<extra_id_1>Assistant``).
"""

from __future__ import annotations

import re
from typing import Any

from bench.core.errors import DataError
from bench.core.row_formats.turns import ASSISTANT, SYSTEM, USER, Turn, turn

_SPEAKS = {"human": USER, "user": USER, "assistant": ASSISTANT, "system": SYSTEM}
_MARKS = (
    re.compile(r"\n\n(Human|Assistant|System):[ \t]?"),
    re.compile(r"### ?(Human|Assistant|System):[ \t]?"),
    re.compile(r"<\|im_start\|>(user|assistant|system)\n"),
)
_ENDS = re.compile(r"\s*<\|im_end\|>\s*\Z")
_EXTRA = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")


def is_transcript(value: Any) -> bool:
    """Return whether a cell is a text that begins with a mark of a speaker and has one of the user."""
    return isinstance(value, str) and _mark_of(value) is not None


def _mark_of(text: str) -> re.Pattern[str] | None:
    """Return how a text marks its speakers: the way whose mark stands at its beginning, line feeds left aside."""
    begin = text.lstrip("\n")
    for mark in _MARKS:
        found = mark.match(begin) or mark.match("\n\n" + begin)
        if found and any(_SPEAKS[other.group(1).lower()] == USER for other in mark.finditer("\n\n" + begin)):
            return mark
    return None


def turns_written(text: str, what: str) -> list[Turn]:
    """Return the turns of a transcript; the space around what is said is not part of it.

    The last turn may be empty: a prompt ends where the assistant's turn begins. Raises DataError for a text that is
    none.
    """
    mark = _mark_of(text)
    if mark is None:
        raise DataError(f"{what} has no marks of who speaks, such as '\\n\\nHuman: ' at its beginning")
    text = "\n\n" + text.lstrip("\n")
    marks = list(mark.finditer(text))
    ends = [*(other.start() for other in marks[1:]), len(text)]
    found: list[Turn] = []
    for one, end in zip(marks, ends, strict=True):
        role, said = _SPEAKS[one.group(1).lower()], _ENDS.sub("", text[one.end() : end]).strip()
        if found and found[-1]["role"] == role:  # one speaker twice in succession: the second mark is no new turn
            found[-1]["content"] += "\n\n" + said
        else:
            found.append(turn(role, said))
    return found


def prompt_written(text: str, what: str) -> list[Turn]:
    """Return the turns of a transcript that is a prompt: the mark of the assistant's turn behind it is left out."""
    found = turns_written(text, what)
    return found[:-1] if len(found) > 1 and found[-1] == turn(ASSISTANT, "") else found


def with_extra_marks(text: str) -> list[Turn]:
    """Return the turns of a prompt of HelpSteer, in which a mark stands before every turn but the first."""
    parts = _EXTRA.split(text)
    found = [turn(USER, parts[0])]
    for who, said in zip(parts[1::2], parts[2::2], strict=True):
        found.append(turn(_SPEAKS[who.lower()], said))
    return found[:-1] if len(found) > 1 and not found[-1]["content"].strip() else found
