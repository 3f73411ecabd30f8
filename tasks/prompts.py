"""Your own prompts: any file of prompts as a task, to be judged by a judge of your choice.

Example, in a comparison file:

    tasks:
      - {task: prompts, path: my_prompts.jsonl, column: question, max_new_tokens: 200}

A row of the file needs the prompt in ``column``: a text, or chat turns (``{"role": ..., "content": ...}``) that end
with the user's. A file without that column is read in the format of its rows, as training data is (chats of OpenAI and
ShareGPT, Alpaca, pairs, ...): all turns before the last answer are the prompt. An ``id``, a ``cluster`` and a ``kind``
are used when the row has them, a text or a number; a null, empty or NaN cell is none. Rows that repeat a prompt count
once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from bench.core.cells import FileRow, all_rows_in, own_cluster, stated
from bench.core.data import Data
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.policy import Chat, Decoding
from bench.core.row_formats.program_row import ProgramRow
from bench.core.row_formats.reading import RowsSeen, first_rows, program_rows, recognised
from bench.core.row_formats.row_format import is_turns
from bench.core.rows import all_read
from bench.core.task import Prompt, Task


class Prompts(Task):
    """Prompts from a file of rows (JSON Lines, JSON, CSV or Parquet). No metrics of its own: judges compare."""

    NAME: ClassVar[str] = "prompts"
    VERSION: ClassVar[int] = 2
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    path: str
    digest: str
    column: str = "prompt"
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: PositiveInt = 256

    def prompts(self) -> Sequence[Prompt]:
        """Return the distinct prompts in the file's order, at most ``limit`` of them."""
        return read_prompts(self.path, self.digest, self.column)[: self.limit]

    def decoding(self) -> Decoding:
        """Return sampling as the comparison file says."""
        return Decoding(temperature=self.temperature, top_p=self.top_p, max_new_tokens=self.max_new_tokens)


@cache
def read_prompts(path: str, digest: str, column: str) -> tuple[Prompt, ...]:
    """Return the distinct prompts of a file.

    Raises DataError for a missing or changed file, a row without a prompt, a cell of another kind than it must be, or
    two different prompts with one id.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no prompts there")
    if digest_of_file(file) != digest:
        raise DataError(f"{path}: the file has changed since the comparison was planned. Plan it again.")
    form = format_of(path, column)
    rows = _plain_rows(file, path, column) if form is None else _rows_of_format(path, form)
    named = {cluster for *_, cluster in rows if cluster is not None}
    found: dict[str, Prompt] = {}
    asked: set[Chat] = set()
    for where, chat, name, kind, cluster in rows:
        if chat in asked:
            continue
        asked.add(chat)
        name = id_of(chat) if name is None else name
        if name in found:
            raise DataError(f"{where}: repeats the id {name!r} with another prompt")
        found[name] = Prompt(
            id=name,
            chat=chat,
            cluster=own_cluster(name, named) if cluster is None else cluster,
            kind="prompt" if kind is None else kind,
        )
    return tuple(found.values())


# Where a row stands, what is asked, and its id, kind and cluster where it has them.
Asked = tuple[str, Chat, str | None, str | None, str | None]


def format_of(path: str, column: str) -> str | None:
    """Return the format of a file whose rows have no prompt in ``column``; None where they have, or it has no format.

    Raises DataError for a column that is an instruction without its input.
    """
    try:
        (row,) = first_rows(Data(path=path, digest=""), path, 1)
    except DataError:
        return None  # what is wrong with it is told by whoever reads all rows
    cell = row.get(column)
    if column == "instruction" and isinstance(row.get("input"), str) and row["input"].strip():
        raise DataError(
            f"{path}: `column: instruction` leaves out `input`, which belongs to the instruction. Leave out `column:`, "
            "so that both are read."
        )
    turns = cell if isinstance(cell, list) and is_turns(cell) else []
    asks = isinstance(cell, str) or (bool(turns) and turns[-1].get("role") == "user")
    if asks or (column not in row and column != Prompts.model_fields["column"].default):
        return None
    try:
        return recognised(Data(path=path, digest=""), "prompts", path).name
    except DataError:
        return None  # what is wrong with the column is told


def _plain_rows(file: Path, path: str, column: str) -> Sequence[Asked]:
    def asked(row: FileRow) -> Asked:
        return row.where, row.question(column), row.label("id"), row.label("kind"), row.label("cluster")

    return all_rows_in(file, path, asked)


def _rows_of_format(path: str, form: str) -> Sequence[Asked]:
    rows = program_rows(Data(path=path, digest="", format=form), lambda _: path, RowsSeen())
    return list(all_read(rows, _asked, path))


def _asked(row: ProgramRow) -> Asked:
    chat = row.chat("prompt")
    if chat[-1].role != "user":
        raise DataError(f"{row.place}: the prompt ends with a turn of the {chat[-1].role}, not with the user's")
    stated(chat[-1].content, row.what("prompt"))
    return row.place, chat, row.label("id"), row.label("kind"), row.label("cluster")


def id_of(chat: Chat) -> str:
    """Return the id of a prompt that has none: the beginning of the SHA-256 of what it says."""
    turns = [[message.role, message.content] for message in chat]
    only = len(chat) == 1 and chat[0].role == "user"
    text = chat[0].content if only else json.dumps(turns, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
