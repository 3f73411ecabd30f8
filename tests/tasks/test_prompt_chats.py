"""Prompts to evaluate with may be chats of any layout, and no turn of them is lost on the way to a model or a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.policy import Message
from bench.evaluation.judges._prompt_file import transcript
from bench.models.load import load_policy
from tasks.prompts import Prompts
from tests.methods.tiny import Bench, pretrained

TURNS = [("system", "be kind"), ("user", "say red"), ("assistant", "red."), ("user", "say blue")]
CHAT = tuple(Message.model_validate({"role": role, "content": content}) for role, content in TURNS)
OPENAI = [{"role": role, "content": content} for role, content in TURNS]
NAMES = {"system": "system", "user": "human", "assistant": "gpt"}
SHAREGPT = [{"from": NAMES[role], "value": content} for role, content in TURNS]


def task(folder: Path, row: dict[str, Any], **fields: Any) -> Prompts:
    file = folder / "prompts.jsonl"
    file.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n", encoding="utf-8")
    return Prompts(path=str(file), digest=digest_of_file(file), **fields)


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"prompt": OPENAI}, {}),
        ({"asked": OPENAI}, {"column": "asked"}),
        ({"messages": [*OPENAI, {"role": "assistant", "content": "blue."}]}, {}),
        ({"messages": [*OPENAI, {"role": "assistant", "content": "blue."}]}, {"column": "messages"}),
        ({"conversations": [*SHAREGPT, {"from": "gpt", "value": "blue."}]}, {}),
    ],
)
def test_all_turns_before_the_last_answer_are_asked(  # fmt: skip
    tmp_path: Path, row: dict[str, Any], fields: dict[str, str]
) -> None:
    (found,) = task(tmp_path, {**row, "kind": "chat", "cluster": 7}, **fields).prompts()
    assert found.chat == CHAT
    assert (found.kind, found.cluster) == ("chat", "7")


def test_a_chat_in_any_layout_has_the_id_that_it_has_in_ours(tmp_path: Path) -> None:
    (ours,) = task(tmp_path, {"prompt": OPENAI}).prompts()
    (theirs,) = task(tmp_path, {"messages": [*OPENAI, {"role": "assistant", "content": "x"}]}).prompts()
    assert ours == theirs


def test_an_instruction_is_asked_with_its_input(tmp_path: Path) -> None:
    row = {"instruction": "Say it.", "input": "Red.", "output": "red"}
    (found,) = task(tmp_path, row).prompts()
    assert "Say it." in found.chat[-1].content
    assert "Red." in found.chat[-1].content
    with pytest.raises(DataError, match="leaves out `input`"):
        task(tmp_path, row, column="instruction").prompts()
    with pytest.raises(DataError, match="no column 'asked'"):
        task(tmp_path, row, column="asked").prompts()


def test_model_and_judge_read_every_turn(tmp_path: Path) -> None:
    (found,) = task(tmp_path, {"prompt": OPENAI}).prompts()
    policy = load_policy(pretrained(tmp_path / "model"), Bench(tmp_path / "bench").io())
    read = policy.tokenizer.decode(policy.parts[0].prompt(found.chat))
    shown = transcript(found.chat)
    for text in (read, shown):
        places = [text.find(content) for _, content in TURNS]
        assert -1 not in places
        assert places == sorted(places)
    assert shown.startswith("System: be kind")
