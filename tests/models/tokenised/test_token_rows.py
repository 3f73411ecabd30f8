"""Tokens that are made by hundreds and kept are those that are made one by one, bit for bit."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedConfig, PreTrainedTokenizerFast

from bench.core.data import Data
from bench.core.datasets import read_demonstrations, read_preferences
from bench.core.errors import DataError, StageError
from bench.core.frozen import digest_of_file
from bench.core.policy import Instructed, PolicySpec, Pretrained
from bench.core.stage import Stage, StageIO
from bench.models.count_lengths import Weightless
from bench.models.lengths import fit_rows
from bench.models.tokenised import making
from bench.models.tokenised.making import Wording
from bench.models.tokenised.mapped import ENTRY_FILE
from bench.models.tokenised.token_rows import demonstration_rows, preference_rows, token_rows
from bench.models.tokenizer import token_row, yielding_all
from tests.models.tiny import byte_tokenizer, sentence_tokenizer, word_tokenizer

BASE = Pretrained(path="nowhere")
CHAT = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}> {{ m.content | trim }} . {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
TURNS = [
    {"role": "system", "content": "w1 be brief"},
    {"role": "user", "content": " w2 Once a </s> time"},
    {"role": "assistant", "content": "w3 <s>"},
    {"role": "user", "content": "w4 née \n\n"},
]
# Spaces, control tokens that are spelt, unknown characters, nothing, and what was cut off.
TEXTS = ["w1 w2", " Once", "Once a", "  w3", "a </s> b", "<s>", "", "\n", "né 中 🎉", "w5 " * 40, "Once a"]


@pytest.fixture(params=["word", "bytes", "bytes with a space", "normalizer", "metaspace", "bytes in a chat", "a chat"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    made: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
        "word": word_tokenizer,
        "bytes": byte_tokenizer,
        "bytes with a space": lambda: byte_tokenizer(dummy="byte_level"),
        "normalizer": lambda: sentence_tokenizer("normalizer"),
        "metaspace": lambda: sentence_tokenizer("metaspace"),
        "bytes in a chat": byte_tokenizer,
        "a chat": lambda: sentence_tokenizer("metaspace"),
    }
    found = made[request.param]()
    if request.param.endswith("chat"):
        found.chat_template = CHAT
    return found


def reader(tokenizer: PreTrainedTokenizerFast, spec: PolicySpec = BASE, embeddings: int | None = None) -> Weightless:
    return Weightless(spec, tokenizer, PreTrainedConfig(), "Q: {prompt} A:", None, embeddings)


def pairs(folder: Path) -> Data:
    """Pairs of all the texts, some with the same prompt, some cut off, the rows of a file."""
    prompts = [*TEXTS[:6], "w9", TURNS, TURNS[1:], TURNS[1:2], "w9"]
    rows = [
        {
            "prompt": prompt,
            "chosen": TEXTS[number],
            "rejected": TEXTS[-1 - number],
            "rejected_finish": "length" if number % 3 == 1 else "end",
            "probability": 1 - number / 20,
            "margin": number / 4,
        }
        for number, prompt in enumerate(prompts)
    ]
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Data(path=str(file), digest=digest_of_file(file))


def io(folder: Path, tokens: Path | None = None, told: list[str] | None = None) -> StageIO:
    def nothing(stage: Stage) -> Path:
        raise KeyError(stage.label())

    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    warned = [] if told is None else told
    return StageIO(
        out=folder, scratch=folder / "scratch", read_payload=nothing, tokens=tokens, on_warning=warned.append
    )


def test_tokens_are_those_of_one_row_after_the_other(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    data, plain = pairs(tmp_path), reader(tokenizer)
    asked = Instructed(base=BASE, instruction="w7 kind", separator=" ")
    read = read_preferences(data, io(tmp_path))
    wanted = [token_row(plain, row.prompt, row.replies()) for row in read]
    told = plain.tokens.counts()
    wanted = [
        replace(row, prompts=(*row.prompts, yielding_all(plain, asked, [own.prompt])[0]))
        for row, own in zip(wanted, read, strict=True)
    ]
    both = [Wording(plain, BASE), Wording(plain, asked)]
    for attempt in ("made", "kept"):
        fresh = reader(tokenizer)
        fresh.tokens._changed.clear()
        fresh.tokens._spelling.clear()
        found = token_rows(data, "preferences", both, fresh, io(tmp_path / attempt, tmp_path / "tokens"))
        assert list(found) == wanted
        assert fresh.tokens.counts() == told
        assert found.probability.tolist() == [row.probability for row in read]
        assert found.margin.tolist() == [row.margin for row in read]
        prompts = [row.prompt for row in read]
        assert [prompts.index(prompts[place]) for place in range(len(read))] == [
            found.prompt.tolist().index(number) for number in found.prompt
        ]
        for room in (10, 30, 1000):
            lazily, counts = fit_rows("preferences", found, room)
            at_once, as_counted = fit_rows("preferences", wanted, room)
            assert (list(lazily), counts) == (list(at_once), as_counted)


def test_demonstrations_are_read_as_pairs_are(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    data = pairs(tmp_path).model_copy(update={"columns": {"response": "rejected", "finish": "rejected_finish"}})
    own = reader(tokenizer)
    wanted = [token_row(own, row.prompt, row.replies()) for row in read_demonstrations(data, io(tmp_path))]
    assert list(demonstration_rows(data, own, io(tmp_path, tmp_path / "tokens"))) == wanted


def entries(tokens: Path) -> list[Path]:
    return sorted(tokens.iterdir())


def test_what_is_damaged_is_told_and_made_again(tmp_path: Path) -> None:
    data, own, tokens = pairs(tmp_path), reader(word_tokenizer()), tmp_path / "tokens"
    wanted = list(preference_rows(data, own, io(tmp_path, tokens)))
    columns, first, second = entries(tokens)
    before = {path: digest_of_file(path) for entry in (columns, first, second) for path in entry.iterdir()}
    (first / "ids_flat.bin").write_bytes(b"\0" * (first / "ids_flat.bin").stat().st_size)
    (second / ENTRY_FILE).write_text("{}", encoding="utf-8")
    shutil.rmtree(columns)
    columns.write_text("a file where a folder belongs", encoding="utf-8")
    told: list[str] = []
    assert list(preference_rows(data, own, io(tmp_path, tokens, told))) == wanted
    assert len(told) == 3
    assert all("are damaged" in line and "made again" in line for line in told)
    assert {path: digest_of_file(path) for entry in (columns, first, second) for path in entry.iterdir()} == before


def test_where_nothing_can_be_kept_tokens_are_made_for_the_stage_and_told(tmp_path: Path) -> None:
    data, own = pairs(tmp_path), reader(word_tokenizer())
    blocked = tmp_path / "tokens"
    blocked.write_text("a file", encoding="utf-8")
    told: list[str] = []
    found = preference_rows(data, own, io(tmp_path, blocked, told))
    assert list(found) == list(preference_rows(data, own, io(tmp_path / "other", tmp_path / "kept")))
    (line,) = told
    assert "no tokens can be kept there" in line


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    data, own, tokens = pairs(tmp_path), reader(word_tokenizer()), tmp_path / "tokens"
    left = tokens / ".999999999-abc.partial"
    left.mkdir(parents=True)
    preference_rows(data, own, io(tmp_path, tokens))
    assert not left.exists()


def test_kept_tokens_are_of_these_bytes_settings_and_tokenizer(tmp_path: Path) -> None:
    data, own, tokens = pairs(tmp_path), reader(word_tokenizer()), tmp_path / "tokens"
    preference_rows(data, own, io(tmp_path, tokens))
    assert len(entries(tokens)) == 3
    preference_rows(data, reader(word_tokenizer()), io(tmp_path, tokens))  # another object that is equal
    assert len(entries(tokens)) == 3
    preference_rows(data.model_copy(update={"limit": 2}), own, io(tmp_path, tokens))
    assert len(entries(tokens)) == 6
    other = word_tokenizer()
    other.chat_template = CHAT
    preference_rows(data, reader(other), io(tmp_path, tokens))
    assert len(entries(tokens)) == 8  # columns are of the data alone
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="its bytes have changed"):
        preference_rows(data, own, io(tmp_path, tokens))


def test_tokens_without_an_embedding_are_refused_however_they_came(tmp_path: Path) -> None:
    data, tokens = pairs(tmp_path), tmp_path / "tokens"
    for _ in range(2):
        with pytest.raises(StageError, match="has 5 embeddings"):
            preference_rows(data, reader(word_tokenizer(), embeddings=5), io(tmp_path, tokens))
    preference_rows(data, reader(word_tokenizer()), io(tmp_path, tokens))
    with pytest.raises(StageError, match="has 5 embeddings"):
        preference_rows(data, reader(word_tokenizer(), embeddings=5), io(tmp_path, tokens))


def test_rows_are_not_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "ROWS_AT_ONCE", 32)
    file = tmp_path / "many.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for number in range(1500):
            texts = {name: f"w{number % 40} " * 200 for name in ("prompt", "chosen", "rejected")}
            out.write(json.dumps({**texts, "rejected": f"w{number % 39} " * 190}) + "\n")
    data, own = Data(path=str(file), digest=digest_of_file(file)), reader(word_tokenizer())
    preference_rows(data.model_copy(update={"limit": 10}), own, io(tmp_path, tmp_path / "tokens"))
    tracemalloc.start()
    rows = preference_rows(data, own, io(tmp_path, tmp_path / "tokens"))
    found, _ = fit_rows("preferences", rows, 500)
    _, peak = tracemalloc.get_traced_memory()
    at_once = list(rows)
    all_of_them, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == len(at_once) == 1500
    assert peak < all_of_them / 3
