"""Texts: every response with its prompt, and every judge's verdict with its words.

Two tables beside ``records.parquet``, so that a results folder can be read, passed on and exported without its store.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from bench.core.policy import Chat
from bench.results.tables import TableFile

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
seed. ``finish``: ``end`` where the response ended by itself, ``length`` where it was cut, ``no_room`` where the prompt
was too long for the policy, so that there is none."""

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

RESPONSES = TableFile("responses.parquet", RESPONSES_SCHEMA, ("task", "prompt", "method", "run", "draw"))
VERDICTS = TableFile(
    "verdicts.parquet", VERDICTS_SCHEMA, ("task", "prompt", "judge", "method", "versus", "run", "draw", "order")
)


def chat_text(chat: Chat) -> str:
    """Return a chat as JSON: a list of [role, content], one per turn."""
    return json.dumps([[message.role, message.content] for message in chat], ensure_ascii=False)


def turns(chat: str) -> list[tuple[str, str]]:
    """Return (role, content) of every turn of a chat written by ``chat_text``."""
    return [(role, content) for role, content in json.loads(chat)]


def last_turn(chat: str) -> str:
    """Return the content of the last turn of a chat written by ``chat_text``: what the response answers."""
    return turns(chat)[-1][1]


def without_responses(folder: Path) -> str:
    """Return what to report of a folder that has no responses."""
    return (
        f"{RESPONSES.path(folder)} is not there: an earlier version ran this comparison. `bench run {folder}` writes "
        "it, and computes nothing that is still in the store."
    )
