"""``train_on: assistant``: every answer of a chat is trained on, behind all that stands before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.config.fields.data_sources import COLUMNS, data_at
from bench.core.data import Data
from bench.core.datasets import check_rows, read_demonstrations
from bench.core.errors import DataError
from bench.core.frozen import digest
from tests.methods.tiny import Bench

TURNS = [("system", "S"), ("user", "u1"), ("assistant", "a1"), ("user", "u2"), ("assistant", "a2")]


def chat(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def rows_at(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Data:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return data_at(file, COLUMNS["demonstrations"], settings)


def read(folder: Path, data: Data) -> list[tuple[str, list[str], str, bool]]:
    found = read_demonstrations(data, Bench(folder).io())
    return [(row.id, [turn.content for turn in row.prompt], row.response, row.ended) for row in found]


@pytest.mark.parametrize("form", ["messages", "plain"])
def test_every_answer_is_a_row_behind_all_before_it(tmp_path: Path, form: str) -> None:
    row: dict[str, Any] = {"messages": chat(*TURNS)}
    if form == "plain":
        row = {"prompt": chat(*TURNS[:-1]), "response": "a2", "finish": "length"}
    data = rows_at(tmp_path, [row, {**row, "id": "mine"}], train_on="assistant")
    last = ["S", "u1", "a1", "u2"]
    ended = form == "messages"  # an earlier answer was ended, or the chat would not go on
    assert read(tmp_path, data) == [
        ("1.1", ["S", "u1"], "a1", True),
        ("1.2", last, "a2", ended),
        ("mine.1", ["S", "u1"], "a1", True),
        ("mine.2", last, "a2", ended),
    ]
    seen = check_rows(data, "demonstrations", "here")
    assert (seen.read, seen.made) == (2, 4)
    assert sum(count for what, count in seen.told.items() if "earlier turn" in what) == 2


def test_a_chat_with_one_answer_and_a_text_are_one_row(tmp_path: Path) -> None:
    rows = [{"prompt": chat(*TURNS[:2]), "response": "a"}, {"prompt": "text", "response": "b"}]
    assert [row[0] for row in read(tmp_path, rows_at(tmp_path, rows, train_on="assistant"))] == ["1", "2"]


def test_columns_with_other_names(tmp_path: Path) -> None:
    rows = [{"question": chat(*TURNS[:-1]), "answer": "a2"}]
    named = {"columns": {"prompt": "question", "response": "answer"}}
    data = rows_at(tmp_path, rows, **named, train_on="assistant")
    assert [row[2] for row in read(tmp_path, data)] == ["a1", "a2"]


def test_by_default_the_last_answer_alone_and_no_other_key(tmp_path: Path) -> None:
    data = rows_at(tmp_path, [{"messages": chat(*TURNS)}])
    assert [row[2] for row in read(tmp_path, data)] == ["a2"]
    assert digest(data) == digest(data.model_copy(update={"train_on": "last"}))
    assert digest(data) != digest(data.model_copy(update={"train_on": "assistant"}))


def test_pairs_and_prompts_have_no_turns_to_train_on(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n', encoding="utf-8")
    for role in ("preferences", "prompts"):
        with pytest.raises(DataError, match="`train_on: assistant` is for demonstrations"):
            data_at(file, COLUMNS[role], {"train_on": "assistant"})
