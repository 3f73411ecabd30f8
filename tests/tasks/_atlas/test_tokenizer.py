"""The world's tokenizer: exact in both directions, everywhere in a text, and the same after saving."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from bench.core.task import user
from bench.models.chat import prompt_ids
from tasks._atlas.questions import KINDS, pool
from tasks._atlas.tokenizer import SPECIAL, build_tokenizer, vocabulary
from tasks._atlas.writing import documents
from tests.models.responses import response_ids, response_text


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(7)


def test_text_is_restored_exactly_and_every_word_is_known(tokenizer: Any) -> None:
    for document in itertools.islice(documents(7, 1), 2000):
        ids = response_ids(tokenizer, document.text)
        assert tokenizer.unk_token_id not in ids
        assert ids[-1] == tokenizer.eos_token_id
        assert response_text(tokenizer, ids) == document.text


def test_every_question_is_known_in_full(tokenizer: Any) -> None:
    for split, kind in itertools.product(("train", "dev", "evaluation"), KINDS):
        for question in pool(7, split)[kind]:
            ids = prompt_ids(tokenizer, user(question.text), "{prompt}")
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == f"<bos><user>{question.text}<bot>"


def test_one_token_per_word_and_specials_apart(tokenizer: Any) -> None:
    tokens = tokenizer.convert_ids_to_tokens(response_ids(tokenizer, "This person plays the harp. This person"))
    assert tokens == ["This", " person", " plays", " the", " harp", ".", " This", " person", "<eos>"]
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == list(range(len(SPECIAL)))
    assert len(tokenizer) == len(vocabulary(7)) == len(set(vocabulary(7)))


def test_chat_template_lays_out_turns(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "Who is A?"}, {"role": "assistant", "content": "They sing."}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<bos><user>Who is A?<bot>They sing.<eos>"
    opened = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert opened == "<bos><user>Who is A?<bot>"


def test_saving_and_loading_changes_nothing(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = next(documents(7, 2)).text
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.chat_template == tokenizer.chat_template
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.eos_token, loaded.pad_token, loaded.bos_token) == ("<eos>", "<pad>", "<bos>")
