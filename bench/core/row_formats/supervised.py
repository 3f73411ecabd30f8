"""Responses to imitate: prompts with completions, chats, instructions, and texts."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.cells import is_missing
from bench.core.errors import DataError
from bench.core.row_formats.pairs import INPUT, SYSTEMS, context, instructed_behind_system
from bench.core.row_formats.row_format import (
    RawRow,
    RowFormat,
    RowsMade,
    cell,
    is_said,
    is_text,
    is_turns,
    named,
    text_in,
)
from bench.core.row_formats.transcripts import is_transcript, turns_written
from bench.core.row_formats.turns import (
    ASSISTANT,
    SYSTEM,
    USER,
    Turn,
    behind_system,
    opened,
    split_last,
    turn,
    turns_in,
)

NO_ANSWER = "left out: no turn of the assistant behind one of the user"
_CUT_BEHIND = "turns behind the last one of the assistant are left out"
_CUT_BEFORE = "turns of the assistant before the first one of the user are left out"


def answered(turns: Sequence[Turn], told: tuple[str, ...] = ()) -> RowsMade:
    """Return the row whose response is the assistant's last turn of a chat, and all before it its prompt."""
    last = max((number for number, one in enumerate(turns) if one["role"] == ASSISTANT), default=-1)
    kept = list(turns[: last + 1])
    if last + 1 < len(turns):
        told = (*told, _CUT_BEHIND)
    first = next((number for number, one in enumerate(kept) if one["role"] == USER), None)
    if first is None or last < 0:
        return RowsMade((), (*told, NO_ANSWER))
    before = [one for one in kept[:first] if one["role"] == SYSTEM]
    if len(before) < first:
        told = (*told, _CUT_BEFORE)
    whole = split_last([*before, *kept[first:]])
    if whole is None:
        return RowsMade((), (*told, NO_ANSWER))
    return RowsMade(({"prompt": whole[0], "response": whole[1]},), told)


# Chats --------------------------------------------------------------------------------------------------------------

CHATS = "messages|conversations|conversation"


def is_chat(row: RawRow) -> bool:
    """Return whether a row holds a chat in a column of its own: turns, or texts alone."""
    return is_turns(cell(row, CHATS)) or _is_in_turn(cell(row, CHATS))


