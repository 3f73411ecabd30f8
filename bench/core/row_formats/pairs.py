"""Pairs: a preferred and a rejected response to one prompt, in texts and in chats."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from bench.core.cells import is_missing, spelt
from bench.core.errors import DataError
from bench.core.row_formats.row_format import RawRow, RowFormat, RowsMade, cell, is_text, is_turns, named, text_in
from bench.core.row_formats.transcripts import is_transcript, prompt_written, turns_written
from bench.core.row_formats.turns import ASSISTANT, USER, Turn, behind_system, opened, turn, turns_in

PARTED = "left out: chosen and rejected part before their last turn"
NOT_ASSISTANT = "left out: chosen or rejected does not end with a turn of the assistant"
SYSTEMS = "system|system_prompt"
_SCORES = {  # what `margins: scores` subtracts, under the names that published data have for it
    "score_chosen": "score_chosen|chosen_score|chosen_rating|chosen-rating|rating_chosen|chosen_avg_rating",
    "score_rejected": (
        "score_rejected|rejected_score|rejected_rating|rejected-rating|rating_rejected|rejected_avg_rating"
    ),
}
SCORES = tuple(_SCORES.values())
INPUT = "input|context"  # what an instruction or a question is about
_BREAK = re.compile(r"\s")


def scores_of(row: RawRow) -> dict[str, Any]:
    """Return the scores of both responses, by the program's names, where a row has them."""
    return {name: cell(row, entry) for name, entry in _SCORES.items() if named(row, entry) is not None}


# Chats --------------------------------------------------------------------------------------------------------------


def _is_chat_pair(row: RawRow) -> bool:
    return all(is_turns(row[name]) or is_turns([row[name]]) for name in ("chosen", "rejected"))  # or one turn each


