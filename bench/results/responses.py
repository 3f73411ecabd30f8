"""What was written and said: every response with its prompt, and every judge's verdict with its words.

Two tables beside ``records.parquet``, so that a results folder can be read, passed on and exported without its store.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import DataError
from bench.core.files import replacing
from bench.core.policy import Chat

RESPONSES = "responses.parquet"
VERDICTS = "verdicts.parquet"

RESPONSES_SCHEMA = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("chat", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("run", pa.int64(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("finish", pa.string(), nullable=False),
    ]
)
"""One row per response. ``chat``: the prompt as ``chat_text`` writes it; ``turns`` reads it. ``run``: the training
seed. ``finish``: ``end`` where the response ended by itself."""

VERDICTS_SCHEMA = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("versus", pa.string()),
        pa.field("run", pa.int64(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("order", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
"""One row per verdict. ``value``: the preference for ``method`` over ``versus`` in [0, 1], 0.5 a tie. ``order``: where
the response of ``method`` stood. ``text``: what the judge said, empty for one that says nothing. A rating of a single
response has null in ``versus`` and ``order``, and a ``value`` on the judge's own scale."""

RESPONSE_KEYS = ("task", "prompt", "method", "run", "draw")
VERDICT_KEYS = ("task", "prompt", "judge", "method", "versus", "run", "draw", "order")


def chat_text(chat: Chat) -> str:
    """Return a chat as JSON: a list of [role, content], one per turn."""
    return json.dumps([[message.role, message.content] for message in chat], ensure_ascii=False)


def turns(chat: str) -> list[tuple[str, str]]:
    """Return (role, content) of every turn of a chat written by ``chat_text``."""
    return [(role, content) for role, content in json.loads(chat)]


def asked(chat: str) -> str:
    """Return the content of the last turn of a chat written by ``chat_text``: what the response answers."""
    return turns(chat)[-1][1]


def write_responses(table: pa.Table, path: Path) -> None:
    """Write a table of RESPONSES_SCHEMA as Parquet, in canonical order."""
    _write(table, RESPONSES_SCHEMA, RESPONSE_KEYS, path)


def write_verdicts(table: pa.Table, path: Path) -> None:
    """Write a table of VERDICTS_SCHEMA as Parquet, in canonical order."""
    _write(table, VERDICTS_SCHEMA, VERDICT_KEYS, path)


def read_responses(
    folder: Path, prompts: Collection[str] | None = None, columns: Sequence[str] | None = None
) -> pa.Table | None:
    """Return the responses of a results folder, None where an earlier version ran the comparison and left none.

    ``prompts``: only those with these ids. ``columns``: only these. Raises DataError for other columns.
    """
    return _read(folder / RESPONSES, RESPONSES_SCHEMA, prompts, columns)


def read_verdicts(
    folder: Path, prompts: Collection[str] | None = None, columns: Sequence[str] | None = None
) -> pa.Table | None:
    """Return the verdicts of a results folder, None where an earlier version ran the comparison and left none.

    ``prompts``: only those on prompts with these ids. ``columns``: only these. Raises DataError for other columns.
    """
    return _read(folder / VERDICTS, VERDICTS_SCHEMA, prompts, columns)


def without_responses(folder: Path) -> str:
    """Return what to tell a reader of a folder that has no responses."""
    return (
        f"{folder / RESPONSES} is not there: an earlier version ran this comparison. `bench run {folder}` writes it, "
        "and computes nothing that is still in the store."
    )


def _write(table: pa.Table, schema: pa.Schema, keys: Sequence[str], path: Path) -> None:
    """Write a table of that schema, sorted by the keys, without anything that differs between equal tables."""
    ordered = table.cast(schema).sort_by([(name, "ascending") for name in keys])
    with replacing(path) as partial:
        pq.write_table(ordered, partial, compression="zstd", write_statistics=False)


def _read(
    path: Path, schema: pa.Schema, prompts: Collection[str] | None, columns: Sequence[str] | None
) -> pa.Table | None:  # fmt: skip
    """Return the rows of a file on those prompts, None where there is no file."""
    if not path.is_file():
        return None
    found = pq.read_schema(path).names
    if found != schema.names:
        raise DataError(f"{path}: columns {found}, wanted {schema.names}. Run `bench run {path.parent}` again.")
    filters = None if prompts is None else [("prompt", "in", sorted(prompts))]
    table = pq.read_table(path, columns=None if columns is None else list(columns), filters=filters)
    return table.cast(pa.schema([schema.field(name) for name in table.schema.names]))