def _is_in_turn(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(is_text(one) for one in value)


def chat_in(row: RawRow) -> tuple[list[Turn], tuple[str, ...]]:
    """Return the turns of the chat of a row, the system's before them, and what must be told; raises DataError."""
    value = cell(row, CHATS)
    if _is_in_turn(value):
        turns = [turn(ASSISTANT if number % 2 else USER, said) for number, said in enumerate(value)]
        told: tuple[str, ...] = ("turns that name no speaker are the user's and the assistant's in turn",)
    else:
        turns, told = turns_in(value, str(named(row, CHATS)))
    return behind_system(turns, cell(row, SYSTEMS), "system"), told


def _chat(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    if cell(row, CHATS) == []:
        return RowsMade((), ("left out: a chat without turns",))
    turns, told = chat_in(row)
    if row.get("tools") not in (None, "", [], "[]"):
        raise DataError("tools are offered in this chat. Calls of tools cannot be trained on: leave such rows out.")
    return answered(turns, told)


MESSAGES = RowFormat(
    name="messages",
    gives="demonstrations",
    about="`messages` with `role` and `content` (OpenAI, TRL), or `conversations` with `from` and `value` (ShareGPT)",
    needed=(CHATS,),
    optional=(SYSTEMS, "tools"),
    fits=is_chat,
    make=_chat,
)


# Prompt and completion ----------------------------------------------------------------------------------------------

COMPLETION = "completion|response"


def completed(row: RawRow) -> tuple[list[Turn], str, tuple[str, ...]] | str:
    """Return prompt, response and what is told of a row with ``prompt`` and a completion; why not, as a text."""
    prompt, told = opened(row["prompt"], "prompt")
    value = cell(row, COMPLETION)
    if isinstance(value, str):
        return behind_system(prompt, cell(row, SYSTEMS), "system"), value, told
    turns, more = turns_in(value, "completion")
    if turns[-1]["role"] != ASSISTANT:
        return NO_ANSWER
    asked = context(prompt, turns[:-1])
    told = tuple(dict.fromkeys((*told, *more)))
    return behind_system(asked, cell(row, SYSTEMS), "system"), turns[-1]["content"], told


def _is_completion(row: RawRow) -> bool:
    value = cell(row, COMPLETION)
    if "label" in row and isinstance(row["label"], bool | int | float):
        return False
    plain = named(row, COMPLETION) == "response" and is_text(value) and named(row, SYSTEMS) is None
    return (is_text(value) or is_turns(value)) and (is_text(row["prompt"]) or is_turns(row["prompt"])) and not plain


def _completion(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    found = completed(row)
    if isinstance(found, str):
        return RowsMade((), (found,))
    prompt, response, told = found
    return RowsMade(({"prompt": prompt, "response": response},), told)


PROMPT_COMPLETION = RowFormat(
    name="prompt_completion",
    gives="demonstrations",
    about="`prompt` and `completion`, each a text or a chat, maybe `system`",
    needed=("prompt", COMPLETION),
    optional=(SYSTEMS,),
    fits=_is_completion,
    make=_completion,
)


# Instructions -------------------------------------------------------------------------------------------------------

_OUTPUT = "output|response"


def _is_instruction(row: RawRow) -> bool:
    return is_text(row["instruction"]) and is_text(cell(row, _OUTPUT)) and "prompt" not in row and not is_chat(row)


def _instruction(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    prompt, told = instructed_behind_system(row, "instruction")
    return RowsMade(({"prompt": prompt, "response": text_in(row, _OUTPUT)},), told)


ALPACA = RowFormat(
    name="alpaca",
    gives="demonstrations",
    about="`instruction`, `input` (Dolly: `context`) and `output` (or `response`)",
    needed=("instruction", _OUTPUT),
    optional=(INPUT, SYSTEMS, "text"),
    fits=_is_instruction,
    make=_instruction,
)

_ASKED, _ANSWER = "question|query|problem", "response|answer|output|solution"


def _is_question(row: RawRow) -> bool:
    return is_text(cell(row, _ASKED)) and is_text(cell(row, _ANSWER)) and not is_chat(row)


def _question(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    prompt, told = instructed_behind_system(row, str(named(row, _ASKED)))
    return RowsMade(({"prompt": prompt, "response": text_in(row, _ANSWER)},), told)


QUESTIONS = RowFormat(
    name="question_answer",
    gives="demonstrations",
    about="`question`, `query` or `problem`, and `answer`, `response` or `solution`, maybe `system_prompt` (OpenOrca)",
    needed=(_ASKED, _ANSWER),
    optional=(INPUT, SYSTEMS),
    fits=_is_question,
    make=_question,
)


# Texts --------------------------------------------------------------------------------------------------------------

# Columns beside which a column `text` is something else: a part of what is asked or answered, or one turn of a tree.
_OTHERS = (
    *("prompt", "instruction", "question", "messages", "conversations", "conversation", "chosen", "completion"),
    *("role", "parent_id"),
)


def _alone(row: RawRow) -> bool:
    return not any(name in row and not is_missing(row[name]) for name in _OTHERS)


def _is_plain_text(row: RawRow) -> bool:
    return is_said(row["text"]) and _alone(row) and not is_transcript(row["text"])


def _plain_text(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    return RowsMade(
        ({"prompt": "", "response": text_in(row, "text")},), ("the text is the response to an empty prompt",)
    )


TEXT = RowFormat(
    name="text",
    gives="demonstrations",
    about="`text`: written behind an empty prompt",
    needed=("text",),
    fits=_is_plain_text,
    make=_plain_text,
)


def _is_transcript_text(row: RawRow) -> bool:
    return _alone(row) and is_transcript(row["text"])


def _transcript_text(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    return answered(turns_written(text_in(row, "text"), "text"))


TRANSCRIPTS = RowFormat(
    name="transcripts",
    gives="demonstrations",
    about="`text` is a transcript with marks for who speaks (### Human: ..., <|im_start|>user, \\n\\nHuman: ...)",
    needed=("text",),
    fits=_is_transcript_text,
    make=_transcript_text,
)

FORMATS = (MESSAGES, PROMPT_COMPLETION, ALPACA, QUESTIONS, TEXT, TRANSCRIPTS)
