"""Outputs made elsewhere: which row answers which prompt, and what of them cannot be used."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.errors import BenchError, DataError
from bench.core.frozen import digest_of_file
from bench.core.policy import Decoding, Message, Outputs
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task, user
from bench.evaluation.generate import Generate, stored_rows
from bench.evaluation.made_elsewhere import check_outputs, completions_of, read_outputs
from bench.evaluation.measurements.scores import SCORES, ScoreResponses
from bench.results.responses import chat_text

TURNS = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hello"),
    Message(role="assistant", content="Hi"),
    Message(role="user", content="And three?"),
)


class Three(Task):
    """Three prompts, one of them a chat."""

    NAME = "three"
    VERSION = 1

    def prompts(self) -> Sequence[Prompt]:
        chats = {"p1": user("What is one?"), "p2": user("What is two?"), "p3": TURNS}
        return [Prompt(id=name, chat=chat, cluster=name) for name, chat in chats.items()]

    def decoding(self) -> Decoding:
        return Decoding(max_new_tokens=5)


def outputs(folder: Path, rows: list[dict[str, Any]], name: str = "mine.jsonl", **columns: str) -> Outputs:
    file = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif name.endswith(".csv"):
        with file.open("w", encoding="utf-8", newline="") as text:
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
        file.write_text(text, encoding="utf-8")
    return Outputs(path=str(file), digest=digest_of_file(file), columns=tuple(columns.items()))


WRITTEN = ["One.", "Two.", "Three."]
ASKED = ["What is one?", " What is two?\n", "And three?"]
LISTS = [[turn.model_dump() for turn in prompt.chat] for prompt in Three().prompts()]
FORMS: dict[str, list[dict[str, Any]]] = {
    "prompt and response": [{"prompt": a, "response": b} for a, b in zip(ASKED, WRITTEN, strict=True)],
    "AlpacaEval": [
        {"instruction": a, "output": b, "generator": "me", "dataset": "d"} for a, b in zip(ASKED, WRITTEN, strict=True)
    ],
    "ids": [{"id": a, "completion": b} for a, b in zip(("p1", "p2", "p3"), WRITTEN, strict=True)],
    "chats": [{"prompt": a, "response": b} for a, b in zip(LISTS, WRITTEN, strict=True)],
    "messages": [{"messages": [*a, {"role": "assistant", "content": b}]} for a, b in zip(LISTS, WRITTEN, strict=True)],
    "our own responses": [
        {"task": "three", "prompt": name, "chat": chat_text(prompt.chat), "method": "dpo", "text": b, "finish": "end"}
        for name, prompt, b in zip(("p1", "p2", "p3"), Three().prompts(), WRITTEN, strict=True)
    ],
}


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.json", "mine.parquet", "mine.csv"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_responses(tmp_path: Path, form: str, name: str) -> None:
    if name.endswith(".csv") and form in {"chats", "messages"}:
        return
    mine = outputs(tmp_path, FORMS[form][::-1], name)
    found = completions_of(mine, Three(), 1)
    assert [(row["prompt"], row["text"], row["finish"]) for row in found] == [
        ("p1", "One.", "end"), ("p2", "Two.", "end"), ("p3", "Three.", "end")
    ]  # fmt: skip
    assert len(check_outputs("mine", mine, [Three()], 1)) == 1


def test_columns_are_named_and_an_input_is_kept(tmp_path: Path) -> None:
    asked = [("What is", "one?"), ("What is two?", ""), ("And three?", None)]
    rows = [{"q": a, "input": more, "reply": b} for (a, more), b in zip(asked, WRITTEN, strict=True)]
    mine = outputs(tmp_path, rows, prompt="q", response="reply")
    with pytest.raises(BenchError, match=r"no response to 1 of 3 prompts of three: 'What is one\?'"):
        check_outputs("mine", mine, [Three()], 1)
    with pytest.raises(DataError, match=r"no column 'replies'.*Did you mean 'reply'"):
        read_outputs(outputs(tmp_path, rows, "other.jsonl", prompt="q", response="replies"))


def test_draws_are_numbered_and_what_is_not_used_is_told(tmp_path: Path) -> None:
    rows = [
        {"prompt": "What is one?", "response": "b", "draw": 1}, {"prompt": "What is one?", "response": "a", "draw": 0},
        {"prompt": "What is one?", "response": "c", "draw": 2}, {"prompt": "p2", "response": "", "draw": 0},
        {"prompt": "p2", "response": "d", "draw": 1}, {"prompt": "p3", "response": "e", "finish_reason": "length"},
        {"prompt": "p3", "response": "f"}, {"prompt": "p3", "response": None}, {"prompt": "nobody's", "response": "x"},
    ]  # fmt: skip
    mine = outputs(tmp_path, rows)
    told = "\n".join(check_outputs("mine", mine, [Three()], 2))
    for words in (
        "mine.jsonl, 9 rows", "1 further response", "1 row on prompts of three without a response",
        "1 empty text", "1 of 9 rows of mine.jsonl answer no prompt",
    ):  # fmt: skip
        assert words in told
    found = completions_of(mine, Three(), 2)
    assert [(row["prompt"], row["draw"], row["text"]) for row in found] == [
        ("p1", 0, "a"), ("p1", 1, "b"), ("p2", 0, ""), ("p2", 1, "d"), ("p3", 0, "e"), ("p3", 1, "f")
    ]  # fmt: skip
    assert [row["finish"] for row in found if row["prompt"] == "p3"] == ["length", "end"]
    with pytest.raises(BenchError, match="method 'mine': mine.jsonl has fewer than 3 responses to 2 of 3 prompts"):
        check_outputs("mine", mine, [Three()], 3)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"prompt": "a", "reply": "b"}], "line 1: no response"),
        ([{"response": "b"}], "says neither by an id nor by a prompt"),
        ([{"id": "p1", "response": 3}], "response is int, wanted a text"),
        ([{"id": "p1", "output": "a", "generator": "x"}, {"id": "p2", "output": "a", "generator": "y"}], r"\(x, y\)"),
        ([{"messages": [{"role": "user", "content": "a"}]}], "does not end with a turn of the assistant"),
    ],
)
def test_what_is_no_output_is_refused(tmp_path: Path, rows: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(DataError, match=why):
        read_outputs(outputs(tmp_path, rows))


def test_a_file_of_other_prompts_says_how_to_name_columns(tmp_path: Path) -> None:
    mine = outputs(tmp_path, [{"prompt": "x", "response": "y"}])
    with pytest.raises(BenchError, match=r"no response to 3 of 3 prompts.*name the columns"):
        check_outputs("mine", mine, [Three()], 1)
    Path(mine.path).write_text('{"prompt": "x", "response": "z"}\n', encoding="utf-8")
    changed = mine.model_copy(update={"digest": "0" * 64})
    with pytest.raises(DataError, match="has changed"):
        read_outputs(changed)
    Path(mine.path).unlink()
    assert check_outputs("mine", mine, [Three()], 1) == ()  # handed on without its files


def test_a_generation_takes_them_and_nobody_counts_their_tokens(tmp_path: Path) -> None:
    answers = Generate(policy=outputs(tmp_path, FORMS["ids"]), task=Three(), draws=1, seed=0)
    assert not answers.resources().accelerator
    folders = {answers.key: tmp_path / "answers"}
    for stage, folder in ((answers, tmp_path / "answers"), (ScoreResponses(responses=answers), tmp_path / "scores")):
        folder.mkdir()
        stage.run(StageIO(out=folder, scratch=folder, read_payload=lambda stage: folders[stage.key]))
    assert [row["text"] for row in stored_rows(tmp_path / "answers")] == WRITTEN
    scores = pq.read_table(tmp_path / "scores" / SCORES).to_pylist()
    values = {(row["prompt"], row["metric"]): (row["value"], row["status"]) for row in scores}
    assert values["p1", "response_tokens"] == (None, "undefined")
    assert values["p1", "response_characters"] == (4.0, "ok")
