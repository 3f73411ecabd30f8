"""Answers that were paid for, in a store that was damaged: what can be read is found, the rest set aside and told."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import StageError
from bench.core.task import user
from bench.evaluation.api.answer_store import DAMAGED, FILE, AnswerStore
from bench.evaluation.api.questions import ApiDecoding, ApiQuestion
from bench.evaluation.api.salvage import PAGE
from bench.evaluation.api.spending import Cost
from tests.evaluation.api.servers import completion

COUNT = 400
QUESTIONS = [ApiQuestion(user(f"which? {number}"), ApiDecoding("m", None, 4, 0.0, 0)) for number in range(COUNT)]


def said(number: int) -> str:
    """What was answered: one in ten is too long for a page."""
    return f"{number} " + "because " * (3000 if number % 10 == 0 else 3)


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    with AnswerStore(folder) as store:
        store._base.execute("PRAGMA synchronous=OFF")  # hundreds of syncs take a second
        for number, question in enumerate(QUESTIONS):
            store.claim(question, Cost(), None)
            store.keep(question, completion(said(number))[2].decode(), "http://server", Cost())
    return folder / FILE


def opened(folder: Path, told: list[str]) -> dict[int, str]:
    """Return what is found for each question, by its number."""
    with AnswerStore(folder, tell=told.append) as store:
        found = store.answers(QUESTIONS)
        # It can be used: what is lacking is asked for and kept.
        lacking = next((one for one in QUESTIONS if one.key not in found), None)
        if lacking is not None:
            assert store.claim(lacking, Cost(), None) == "claimed"
            store.keep(lacking, completion("new")[2].decode(), "s", Cost())
            assert store.answers([lacking])[lacking.key].text == "new"
    return {number: found[one.key].text for number, one in enumerate(QUESTIONS) if one.key in found}


def zeroed(page: int) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        with file.open("r+b") as stream:
            stream.seek((page - 1) * PAGE)
            stream.write(bytes(PAGE))

    return damage


def root_of_answers(file: Path) -> None:
    with sqlite3.connect(file) as base:
        (root,) = base.execute("SELECT rootpage FROM sqlite_master WHERE name = 'answers'").fetchone()
    zeroed(root)(file)


def root_of_keys(file: Path) -> None:
    with sqlite3.connect(file) as base:
        (root,) = base.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_answers_1'"
        ).fetchone()
    zeroed(root)(file)


def flipped_magic(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"R")


DAMAGE: dict[str, tuple[Callable[[Path], None], int]] = {
    "first page": (zeroed(1), COUNT),
    "magic": (flipped_magic, COUNT),
    "root": (root_of_answers, COUNT),
    "index": (root_of_keys, COUNT),
    "half": (lambda file: os.truncate(file, file.stat().st_size // PAGE // 2 * PAGE), COUNT // 3),
    "torn": (lambda file: os.truncate(file, file.stat().st_size // 2 + 77), COUNT // 3),
    "a page": (zeroed(20), COUNT - 60),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_can_be_read_is_never_paid_for_again(tmp_path: Path, whole_file: Path, what: str) -> None:
    damage, at_least = DAMAGE[what]
    shutil.copy(whole_file, tmp_path / FILE)
    damage(tmp_path / FILE)
    damaged, told = (tmp_path / FILE).read_bytes(), list[str]()
    found = opened(tmp_path, told)
    assert len(found) >= at_least, len(found)
    assert all(text == said(number) for number, text in found.items())
    assert len(told) == 1
    assert f"{len(found)} answers in it could be read and are kept" in told[0]
    (aside,) = (tmp_path / DAMAGED).iterdir()
    assert (aside / FILE).read_bytes() == damaged
    again: list[str] = []
    assert len(opened(tmp_path, again)) >= min(len(found) + 1, COUNT)
    assert again == []


@pytest.mark.parametrize("content", [b"", b"no database at all" * 999, b"\0" * 5 * PAGE, None])
def test_a_file_that_holds_nothing_is_begun_anew(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / FILE).mkdir()
    else:
        (tmp_path / FILE).write_bytes(content)
    told: list[str] = []
    assert opened(tmp_path, told) == {}
    assert len(told) == (content != b"")  # SQLite begins an empty file by itself


def test_what_a_killed_process_left_in_the_log_is_read_too(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "old") as store:
        for number, question in enumerate(QUESTIONS[:40]):
            store.claim(question, Cost(), None)
            store.keep(question, completion(said(number))[2].decode(), "s", Cost())
        # As it lies there while the store is open: answers are in the log, and in no page of the file.
        (tmp_path / "new").mkdir()
        for end in ("", "-wal"):
            shutil.copy(tmp_path / "old" / f"{FILE}{end}", tmp_path / "new" / f"{FILE}{end}")
    flipped_magic(tmp_path / "new" / FILE)
    told: list[str] = []
    assert opened(tmp_path / "new", told) == {number: said(number) for number in range(40)}


@pytest.mark.parametrize("change", ["'{' || reply", "replace(reply, '1 because', '2 because')", "x'ff00'", "'null'"])
def test_an_answer_that_is_not_what_was_stored_is_set_aside(tmp_path: Path, whole_file: Path, change: str) -> None:
    shutil.copy(whole_file, tmp_path / FILE)
    with sqlite3.connect(tmp_path / FILE) as base:
        base.execute(f"UPDATE answers SET reply = {change} WHERE key = ?", [QUESTIONS[1].key])
        if change.startswith("'"):
            base.execute("DROP TABLE digests")  # as an earlier program left it
    told: list[str] = []
    found = opened(tmp_path, told)
    assert found == {number: said(number) for number in range(COUNT) if number != 1}
    assert len(told) == 1
    assert "1 answers were damaged" in told[0]
    with sqlite3.connect(tmp_path / FILE) as base:
        assert base.execute("SELECT key FROM set_aside").fetchall() == [(QUESTIONS[1].key,)]


def test_a_file_in_use_is_not_taken_from_those_who_use_it(tmp_path: Path, whole_file: Path) -> None:
    shutil.copy(whole_file, tmp_path / FILE)
    with AnswerStore(tmp_path):
        zeroed(20)(tmp_path / FILE)
        with pytest.raises(StageError, match=r"damaged, and another run is using it\. End that one"):
            AnswerStore(tmp_path)
    assert len(opened(tmp_path, [])) < COUNT


def test_odd_answers_do_no_harm_to_questions_about_them(tmp_path: Path) -> None:
    """NaN is JSON for Python and none for SQLite; so is what is a thousand levels deep."""
    replies = [completion("1")[2].decode()[:-1] + f', "odd": {odd}}}' for odd in ("NaN", "[" * 1500 + "]" * 1500)]
    with AnswerStore(tmp_path) as store:
        for question, reply in zip(QUESTIONS, replies, strict=False):
            store.claim(question, Cost(), None)
            store.keep(question, reply, "s", Cost())
        with store._transaction():
            store._base.execute("INSERT INTO answers VALUES ('k', '{', ?, 's')", [json.dumps("x")])
        known = store.answered_before(QUESTIONS[5], "s")
        assert known is not None
        assert known.chat == QUESTIONS[0].chat
        assert [one.text for one in store.costs_known("m")] == ["1"]
