"""Responses that are good or bad each on its own, and prompts without a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core.cells import spelt
from bench.core.errors import DataError
from bench.core.row_formats.pairs import INPUT, SYSTEMS, instructed_behind_system
from bench.core.row_formats.row_format import RawRow, RowFormat, RowsMade, cell, is_text, is_turns, named, text_in
from bench.core.row_formats.supervised import CHATS, COMPLETION, chat_in, completed, is_chat
from bench.core.row_formats.transcripts import is_transcript, prompt_written
from bench.core.row_formats.turns import behind_system, opened

_LABELS = {0: False, 1: True, "0": False, "1": True, "true": True, "false": False}


def label_in(value: Any) -> bool:
    """Return whether a response is a good one: true or 1, false or 0, also as a text; raises DataError otherwise."""
    known = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(known, bool | int | float | str) or known not in _LABELS:
        raise DataError(f"label is {spelt(value)}, wanted true or false (or 1 or 0)")
    return _LABELS[known]


def _is_labelled(row: RawRow) -> bool:
    value = cell(row, COMPLETION)
    return is_text(value) or is_turns(value)


def _labelled(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    found = completed(row)
    if isinstance(found, str):
        return RowsMade((), (found,))
    prompt, response, told = found
    return RowsMade(({"prompt": prompt, "completion": response, "label": label_in(row["label"])},), told)


LABELLED = RowFormat(
    name="unpaired",
    gives="unpaired",
    about="`prompt`, `completion` and `label` (true: a good response), as KTO learns from",
    needed=("prompt", COMPLETION, "label"),
    optional=(SYSTEMS,),
    fits=_is_labelled,
    make=_labelled,
)

_ASKED = "question|instruction|query|problem"


def _is_asked(row: RawRow) -> bool:
    return "prompt" not in row and is_text(cell(row, _ASKED)) and not is_chat(row)


def _asked(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    prompt, told = instructed_behind_system(row, str(named(row, _ASKED)))
    return RowsMade(({"prompt": prompt},), told)


ASKED = RowFormat(
    name="questions",
    gives="prompts",
    about="`question`, `instruction`, `query` or `problem`, maybe `system`",
    needed=(_ASKED,),
    optional=(INPUT, SYSTEMS),
    fits=_is_asked,
    make=_asked,
)


def _is_transcript_prompt(row: RawRow) -> bool:
    return is_transcript(row["prompt"])


def _transcript_prompt(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    return RowsMade(({"prompt": prompt_written(text_in(row, "prompt"), "prompt")},))


TRANSCRIPT_PROMPTS = RowFormat(
    name="transcript_prompts",
    gives="prompts",
    about="`prompt` is a transcript (\\n\\nHuman: ... \\n\\nAssistant:)",
    needed=("prompt",),
    fits=_is_transcript_prompt,
    make=_transcript_prompt,
)


def _open_chat(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    turns, told = chat_in(row)
    if turns[-1]["role"] == "assistant":
        turns, told = turns[:-1], (*told, "the assistant's last turn is left out: what is asked stands before it")
    if not turns or turns[-1]["role"] != "user":
        return RowsMade((), (*told, "left out: the chat does not end with a turn of the user"))
    return RowsMade(({"prompt": turns},), told)


CHAT_PROMPTS = RowFormat(
    name="chat_prompts",
    gives="prompts",
    about="`messages` or `conversations`: what stands before the assistant's last turn",
    needed=(CHATS,),
    optional=(SYSTEMS,),
    fits=is_chat,
    make=_open_chat,
)


def _is_prompt_with_system(row: RawRow) -> bool:
    return (is_text(row["prompt"]) and not is_transcript(row["prompt"])) and is_text(cell(row, SYSTEMS))


def _prompt_with_system(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    asked, told = opened(row["prompt"], "prompt")
    return RowsMade(({"prompt": behind_system(asked, cell(row, SYSTEMS), "system")},), told)


SYSTEM_PROMPTS = RowFormat(
    name="system_prompts",
    gives="prompts",
    about="`prompt` and `system`",
    needed=("prompt", SYSTEMS),
    fits=_is_prompt_with_system,
    make=_prompt_with_system,
)

FORMATS = (LABELLED, ASKED, TRANSCRIPT_PROMPTS, CHAT_PROMPTS, SYSTEM_PROMPTS)
