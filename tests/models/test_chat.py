from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.policy import Message
from bench.core.task import user
from bench.models.chat import (
    plain_text,
    prompt_ids,
)
from bench.models.tokenizer import tokenizer_at
from tests.models.responses import response_ids, response_text
from tests.models.tiny import byte_tokenizer, sentence_tokenizer, word_tokenizer

TEXTS = ["Once upon a", " Once a time", "  two", "\nnew line", "a", " a", ".", "...", "ends ", "", "a <s> b </s>"]
TOKENIZERS = {
    "bytes": byte_tokenizer(),
    "bytes with a dummy space": byte_tokenizer(dummy="byte_level"),
    "sentence by normalizer": sentence_tokenizer("normalizer"),
    "sentence by metaspace": sentence_tokenizer("metaspace"),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_response_comes_back_as_it_was(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = response_ids(tokenizer, text)
    assert ids[-1] == tokenizer.eos_token_id
    assert not set(ids[:-1]) & set(tokenizer.all_special_ids)
    assert response_text(tokenizer, ids) == text


@pytest.mark.parametrize("response", [" Once upon", " a time", "Once", "new", " two  three"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_prompt_and_response_are_the_joint_tokens(name: str, response: str) -> None:
    tokenizer = TOKENIZERS[name]
    prompt = "It was so."
    joint = [tokenizer.bos_token_id, *tokenizer(prompt + response, add_special_tokens=False)["input_ids"]]
    separate = prompt_ids(tokenizer, user(prompt), "{prompt}") + response_ids(tokenizer, response)[:-1]
    assert separate == joint


def test_words_come_back_as_they_were() -> None:
    tokenizer = word_tokenizer()
    assert response_ids(tokenizer, "w1 w2 w3") == [5, 6, 7, 2]
    assert response_text(tokenizer, [5, 6, 7, 2]) == "w1 w2 w3"


@pytest.mark.data
def test_the_real_sentencepiece_tokenizer(real_data: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real_data / "models" / "stories260K")
    with gzip.open(real_data / "tinystories_sentiment" / "pairs_test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        prompt = prompt_ids(tokenizer, user(row["prompt"]), "{prompt}")
        for response in (row["chosen"], row["rejected"]):
            ids = response_ids(tokenizer, response)
            assert prompt + ids[:-1] == tokenizer(row["prompt"] + response)["input_ids"]
            assert ids[-1] == 1
            assert response_text(tokenizer, ids) == response
    assert response_text(tokenizer, response_ids(tokenizer, "no space")) == "no space"
    assert response_text(tokenizer, response_ids(tokenizer, " ☃ é")) == " ☃ é"


def test_the_beginning_token_stands_once() -> None:
    tokenizer = byte_tokenizer()
    plain = prompt_ids(tokenizer, user("a"), "{prompt}")
    assert plain[0] == tokenizer.bos_token_id
    assert plain.count(tokenizer.bos_token_id) == 1
    assert prompt_ids(tokenizer, user("a"), "<s>{prompt}") == plain
    tokenizer.bos_token = None
    assert prompt_ids(tokenizer, user("a"), "{prompt}") == plain[1:]


def with_template(begin: str) -> PreTrainedTokenizerBase:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        begin + "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    return tokenizer


def test_a_chat_template_has_the_last_word() -> None:
    chat = (Message(role="system", content="s"), Message(role="user", content="hi"))
    tokenizer = with_template("")
    assert tokenizer.decode(prompt_ids(tokenizer, chat, "ignored")) == "[system]s[user]hi[assistant]"
    tokenizer = with_template("{{ bos_token }}")
    ids = prompt_ids(tokenizer, chat, "ignored")
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1


def test_several_turns_without_a_chat_template() -> None:
    chat = (
        Message(role="system", content="Be kind."),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Hello"),
        Message(role="user", content="Bye"),
    )
    assert plain_text(chat) == "System: Be kind.\n\nUser: Hi\n\nAssistant: Hello\n\nUser: Bye\n\nAssistant:"
    assert plain_text(user("Hi {prompt}")) == "Hi {prompt}"
    tokenizer = byte_tokenizer()
    ids = prompt_ids(tokenizer, user("Hi {prompt}"), "Q: {prompt}\nA:")
    assert tokenizer.decode(ids[1:]) == "Q: Hi {prompt}\nA:"


def test_a_template_without_a_place_for_the_prompt_is_refused() -> None:
    with pytest.raises(StageError, match=r"\{prompt\}"):
        prompt_ids(byte_tokenizer(), user("a"), "Q:")


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(StageError, match="end token"):
        response_ids(tokenizer, "a")


def test_the_date_of_the_day_is_that_of_every_day(caplog: pytest.LogCaptureFixture) -> None:
    asked = (
        "{% if strftime_now is defined %}{% set d = strftime_now('%d %b %Y') %}{% else %}{% set d = '?' %}{% endif %}"
    )
    nested = "{% macro today() %}{{ strftime_now('%A, %-d %B %y') }}{% endmacro %}"
    tokenizer = with_template(f" {asked}{nested}{{{{ d }}}}; {{{{ today() }}}}: ")
    with caplog.at_level("WARNING"):
        for _ in range(2):
            text = tokenizer.decode(prompt_ids(tokenizer, user("hi"), ""))
            assert text == " 26 Jul 2024; Friday, 26 July 24: [user]hi[assistant]"
    assert len([line for line in caplog.messages if "writes the date of the day" in line]) == 1


def test_of_several_templates_the_default_is_read_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    word_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    named = [{"name": "default", "template": "{% for m in messages %}{{ m.content }}? {% endfor %}"},
             {"name": "tool_use", "template": "{{ tools }}"}]  # fmt: skip
    file.write_text(json.dumps({**config, "chat_template": named}), encoding="utf-8")
    with caplog.at_level("WARNING"):
        found = [tokenizer_at(str(tmp_path), None) for _ in range(2)]
    assert [one.chat_template for one in found] == [named[0]["template"]] * 2
    assert [one.getMessage().partition(": ")[2] for one in caplog.records] == [
        "of its chat templates the one called 'default' is used; not used: tool_use"
    ]
    file.write_text(json.dumps({**config, "chat_template": [{**named[0], "name": "rag"}, named[1]]}), encoding="utf-8")
    with pytest.raises(StageError, match=r"is several \(rag, tool_use\), none of them called 'default'"):
        tokenizer_at(str(tmp_path), None)
