"""Outputs made elsewhere: the rows of a file, matched to the prompts of tasks.

A row has a response and says what it answers: by the id of a prompt, or by the prompt itself, a text or chat turns.
Columns are known by the names that such files use (this program's own ``responses.parquet``, AlpacaEval's outputs,
rows with ``messages`` whose last turn is the response), and may be named. Several rows for one prompt are its draws, in
the order of the column ``draw`` or else of the file. Space around a prompt does not count, all else does.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from bench.core.cells import FileRow, all_rows_in, chat_of, is_missing
from bench.core.errors import BenchError, DataError, abridged
from bench.core.files import kind_at
from bench.core.frozen import digest_of_file
from bench.core.policy import Chat, Outputs
from bench.core.task import Prompt, Task
from bench.results.wording import counted

# The names of columns, the first that a row has; ``columns`` names others.
NAMES = {
    "id": ("id", "prompt_id", "question_id"),
    "prompt": ("prompt", "instruction", "question", "chat"),
    "input": ("input",),
    "response": ("response", "output", "completion", "answer", "generation", "text"),
    "finish": ("finish", "finish_reason"),
}
MESSAGES, DRAW = "messages", "draw"
# Whose responses they are, which must be one and the same.
WRITERS = ("method", "generator", "model")
CUT = frozenset({"length", "max_tokens"})
SHOWN = 3
Asked: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class OutputRow:
    """One response. ``response``: None where its cell is empty. ``ended``: false for one that was cut."""

    id: str | None
    asked: Asked | None
    response: str | None
    ended: bool
    draw: float


def read_outputs(outputs: Outputs) -> tuple[OutputRow, ...]:
    """Return the rows of outputs made elsewhere, in the order of their draws.

    Raises DataError for a file that is missing, changed, or has no such rows, and for responses of several writers.
    """
    return _read(outputs.path, outputs.digest, outputs.columns)


@cache
def _read(path: str, digest: str, columns: tuple[tuple[str, str], ...]) -> tuple[OutputRow, ...]:
    file = Path(path)
    if kind_at(file) != "file":
        raise DataError(f"{path}: no outputs there")
    if digest_of_file(file) != digest:
        raise DataError(f"{path}: the file has changed since the comparison was planned. Plan it again.")
    named = {**NAMES, **{name: (column,) for name, column in columns}}
    rows = all_rows_in(file, path, lambda row: (_row(row, named, columns), _writer(row)))
    writers = sorted({writer for _, writer in rows if writer is not None})
    if len(writers) > 1:
        raise DataError(
            f"{path}: responses of several writers ({', '.join(writers[:SHOWN])}). An arm is one of them: "
            "give each a file of its own."
        )
    return tuple(sorted((row for row, _ in rows), key=lambda row: row.draw))


def _row(row: FileRow, named: Mapping[str, Sequence[str]], columns: Iterable[tuple[str, str]]) -> OutputRow:
    for _, column in columns:
        row.cell(column)
    at = {name: next((one for one in options if row.has(one)), None) for name, options in named.items()}
    told = None if at["id"] is None else row.label(at["id"])
    asked: Asked | None
    response: str | None
    if at["response"] is None and row.has(MESSAGES):
        chat = chat_of(row.cell(MESSAGES), row.what(MESSAGES))
        if chat[-1].role != "assistant" or len(chat) < 2:
            raise DataError(f"{row.what(MESSAGES)} does not end with a turn of the assistant, which is the response")
        asked, response = _key(chat[:-1]), chat[-1].content
    else:
        if at["response"] is None:
            raise DataError(f"{row.where}: no response (a column {', '.join(named['response'])})")
        asked = None if at["prompt"] is None else _asked(row, at["prompt"], at["input"])
        cell = row.cell(at["response"])
        response = None if cell is None or (isinstance(cell, float) and is_missing(cell)) else row.text(at["response"])
    if told is None and asked is None:
        raise DataError(f"{row.where}: says neither by an id nor by a prompt what it answers")
    finish = None if at["finish"] is None else row.label(at["finish"])
    draw = row.number(DRAW) if row.has(DRAW) else None
    if finish == "no_room":
        response = None
    return OutputRow(told, asked, response, ended=finish not in CUT, draw=0.0 if draw is None else draw)


def _asked(row: FileRow, prompt: str, beside: str | None) -> Asked | None:
    """Return what a row's prompt asks; Alpaca's ``input`` stands behind the instruction, an empty line between."""
    cell = row.cell(prompt)
    if is_missing(cell):
        return None
    if isinstance(cell, str) and cell.startswith("[["):  # a chat as ``bench.results.responses.chat_text`` writes it
        with contextlib.suppress(ValueError, TypeError):
            cell = [{"role": role, "content": content} for role, content in json.loads(cell)]
    chat = chat_of(cell, row.what(prompt))
    more = None if beside is None else row.cell(beside)
    if isinstance(more, str) and more.strip() and isinstance(cell, str):
        chat = (chat[0].model_copy(update={"content": f"{cell}\n\n{more}"}),)
    return _key(chat)


def _writer(row: FileRow) -> str | None:
    return next((label for name in WRITERS if row.has(name) and (label := row.label(name)) is not None), None)


def _key(chat: Chat) -> Asked:
    return tuple((turn.role, turn.content.strip()) for turn in chat)


@dataclass(frozen=True)
class Matched:
    """The responses to the prompts of one task, by the prompt's id, in the order of their draws.

    ``places``: the rows that answer one of them. ``empty``: how many of these have no response in their cell.
    """

    responses: Mapping[str, Sequence[OutputRow]]
    places: frozenset[int]
    empty: int

    def lacking(self, draws: int) -> list[str]:
        """Return the ids of the prompts that have fewer responses than that."""
        return [prompt for prompt, rows in self.responses.items() if len(rows) < draws]


def matched(rows: Sequence[OutputRow], prompts: Sequence[Prompt]) -> Matched:
    """Return which rows answer which prompts: by id, by the whole prompt, or by a prompt that is an id.

    A text alone answers a longer chat whose last turn it is, where there is one such chat.
    """
    ids = {prompt.id: prompt.id for prompt in prompts}
    whole = {_key(prompt.chat): prompt.id for prompt in prompts}
    last = Counter(prompt.chat[-1].content.strip() for prompt in prompts)
    ends = {prompt.chat[-1].content.strip(): prompt.id for prompt in prompts}
    found: dict[str, list[OutputRow]] = {prompt.id: [] for prompt in prompts}
    places, empty = set(), 0
    for place, row in enumerate(rows):
        text = row.asked[0][1] if row.asked is not None and len(row.asked) == 1 else None
        by_text = None if text is None else ids.get(text) or (ends[text] if last[text] == 1 else None)
        name = (None if row.asked is None else whole.get(row.asked)) or ids.get(str(row.id)) or by_text
        if name is None:
            continue
        places.add(place)
        if row.response is None:
            empty += 1
        else:
            found[name].append(row)
    return Matched(found, frozenset(places), empty)


def check_outputs(arm: str, outputs: Outputs, tasks: Sequence[Task], draws: int) -> tuple[str, ...]:
    """Return what is to be told of an arm's outputs before a run; nothing where the file is not here.

    Raises BenchError, naming the arm, where a prompt of a task has fewer responses than ``draws``.
    """
    if kind_at(Path(outputs.path)) is None:
        return ()
    rows = read_outputs(outputs)
    name = Path(outputs.path).name
    used: set[int] = set()
    lines = [f"{arm}: outputs made elsewhere ({name}, {len(rows):,} rows); no likelihood, and nothing new is written"]
    for task in tasks:
        prompts = task.prompts()
        found = matched(rows, prompts)
        used |= found.places
        if lacking := found.lacking(draws):
            raise BenchError(_lacking(arm, name, task, found, lacking, draws))
        more = sum(len(one) - draws for one in found.responses.values())
        if more:
            lines.append(
                f"{arm}: {counted(more, 'further response')} to the prompts of {task.NAME} not used (evaluate.draws is "
                f"{draws})"
            )
        if found.empty:
            lines.append(f"{arm}: {counted(found.empty, 'row')} on prompts of {task.NAME} without a response, left out")
        blank = sum(not (row.response or "").strip() for one in found.responses.values() for row in one[:draws])
        if blank:
            lines.append(f"{arm}: {counted(blank, 'empty text')} as responses to {task.NAME}, judged as such")
    unknown = len(rows) - len(used)
    if unknown:
        lines.append(f"{arm}: {unknown:,} of {counted(len(rows), 'row')} of {name} answer no prompt of this comparison")
    return tuple(lines)


def _lacking(arm: str, name: str, task: Task, found: Matched, lacking: Sequence[str], draws: int) -> str:
    of = len(found.responses)
    prompts = {prompt.id: prompt.text for prompt in task.prompts()}
    shown = "; ".join(repr(abridged(prompts[one], 60)) for one in lacking[:SHOWN])
    more = f"; and {len(lacking) - SHOWN:,} more" if len(lacking) > SHOWN else ""
    each = "no response" if draws == 1 else f"fewer than {draws} responses"
    empty = f" ({found.empty:,} rows have an empty cell)" if found.empty else ""
    none = len(lacking) == of and not found.places
    advice = (
        "No row's id or prompt is one of this task: give the prompts as the task has them (`bench show` prints them), "
        "or name the columns with `columns: {prompt: ..., response: ...}`."
        if none
        else "Every arm answers every prompt: add them, or give a task of the prompts that all have answered "
        "(evaluate.draws says how many responses each needs)."
    )
    return (
        f"method '{arm}': {name} has {each} to {len(lacking):,} of {of:,} prompts of {task.NAME}{empty}: "
        f"{shown}{more}. {advice}"
    )


def completions_of(outputs: Outputs, task: Task, draws: int) -> list[dict[str, Any]]:
    """Return a row for every prompt of a task and draw, in the task's order, as a generation writes them.

    Their tokens are not known. Raises DataError where a response is missing.
    """
    found = matched(read_outputs(outputs), task.prompts())
    if lacking := found.lacking(draws):
        raise DataError(_lacking("outputs", Path(outputs.path).name, task, found, lacking, draws))
    return [
        {
            "prompt": prompt,
            "draw": draw,
            "text": row.response,
            "tokens": [],
            "finish": "end" if row.ended else "length",
            "prompt_tokens": 0,
        }
        for prompt, rows in found.responses.items()
        for draw, row in enumerate(rows[:draws])
    ]
