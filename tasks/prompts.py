"""Your own prompts: any file of prompts as a task, to be judged by a judge of your choice.

Example, in a comparison file:

    tasks:
      - {task: prompts, path: my_prompts.jsonl, column: question, max_new_tokens: 200}

A row of the file needs the prompt's text in ``column``; an ``id``, a ``cluster`` and a ``kind`` are used when the row
has them. Rows that repeat a prompt count once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from bench.core.errors import DataError, did_you_mean
from bench.core.frozen import digest_of_file
from bench.core.policy import Decoding
from bench.core.rows import kind_of, read_rows
from bench.core.task import Prompt, Task, user


class Prompts(Task):
    """Prompts from a file of rows (JSON Lines, JSON, CSV or Parquet). No metrics of its own: judges compare."""

    NAME: ClassVar[str] = "prompts"
    VERSION: ClassVar[int] = 1
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

    Raises DataError for a missing or changed file, a row without the column, or two different prompts with one id.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no prompts there")
    if digest_of_file(file) != digest:
        raise DataError(f"{path}: the file has changed since the comparison was planned. Plan it again.")
    found: dict[str, Prompt] = {}
    texts: set[str] = set()
    for number, row in enumerate(read_rows(file, path), 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is {kind_of(row)}, wanted named columns")
        if column not in row:
            raise DataError(f"{path}: row {number} has no column {column!r}. {did_you_mean(column, row)}")
        text = str(row[column])
        if text in texts:
            continue
        texts.add(text)
        name = str(row.get("id") or hashlib.sha256(text.encode()).hexdigest()[:12])
        if name in found:
            raise DataError(f"{path}: row {number} repeats the id {name!r} with another prompt")
        found[name] = Prompt(
            id=name, chat=user(text), cluster=str(row.get("cluster") or name), kind=str(row.get("kind") or "prompt")
        )
    if not found:
        raise DataError(f"{path}: no rows in it")
    return tuple(found.values())
