"""Your own prompts: any file of prompts as a task, to be judged by a judge of your choice.

Example, in a comparison file:

    tasks:
      - {task: prompts, path: my_prompts.jsonl, column: question, max_new_tokens: 200}

A row of the file needs the prompt in ``column``: a text, or chat turns (``{"role": ..., "content": ...}``) that end
with the user's. An ``id``, a ``cluster`` and a ``kind`` are used when the row has them, a text or a number; a null,
empty or NaN cell is none. Rows that repeat a prompt count once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from bench.core.cells import all_rows_in, own_cluster
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.policy import Chat, Decoding
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
    rows = all_rows_in(
        file, path, lambda row: (row, row.question(column), row.label("id"), row.label("kind"), row.label("cluster"))
    )
    named = {cluster for *_, cluster in rows if cluster is not None}
    found: dict[str, Prompt] = {}
    asked: set[Chat] = set()
    for row, chat, name, kind, cluster in rows:
        if chat in asked:
            continue
        asked.add(chat)
        name = id_of(chat) if name is None else name
        if name in found:
            raise DataError(f"{row.where}: repeats the id {name!r} with another prompt")
        found[name] = Prompt(
            id=name,
            chat=chat,
            cluster=own_cluster(name, named) if cluster is None else cluster,
            kind="prompt" if kind is None else kind,
        )
    return tuple(found.values())


def id_of(chat: Chat) -> str:
    """Return the id of a prompt that has none: the beginning of the SHA-256 of what it says."""
    turns = [[message.role, message.content] for message in chat]
    only = len(chat) == 1 and chat[0].role == "user"
    text = chat[0].content if only else json.dumps(turns, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