def _chat_pair(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    chosen, told = turns_in(row["chosen"], "chosen")
    rejected, more = turns_in(row["rejected"], "rejected")
    prompt: list[Turn] | None = None
    if row.get("prompt") is not None:
        prompt, further = opened(row["prompt"], "prompt")
        told += further
    told = tuple(dict.fromkeys((*told, *more)))
    whole = parted(chosen, rejected)
    if isinstance(whole, str):
        return RowsMade((), (*told, whole))
    shared, better, worse = whole
    asked = behind_system(context(prompt, shared), cell(row, SYSTEMS), "system")
    return RowsMade(({"prompt": asked, "chosen": better, "rejected": worse, **scores_of(row)},), told)


def parted(chosen: Sequence[Turn], rejected: Sequence[Turn]) -> tuple[list[Turn], str, str] | str:
    """Return the turns that both chats begin with and the response of each; as a text, why there are none.

    Chats of one turn share none: their prompt stands elsewhere.
    """
    if chosen[-1]["role"] != ASSISTANT or rejected[-1]["role"] != ASSISTANT:
        return NOT_ASSISTANT
    if chosen[:-1] != rejected[:-1]:
        return PARTED
    return list(chosen[:-1]), chosen[-1]["content"], rejected[-1]["content"]


def context(prompt: list[Turn] | None, shared: list[Turn]) -> list[Turn]:
    """Return the turns before both responses, from the column ``prompt`` and from what both chats begin with.

    Where there are both, one must hold the other: chats that begin with the prompt, or a prompt that holds a turn of
    the system before what they begin with. Raises DataError otherwise, and where there are none.
    """
    if prompt is None and shared:
        return shared
    if prompt is None:
        raise DataError(
            "chosen and rejected hold the response alone, and there is no column `prompt`. Where the "
            "prompt has another name, write `columns: {prompt: the file's name}`"
        )
    if not shared or _ends_with(prompt, shared):
        return prompt
    if _holds(shared, prompt):
        return shared
    raise DataError(
        "the column `prompt` says something else than the turns that chosen and rejected begin with. To read the chats "
        "alone, write `columns: {prompt: null}`"
    )


def _ends_with(turns: Sequence[Turn], end: Sequence[Turn]) -> bool:
    return [_same(one) for one in turns[-len(end) :]] == [_same(one) for one in end]


def _holds(turns: Sequence[Turn], part: Sequence[Turn]) -> bool:
    return any(_ends_with(turns[:end], part) for end in range(len(part), len(turns) + 1))


def _same(one: Turn) -> tuple[str, str]:
    return one["role"], one["content"].strip()


CHAT_PAIRS = RowFormat(
    name="chat_pairs",
    gives="preferences",
    about="`chosen` and `rejected` are chats, with the prompt in them or in `prompt`",
    needed=("chosen", "rejected"),
    optional=("prompt", SYSTEMS, *SCORES),
    fits=_is_chat_pair,
    make=_chat_pair,
)


# Transcripts --------------------------------------------------------------------------------------------------------


def _is_transcript_pair(row: RawRow) -> bool:
    return row.get("prompt") is None and is_transcript(row["chosen"]) and is_transcript(row["rejected"])


def _transcript_pair(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    whole = parted(*(turns_written(text_in(row, name), name) for name in ("chosen", "rejected")))
    if isinstance(whole, str):
        return RowsMade((), (whole,))
    shared, chosen, rejected = whole
    if not shared:
        return RowsMade((), ("left out: nothing is asked before the response",))
    return RowsMade(({"prompt": shared, "chosen": chosen, "rejected": rejected, **scores_of(row)},))


TRANSCRIPT_PAIRS = RowFormat(
    name="transcript_pairs",
    gives="preferences",
    about="`chosen` and `rejected` are transcripts (HH-RLHF: \\n\\nHuman: ... \\n\\nAssistant: ...)",
    needed=("chosen", "rejected"),
    optional=SCORES,
    fits=_is_transcript_pair,
    make=_transcript_pair,
)


def _is_transcript_prompt(row: RawRow) -> bool:
    return is_transcript(row["prompt"]) and is_text(row["chosen"]) and is_text(row["rejected"])


def _transcript_prompt(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    prompt = prompt_written(text_in(row, "prompt"), "prompt")
    # A response behind "Assistant:" begins with the space between them, which is no part of it.
    texts = {name: text_in(row, name).removeprefix(" ") for name in ("chosen", "rejected")}
    return RowsMade(({"prompt": prompt, **texts, **scores_of(row)},))


TRANSCRIPT_PROMPT_PAIRS = RowFormat(
    name="transcript_prompt_pairs",
    gives="preferences",
    about="`prompt` is a transcript that ends where the assistant speaks; `chosen` and `rejected` are texts",
    needed=("prompt", "chosen", "rejected"),
    optional=SCORES,
    fits=_is_transcript_prompt,
    make=_transcript_prompt,
)


# Texts --------------------------------------------------------------------------------------------------------------

_ASKED = "prompt|question|instruction|query|input"
CHOSEN, REJECTED = "chosen|chosen_response|response_j", "rejected|rejected_response|response_k"


def instructed(row: RawRow, asked: str) -> tuple[list[Turn], tuple[str, ...]]:
    """Return what a row asks in the column ``asked`` as a turn of the user, its input behind it, and what is told."""
    given, text = cell(row, INPUT), text_in(row, asked)
    if is_missing(given):
        return [turn(USER, text)], ()
    if not isinstance(given, str):
        name = named(row, INPUT)
        raise DataError(f"{name} is {spelt(given)}, wanted a text. To leave it out, write `columns: {{{name}: null}}`")
    return [turn(USER, f"{text}\n\n{given}")], (f"`{named(row, INPUT)}` stands behind the instruction",)


def instructed_behind_system(row: RawRow, asked: str) -> tuple[list[Turn], tuple[str, ...]]:
    """Return the same behind the row's system turn, where it has one."""
    turns, told = instructed(row, asked)
    return behind_system(turns, cell(row, SYSTEMS), "system"), told


def _is_named_pair(row: RawRow) -> bool:
    texts = all(is_text(cell(row, entry)) for entry in (_ASKED, CHOSEN, REJECTED))
    plain = all(name in row for name in ("prompt", "chosen", "rejected")) and named(row, SYSTEMS) is None
    return texts and not plain and not is_transcript(cell(row, _ASKED))


def _named_pair(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    name = str(named(row, _ASKED))
    whole = name in ("prompt", "input")  # what stands in these is all that is asked
    asked, told = opened(text_in(row, name), name) if whole else instructed(row, name)
    if name == "prompt" and not is_missing(cell(row, INPUT)):
        told = (*told, f"`{named(row, INPUT)}` is not read beside `prompt`")
    prompt = behind_system(asked, cell(row, SYSTEMS), "system")
    texts = {"chosen": text_in(row, CHOSEN), "rejected": text_in(row, REJECTED)}
    return RowsMade(({"prompt": prompt, **texts, **scores_of(row)},), told)


NAMED_PAIRS = RowFormat(
    name="question_pairs",
    gives="preferences",
    about="texts: `question`, `instruction` or `input`, `chosen`, `rejected` (or `..._response`), maybe `system`",
    needed=(_ASKED, CHOSEN, REJECTED),
    optional=(INPUT, SYSTEMS, *SCORES),
    fits=_is_named_pair,
    make=_named_pair,
)


def _shares_a_beginning(row: RawRow) -> bool:
    if any(named(row, entry) is not None and cell(row, entry) is not None for entry in (_ASKED,)):
        return False
    chosen, rejected = row["chosen"], row["rejected"]
    if not (is_text(chosen) and is_text(rejected)) or is_transcript(chosen) or is_transcript(rejected):
        return False
    return bool(shared_beginning(chosen, rejected).strip())


def shared_beginning(one: str, other: str) -> str:
    """Return what two texts both begin with, up to the last break between words.

    The space behind it belongs to what follows. Equal texts share all but their last word.
    """
    shared = os.path.commonprefix([one, other])
    if len(shared) < min(len(one), len(other)) or shared in (one, other):
        breaks = [found.start() for found in _BREAK.finditer(shared)]
        shared = shared[: breaks[-1]] if breaks else ""
    return shared


def _shared_text(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    chosen, rejected = text_in(row, "chosen"), text_in(row, "rejected")
    prompt = shared_beginning(chosen, rejected)
    if not prompt.strip():
        raise DataError("chosen and rejected begin with different words, so nothing is their prompt")
    texts = {"prompt": prompt, "chosen": chosen[len(prompt) :], "rejected": rejected[len(prompt) :]}
    return RowsMade(
        ({**texts, **scores_of(row)},), ("the words that chosen and rejected both begin with are the prompt",)
    )


SHARED_TEXT = RowFormat(
    name="shared_beginning",
    gives="preferences",
    about="`chosen` and `rejected` are texts that begin with the same words, which are the prompt",
    needed=("chosen", "rejected"),
    optional=SCORES,
    fits=_shares_a_beginning,
    make=_shared_text,
)


FORMATS = (CHAT_PAIRS, TRANSCRIPT_PAIRS, TRANSCRIPT_PROMPT_PAIRS, NAMED_PAIRS, SHARED_TEXT)
