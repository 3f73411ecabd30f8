"""Formats of rows: what each makes of rows as they are published, and that no cell brings one down."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.data import Data, Mixture, Weighted
from bench.core.datasets import (
    check_rows,
    read_demonstrations,
    read_preferences,
    read_prompts,
    read_rankings,
    read_unpaired,
)
from bench.core.errors import DataError
from bench.core.row_formats.file_digests import digest_of_data
from bench.core.row_formats.listing import BY_NAME, FORMATS, SERVES, recognise
from bench.core.row_formats.pairs import shared_beginning
from bench.core.row_formats.reading import times, unread_columns
from bench.core.row_formats.row_format import RowFormat
from bench.core.stage import Stage
from tests.config.test_data_table import FILES

U, A, S = "user", "assistant", "system"
Row = dict[str, Any]


def chat(*turns: tuple[str, str]) -> list[Row]:
    return [{"role": role, "content": text} for role, text in turns]


class NoStages:
    def read(self, stage: Stage) -> Path:
        raise AssertionError(stage)


def put(path: Path, rows: list[Row], **fields: Any) -> Data:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = Data(path=str(path), digest="", **fields)
    return data.model_copy(update={"digest": digest_of_data(data)})


ASKED, LONG = (U, "Name a colour."), ((S, "Be brief."), (U, "Hello"), (A, "Hi!"), (U, "Name a colour."))
# rows as published; what they are given as; the format; prompt and responses of each row that is made of them
PUBLISHED: dict[str, tuple[list[Row], str, str, list[tuple[list[Row], tuple[str, ...]]]]] = {
    "TRL, the prompt in both chats": (
        [{"chosen": chat(*LONG, (A, "Red.")), "rejected": chat(*LONG, (A, "Seven."))}],
        "preferences", "chat_pairs", [(chat(*LONG), ("Red.", "Seven."))],
    ),
    "the prompt alone holds the turn of the system": (
        [{"prompt": chat(*LONG), "chosen": chat(LONG[-1], (A, "a")), "rejected": chat(LONG[-1], (A, "b"))}],
        "preferences", "chat_pairs", [(chat(*LONG), ("a", "b"))],
    ),
    "the prompt is the first of several questions": (
        [{"prompt": "Hello", "chosen": chat(*LONG, (A, "a")), "rejected": chat(*LONG, (A, "b"))}],
        "preferences", "chat_pairs", [(chat(*LONG), ("a", "b"))],
    ),
    "turns of a table with nulls": (
        [{"chosen": [{**turn, "name": None, "tool_calls": None} for turn in chat(ASKED, (A, "a"))],
          "rejected": chat(ASKED, (A, "b")), "system": "Be brief."}],
        "preferences", "chat_pairs", [(chat(LONG[0], ASKED), ("a", "b"))],
    ),
    "HH with two answers in succession": (
        [{"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c: Human: d\n\nAssistant: e\n\nf",
          "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c: Human: d\n\nAssistant:"}],
        "preferences", "transcript_pairs", [(chat((U, "a"), (A, "b"), (U, "c: Human: d")), ("e\n\nf", ""))],
    ),
    "Intel/orca_dpo_pairs without a system": (
        [{"system": "", "question": "Name a colour.", "chosen": "a", "rejected": "b"}],
        "preferences", "question_pairs", [(chat(ASKED), ("a", "b"))],
    ),
    "argilla's names": (
        [{"instruction": "Name a colour.", "chosen_response": "a", "rejected_response": "b", "chosen_avg_rating": 5}],
        "preferences", "question_pairs", [(chat(ASKED), ("a", "b"))],
    ),
    "SHP, the second is better": (
        [{"history": "h", "human_ref_A": "a", "human_ref_B": "b", "labels": 0, "score_A": 1, "score_B": 2}],
        "preferences", "shp", [(chat((U, "h")), ("b", "a"))],
    ),
    "HelpSteer 2, later turns": (
        [{"prompt": "q\n<extra_id_1>Assistant\nr\n<extra_id_1>User\ns", "response_1": "a", "response_2": "b",
          "preference_strength": -1}],
        "preferences", "helpsteer_preferences", [(chat((U, "q"), (A, "r"), (U, "s")), ("a", "b"))],
    ),
    "UltraFeedback by its annotations": (
        [{"instruction": "q", "completions": [
            {"response": text, "annotations": {"honesty": {"Rating": rating}, "truthfulness": {"Rating": "N/A"}}}
            for text, rating in (("a", "2"), ("b", "5"), ("c", "2"))]}],
        "preferences", "ultrafeedback", [(chat((U, "q")), ("b", "a"))],
    ),
    "a list of chats with ranks": (
        [{"prompt": "q", "responses": [chat((A, "a")), chat((U, "q"), (A, "b"))], "ranks": [2, 1]}],
        "preferences", "scored_lists", [(chat((U, "q")), ("b", "a"))],
    ),
    "ChatML": (
        [{"text": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nq<|im_end|>\n"
                  "<|im_start|>assistant\na<|im_end|>\n"}],
        "demonstrations", "transcripts", [(chat((S, "Be brief."), (U, "q")), ("a",))],
    ),
    "ShareGPT that begins with the assistant": (
        [{"system": "Be brief.", "conversations": [
            {"from": "gpt", "value": "x"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}],
        "demonstrations", "messages", [(chat((S, "Be brief."), (U, "q")), ("a",))],
    ),
    "OpenAI's parts": (
        [{"messages": [{"role": "developer", "content": "d"}, {"role": U, "content": [{"type": "text", "text": "q"}]},
                       {"role": A, "content": "a", "weight": 1}]}],
        "demonstrations", "messages", [(chat((S, "d"), (U, "q")), ("a",))],
    ),
    "Capybara": (
        [{"source": "x", "conversation": [{"input": "q", "output": "a"}, {"input": "r", "output": "b"}]}],
        "demonstrations", "messages", [(chat((U, "q"), (A, "a"), (U, "r")), ("b",))],
    ),
    "Alpaca with its own text": (
        [{"instruction": "i", "input": "j", "output": "o", "text": "Below is an instruction ... i j o"}],
        "demonstrations", "alpaca", [(chat((U, "i\n\nj")), ("o",))],
    ),
    "a completion that is a chat": (
        [{"prompt": chat(ASKED), "completion": chat((A, "a"))}],
        "demonstrations", "prompt_completion", [(chat(ASKED), ("a",))],
    ),
    "labels as text": (
        [{"prompt": "q", "completion": "a", "label": "True"}],
        "preferences", "unpaired", [(chat((U, "q")), ("a",))],
    ),
    "an instruction with an input, and its pair": (
        [{"instruction": "i", "input": "j", "chosen": "a", "rejected": "b"}],
        "preferences", "question_pairs", [(chat((U, "i\n\nj")), ("a", "b"))],
    ),
    "distilabel: pairs beside the list that they are of": (
        [{"instruction": "q", "generations": ["a", "b"], "ratings": [5, 2], "prompt": "q",
          "chosen": chat((U, "q"), (A, "a")), "rejected": chat((U, "q"), (A, "b"))}],
        "preferences", "chat_pairs", [(chat((U, "q")), ("a", "b"))],
    ),
    "a turn each, not in a list": (
        [{"prompt": "q", "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}}],
        "preferences", "chat_pairs", [(chat((U, "q")), ("a", "b"))],
    ),
    "LIMA: texts in turn": (
        [{"conversations": ["q", "a", "r", "b"], "source": "x"}],
        "demonstrations", "messages", [(chat((U, "q"), (A, "a"), (U, "r")), ("b",))],
    ),
    "MetaMathQA": (
        [{"query": "q", "response": "a", "type": "x", "original_question": "o"}],
        "demonstrations", "question_answer", [(chat((U, "q")), ("a",))],
    ),
    "a question with its context": (
        [{"question": "q", "context": "c", "answer": "a"}],
        "demonstrations", "question_answer", [(chat((U, "q\n\nc")), ("a",))],
    ),
    "Magpie: a chat beside its instruction": (
        [{"instruction": "q", "response": "a", "conversations": [{"from": "human", "value": "q"},
                                                                  {"from": "gpt", "value": "a"}]}],
        "demonstrations", "messages", [(chat((U, "q")), ("a",))],
    ),
    "NuminaMath as prompts": (
        [{"problem": "q", "solution": "a", "messages": chat((U, "q"), (A, "a"))}],
        "prompts", "chat_prompts", [(chat((U, "q")), ())],
    ),
    "GSM8K as prompts": (
        [{"question": "q", "answer": "4"}],
        "prompts", "questions", [(chat((U, "q")), ())],
    ),
}  # fmt: skip


def test_of_columns_that_may_stand_for_one_the_one_that_is_read_is_told_from_the_others(tmp_path: Path) -> None:
    row = {"instruction": "i", "output": "o", "response": "p", "system": "", "system_prompt": "s"}
    data = put(tmp_path / "rows.jsonl", [row], format="alpaca")
    assert unread_columns(data, "demonstrations", "rows.jsonl") == ("response", "system_prompt")


def test_a_null_is_told_by_the_column_of_the_file(tmp_path: Path) -> None:
    rows = [{"instruction": "i", "output": None}, {"instruction": "i", "output": "o"}]
    with pytest.raises(DataError, match="row 1: output is null"):
        read_demonstrations(put(tmp_path / "rows.jsonl", rows, format="alpaca"), NoStages())


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_made_of_rows_as_published(name: str, tmp_path: Path) -> None:
    rows, rows_of, wanted, made = PUBLISHED[name]
    assert recognise(rows, rows_of).name == wanted
    data = put(tmp_path / "rows.jsonl", rows, format=wanted)
    if rows_of == "preferences":
        found: Any = (read_unpaired if wanted == "unpaired" else read_preferences)(data, NoStages())
    elif rows_of == "prompts":
        prompts = read_prompts(data, NoStages())  # type: ignore[arg-type]
        assert [[turn.model_dump() for turn in one.chat] for one in prompts] == [prompt for prompt, _ in made]
        return
    else:
        found = read_demonstrations(data, NoStages())  # type: ignore[arg-type]
    shown = [
        ([turn.model_dump() for turn in one.prompt], tuple(reply.text for reply in one.replies())) for one in found
    ]
    assert shown == made


LEFT_OUT = {
    "left out: neither response is preferred": ("helpsteer_preferences", [{
        "prompt": "q", "response_1": "a", "response_2": "b", "preference_strength": 0}]),
    "left out: no response is rated above another": ("scored_lists", [{
        "prompt": "q", "responses": ["a", "b"], "scores": [1, 1]}]),
    "left out: chosen and rejected part before their last turn": ("chat_pairs", [{
        "chosen": chat((U, "a"), (A, "b")), "rejected": chat((U, "c"), (A, "b"))}]),
    "left out: one response alone to its prompt": ("helpsteer", [{"prompt": "q", "response": "a", "helpfulness": 1}]),
    "left out: no turn of the assistant behind one of the user": ("messages", [{"messages": chat((A, "a"), (U, "b"))}]),
    "left out: a chat without turns": ("messages", [{"conversations": []}]),
}  # fmt: skip


@pytest.mark.parametrize("told", LEFT_OUT)
def test_rows_left_out_are_counted(told: str, tmp_path: Path) -> None:
    name, rows = LEFT_OUT[told]
    one = BY_NAME[name]
    rows_of = next(role for role, serves in SERVES.items() if one.gives in serves)
    whole = json.loads(
        next(text for text in FILES.values() if text.startswith("{") and fits(one, text)).splitlines()[0]
    )
    extra = [whole] * (2 if name == "helpsteer" else 1)
    if name == "helpsteer":
        extra[1] = {**whole, "response": "other", "helpfulness": 0}
    seen = check_rows(put(tmp_path / "rows.jsonl", [*rows, *extra], format=name), rows_of, "rows.jsonl")  # type: ignore[arg-type]
    assert seen.told[told] == 1
    with pytest.raises(DataError, match="none of its 1 rows is used"):
        check_rows(put(tmp_path / "rows.jsonl", rows, format=name), rows_of, "rows.jsonl")  # type: ignore[arg-type]


def fits(one: RowFormat, text: str) -> bool:
    return one.fits_row(json.loads(text.splitlines()[0]))


def test_lists_are_kept_and_taken_as_pairs(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "responses": ["a", "b", "c", "d"], "scores": [1.0, 3.0, 2.0, 1.0]}]
    data = put(tmp_path / "rows.jsonl", rows, format="scored_lists", margins="scores")
    (ranking,) = read_rankings(data, NoStages())
    assert (ranking.responses, ranking.scores) == (("a", "b", "c", "d"), (1.0, 3.0, 2.0, 1.0))
    (pair,) = read_preferences(data, NoStages())
    assert (pair.id, pair.chosen, pair.rejected, pair.margin) == ("1", "b", "a", 2.0)
    every = read_preferences(data.model_copy(update={"pairing": "all"}), NoStages())
    assert [(pair.id, pair.chosen + pair.rejected) for pair in every] == [
        ("1.1", "bc"), ("1.2", "ba"), ("1.3", "bd"), ("1.4", "ca"), ("1.5", "cd")
    ]  # fmt: skip


def test_margins_are_read_only_where_they_are_asked_for(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 2.0, "score_rejected": 0.5}]
    data = put(tmp_path / "rows.jsonl", rows)
    assert read_preferences(data, NoStages())[0].margin == 0
    asked = data.model_copy(update={"margins": "scores"})
    assert read_preferences(asked, NoStages())[0].margin == 1.5
    worse = put(tmp_path / "worse.jsonl", [{**rows[0], "score_chosen": 0.0}], margins="scores")
    with pytest.raises(DataError, match=r"row 1: margin is -0\.5"):
        read_preferences(worse, NoStages())


def test_what_is_known_of_prompts(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": 4, "id": "x", "cluster": "c", "kind": "sum"}] * 2
    data = put(tmp_path / "rows.jsonl", rows, format="questions", facts=("answer",))
    one, other = read_prompts(data, NoStages())  # type: ignore[arg-type]
    assert (one.id, one.cluster, one.kind, one.facts) == ("x", "c", "sum", {"answer": "4"})
    assert (other.id, other.cluster) == ("x#2", "c")


def test_what_texts_share() -> None:
    assert shared_beginning("The sky is blue", "The sky is black") == "The sky is"
    assert shared_beginning("a b", "a b c") == "a"
    assert shared_beginning("one", "two") == ""


@pytest.mark.parametrize(("weight", "wanted"), [(1, [1] * 6), (2, [2] * 6), (0.5, [0, 1] * 3), (1.5, [1, 2] * 3)])
def test_a_weight_is_how_often_a_row_stands(weight: float, wanted: list[int], tmp_path: Path) -> None:
    assert [times(number, weight) for number in range(1, 7)] == wanted
    assert sum(times(number, 0.3) for number in range(1, 101)) == math.floor(100 * 0.3)
    one = put(tmp_path / "one.jsonl", [{"prompt": str(n), "chosen": "a", "rejected": "b"} for n in range(6)])
    other = put(tmp_path / "hh.jsonl", [json.loads(FILES["hh.jsonl"].splitlines()[0])], format="transcript_pairs")
    both = Mixture(parts=(Weighted(data=one, weight=weight), Weighted(data=other)))
    found = read_preferences(both, NoStages())
    assert len(found) == sum(wanted) + 1 and found[-1].chosen == "Red."


ODD: list[Any] = [
    *(None, 3, 0, -1.5, math.nan, True, "", "x", [], {}, [None], [{}], [[]], ["x"], {"a": 1}, [{"role": "user"}]),
    *([{"role": None, "content": "x"}], [{"from": 3, "value": None}], [{"role": "tool", "content": "x"}]),
    *([{"role": "user", "content": [{"type": "image"}]}], [{"response": None}], [{"answer": "x", "rank": "first"}]),
]


def mangled(row: Row) -> Iterator[Row]:
    """A row without one of its columns, and with every odd thing in each of them, and in the first of a list."""
    for column, cell in row.items():
        yield {name: value for name, value in row.items() if name != column}
        yield from ({**row, column: odd} for odd in ODD)
        if isinstance(cell, list) and isinstance(cell[0], dict):
            yield from ({**row, column: [{**cell[0], key: odd}, *cell[1:]]} for key in cell[0] for odd in ODD)


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_no_cell_brings_a_format_down(one: RowFormat, tmp_path: Path) -> None:
    """Whatever a cell holds: a row is made, left out, or refused by its number."""
    files = [[json.loads(line) for line in text.splitlines()] for text in FILES.values() if text.startswith("{")]
    files += [json.loads(FILES[name]) for name in ("alpaca.json", "sharegpt.json")]
    rows = next(rows for rows in files if one.fits_row(rows[0]))
    rows_of = next(role for role, serves in SERVES.items() if one.gives in serves)
    alone = one.together is None
    groups = [[odd] if alone else [*rows[:-1], odd] for odd in mangled(rows[0 if alone else -1])]
    refused = 0
    for group in [[group[0] for group in groups]] if alone else groups:
        try:
            check_rows(put(tmp_path / "rows.jsonl", group, format=one.name), rows_of, "rows.jsonl")  # type: ignore[arg-type]
        except DataError as error:
            refused += 1
            assert str(error).startswith("rows.jsonl")
    assert refused > 0 and len(groups) > 20
    check_rows(put(tmp_path / "rows.jsonl", rows, format=one.name), rows_of, "rows.jsonl")  # type: ignore[arg-type]
