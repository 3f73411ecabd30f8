"""Asking a model behind an API, piece by piece: keys, replies, waiting, the store, errors, a key that stays secret."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import StageError
from bench.core.task import user
from bench.evaluation.api.answer_store import FILE, AnswerStore
from bench.evaluation.api.ask import REFUSED_IN_A_ROW, ask
from bench.evaluation.api.client import Access, Connection
from bench.evaluation.api.questions import ApiDecoding, ApiQuestion
from bench.evaluation.api.replies import Answer, UnreadableReply, read_reply
from bench.evaluation.api.retry import LONGEST_BACK_OFF, asked_for, back_off
from bench.evaluation.api.secret import HIDDEN
from bench.evaluation.api.spending import Cost, Prices, SpendingLimit, actual, cost_of, most
from tests.evaluation.api.asking_process import ask_all, io_for
from tests.evaluation.api.servers import JSON, Reply, Stub, completion, failure, serving

DECODING = ApiDecoding("m", None, 4, 0.0, 0)
REPLY = completion("1")[2].decode()
SECRET = "sk-very-secret-0123456789"


def question(text: str = "which?", **fields: Any) -> ApiQuestion:
    return ApiQuestion(user(text), DECODING, **fields)


def test_everything_that_is_sent_is_in_the_key_and_nothing_else() -> None:
    others = [
        question("another"),
        question(sample=1),
        question(again=1),
        *(
            ApiQuestion(user("which?"), decoding)
            for decoding in (
                ApiDecoding("n", None, 4, 0.0, 0),
                ApiDecoding("m", "2025", 4, 0.0, 0),
                ApiDecoding("m", None, 5, 0.0, 0),
                ApiDecoding("m", None, 4, 0.5, 0),
                ApiDecoding("m", None, 4, None, 0),
                ApiDecoding("m", None, 4, 0.0, None),
            )
        ),
    ]
    keys = {one.key for one in [question(), *others]}
    assert len(keys) == 10
    assert question(name="another name").key == question().key
    # Keys of stored answers must not move: this one is computed by hand from the documented text.
    text = (
        '{"again":0,"key_version":1,"max_tokens":4,"messages":[{"content":"which?","role":"user"}],"model":"m",'
        '"sample":0,"seed":0,"temperature":0.0,"version":null}'
    )
    assert question().written == text


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (completion("1")[2], Answer("1", "ok", "stop", (20, 1), "stub")),
        (completion("1", tokens=None)[2], Answer("1", "ok", "stop", None, "stub")),
        (completion("", finish="content_filter")[2], Answer("", "refused", "content_filter", (20, 1), "stub")),
        (b'{"choices": [{"message": {"content": null, "refusal": "No."}}]}', Answer("No.", "refused", "", None)),
        (failure(400, "no", "content_filter")[2], Answer("no", "refused")),
        (failure(400, "too long", "context_length_exceeded")[2], Answer("too long", "error")),
    ],
)
def test_replies_that_say_something(body: bytes, answer: Answer) -> None:
    assert read_reply(body.decode()) == answer


@pytest.mark.parametrize(
    "body", ["", "<html>", '{"choices": [1]}', REPLY[: len(REPLY) // 2], "[1]", "null", '{"a": 1}']
)
def test_replies_that_say_nothing(body: str) -> None:
    with pytest.raises(UnreadableReply):
        read_reply(body)


def test_waiting_doubles_up_to_a_minute_and_is_the_same_each_time() -> None:
    waits = [back_off("k", attempt, 0.5) for attempt in range(12)]
    assert waits == [back_off("k", attempt, 0.5) for attempt in range(12)]
    for attempt, wait in enumerate(waits):
        whole = min(0.5 * 2**attempt, LONGEST_BACK_OFF)
        assert whole / 2 <= wait <= whole
    assert len({back_off(str(number), 0, 0.5) for number in range(100)}) == 100


def test_what_a_server_asks_to_wait() -> None:
    assert asked_for({"retry-after": "3"}) == 3
    assert asked_for({"retry-after-ms": "250"}) == 0.25
    assert asked_for({}) == 0
    assert asked_for({"retry-after": "soon"}) == 0
    assert asked_for({"retry-after": "-1"}) == 0
    assert 58 < asked_for({"retry-after": formatdate(time.time() + 60, usegmt=True)}) <= 61


def test_costs_and_limits() -> None:
    prices = Prices(input=2.0, output=10.0)
    assert cost_of((500_000, 100_000), prices) == Cost(1, 600_000, 2.0)
    bound = most(question("é" * 10), prices)
    assert bound == cost_of((20 + 32, 4), prices)
    assert actual(Answer("1", tokens=(20, 1)), question(), prices) == cost_of((20, 1), prices)
    assert actual(Answer("1"), question(), prices) == most(question(), prices)
    limit = SpendingLimit(usd=1.0, calls=3)
    assert limit.admits(Cost(3, 10**9, 1.0))
    assert not limit.admits(Cost(4, 0, 0.0))
    assert not limit.admits(Cost(1, 0, 1.001))
    assert str(limit) == "1 usd or 3 calls"
    with pytest.raises(ValueError, match="at least one of"):
        SpendingLimit()


def stored_answers(folder: Path, questions: Sequence[ApiQuestion]) -> dict[str, Answer]:
    """Return the answers to questions that a folder holds, by key; nothing is made where there is no store."""
    if not (folder / FILE).is_file():
        return {}
    with AnswerStore(folder) as store:
        return store.answers(questions)


def test_the_store_keeps_an_answer_and_its_cost(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, "run") as store:
        assert store.claim(question(), Cost(1, 100, 0.1), None) == "claimed"
        assert store.claim(question(), Cost(1, 100, 0.1), None) == "taken"
        store.keep(question(), REPLY, "http://server", Cost(1, 21, 0.02))
        assert store.claim(question(), Cost(1, 100, 0.1), None) == "answered"
        assert store.spent() == Cost(1, 21, 0.02)
    found = stored_answers(tmp_path, [question(), question("another")])
    assert found == {question().key: Answer("1", "ok", "stop", (20, 1), "stub")}
    assert stored_answers(tmp_path / "nowhere", [question()]) == {}
    assert not (tmp_path / "nowhere").exists()


def test_a_limit_counts_what_is_held_back(tmp_path: Path) -> None:
    one, two, three = (question(str(number)) for number in range(3))
    limit = SpendingLimit(tokens=250)
    with AnswerStore(tmp_path, "run") as store, AnswerStore(tmp_path, "another run") as other:
        assert store.claim(one, Cost(1, 100), limit) == "claimed"
        assert store.claim(two, Cost(1, 100), limit) == "claimed"
        assert store.claim(three, Cost(1, 100), limit) == "full"
        assert other.claim(three, Cost(1, 100), limit) == "claimed"
        other.give_up(three, Cost())
        store.keep(one, REPLY, "s", Cost(1, 90))
        store.keep(two, REPLY, "s", Cost(1, 90))
        assert store.claim(three, Cost(1, 100), limit) == "limit"
        assert store.claim(three, Cost(1, 70), limit) == "claimed"
        store.give_up(three, Cost(1, 70))
        assert store.spent() == Cost(3, 250)


def claim_and_die(folder: Path) -> None:
    store = AnswerStore(folder, "run")
    store.claim(question(), Cost(1, 100, 0.5), None)
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_claim_of_a_process_that_died_is_freed_and_counted(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=claim_and_die, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    with AnswerStore(tmp_path, "run") as store:
        assert store.claim(question(), Cost(1, 100), None) == "claimed"
        assert store.spent() == Cost(1, 100, 0.5)


def test_a_store_of_a_later_program_is_told(tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    with sqlite3.connect(later / FILE) as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(StageError, match="of version 99"):
        AnswerStore(later)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (failure(400, "unknown field"), "HTTP 400: unknown field. Look at the judge's settings"),
        (failure(401, "bad key"), "HTTP 401: bad key. Put a valid key"),
        (failure(404, "no such model"), "HTTP 404: no such model. Look at `base_url` and `model`"),
        (failure(429, "pay first", "insufficient_quota"), "HTTP 429: pay first"),
        ((422, JSON, b'{"detail": "odd"}'), "HTTP 422: .*odd"),
    ],
    ids=["400", "401", "404", "quota", "422"],
)
def test_what_will_not_pass_is_not_tried_again(tmp_path: Path, reply: Reply, said: str) -> None:
    stub = Stub(lambda _request, _headers: reply)
    with serving(stub):
        with pytest.raises(StageError, match=said) as error:
            ask_all(tmp_path, stub.url, 40)
        assert len(stub.requests) <= 16 + REFUSED_IN_A_ROW  # those under way, and those behind the first refusals
    assert "40 of 40 questions have no answer" in str(error.value)
    assert "prompt p" in str(error.value)
    with sqlite3.connect(tmp_path / ".answers" / FILE) as base:
        assert base.execute("SELECT COUNT(*) FROM answers").fetchone() == (0,)
        assert base.execute("SELECT COUNT(*) FROM claims").fetchone() == (0,)


def test_what_may_pass_is_tried_so_often_and_no_more(tmp_path: Path) -> None:
    with serving(Stub(lambda _request, _headers: failure(503, "later"))) as stub:
        with pytest.raises(StageError, match="failed 4 times, the last time with HTTP 503: later"):
            ask_all(tmp_path, stub.url, 1, retries=3)
        assert len(stub.requests) == 4
    # Nobody listens there any more.
    with pytest.raises(StageError, match="failed 3 times, the last time with the connection failed"):
        ask_all(tmp_path, stub.url, 1, retries=2)
    with sqlite3.connect(tmp_path / ".answers" / FILE) as base:
        assert base.execute("SELECT SUM(calls) FROM spending").fetchone() == (0,)


def test_a_server_that_asks_to_wait_is_heeded_by_all_and_not_for_ever(tmp_path: Path) -> None:
    came: list[float] = []

    def limited(_request: dict[str, Any], _headers: Any) -> Reply:
        came.append(time.monotonic())
        return completion("1") if len(came) > 1 else failure(429, "slow down", **{"Retry-After": "0.6"})

    with serving(Stub(limited)) as stub:
        ask_all(tmp_path, stub.url, 3, concurrency=1)
    assert came[1] - came[0] >= 0.6
    closed = Stub(lambda _request, _headers: failure(429, "quota", **{"Retry-After": "86400"}))
    with serving(closed), pytest.raises(StageError, match="the server asks to wait 86,400 s"):
        ask_all(tmp_path / "other", closed.url, 1)


def test_an_error_about_one_question_is_its_answer(tmp_path: Path) -> None:
    def filtered(request: dict[str, Any], _headers: Any) -> Reply:
        text = request["messages"][0]["content"]
        if "answer 1\n" in text:
            return failure(400, "filtered", "content_filter")
        return failure(400, "long", "context_length_exceeded") if "answer 2\n" in text else completion("1")

    with serving(Stub(filtered)) as stub:
        verdicts = ask_all(tmp_path, stub.url, 4)
        assert [one.status for one in verdicts] == ["ok", "refused", "error", "ok"]
        assert [one.text for one in verdicts] == ["1", "filtered", "long", "1"]
        assert ask_all(tmp_path, stub.url, 4) == verdicts
        assert len(stub.requests) == 4


def test_offline_asks_nothing_and_says_how_much_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Stub(lambda _request, _headers: completion("2"))) as stub:
        first = ask_all(tmp_path, stub.url, 5)
    monkeypatch.setenv("ALIGNMENT_BENCH_OFFLINE", "1")
    # The server is gone, its key is not set, and neither matters for what is stored.
    assert ask_all(tmp_path, "http://127.0.0.1:9/v1", 5, api_key_env="NO_SUCH_KEY") == first
    with pytest.raises(StageError, match=r"3 of 8 answers of stub are not stored \(the first: prompt p5\)"):
        ask_all(tmp_path, "http://127.0.0.1:9/v1", 8)


def test_a_key_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(StageError, match="the environment variable JUDGE_KEY is not set"):
        ask_all(tmp_path, "http://127.0.0.1:9/v1", 1, api_key_env="JUDGE_KEY")


@pytest.mark.parametrize("key", [f"{SECRET}\nX: y", f"{SECRET}\u00e9", f"{SECRET}\x00"])
def test_a_key_that_cannot_be_sent_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "JUDGE_KEY": key})
    with pytest.raises(StageError, match="the environment variable JUDGE_KEY holds a line end") as error:
        ask_all(tmp_path, "http://127.0.0.1:9/v1", 1, api_key_env="JUDGE_KEY")
    assert SECRET not in str(error.value)


def test_a_server_that_nobody_can_read_ends_the_stage_and_leaves_nothing_behind(tmp_path: Path) -> None:
    readable = [False]

    def rule(_request: dict[str, Any], _headers: Any) -> Reply:
        return completion("1") if readable[0] else (200, JSON, b"<html>under repair</html>")

    with serving(Stub(rule)) as stub:
        said = (
            f"40 of 40 questions have no answer: {REFUSED_IN_A_ROW} questions in a row got no answer, the last one .*"
        )
        with pytest.raises(StageError, match=f"{said} failed 2 times, the last time with an unreadable reply: no JSON"):
            ask_all(tmp_path, stub.url, 40, concurrency=1, retries=1)
        assert len(stub.requests) == 2 * REFUSED_IN_A_ROW
        readable[0] = True
        assert {one.status for one in ask_all(tmp_path, stub.url, 40)} == {"ok"}


def test_the_key_goes_to_the_server_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the server repeats it, in an answer or in an error."""
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")

    def echo(_request: dict[str, Any], headers: Any) -> Reply:
        return completion(f"your key is {headers['Authorization']}")

    with serving(Stub(echo)) as stub:
        (verdict,) = ask_all(tmp_path, stub.url, 1, api_key_env="JUDGE_KEY")
        assert stub.keys == [f"Bearer {SECRET}"]
        ask_all(tmp_path / "without", stub.url, 1)
        assert "sk-of" not in stub.keys[1]
    assert verdict.text == f"your key is Bearer {HIDDEN}"
    refusing = Stub(lambda _r, headers: failure(401, f"wrong: {headers['Authorization']}"))
    with serving(refusing), pytest.raises(StageError) as error:
        ask_all(tmp_path / "refused", refusing.url, 1, api_key_env="JUDGE_KEY")
    assert SECRET not in str(error.value)
    assert HIDDEN in str(error.value)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_progress_tells_what_is_done_and_spent(tmp_path: Path) -> None:
    told = []
    io = io_for(tmp_path)
    io.on_progress = told.append
    prices = Prices(input=1e6, output=0.0)
    with serving(Stub(lambda _request, _headers: completion("1"))) as stub:
        access = Access(stub.url, concurrency=1, prices=prices)
        ask([question(str(number)) for number in range(3)], access, io)
        ask([question(str(number)) for number in range(5)], access, io)
    assert [(one.done, one.total, one.unit) for one in told] == [
        (done, total, "judgements") for total in (3, 2) for done in range(1, total + 1)
    ]
    assert told[2].note == "60 USD, 63 tokens"
    assert (io.meter.api_calls, io.meter.api_tokens, io.meter.usd) == (5, 105, 100.0)


def test_a_client_is_told_nothing_it_must_not_depend_on(tmp_path: Path) -> None:
    with serving(Stub(lambda _request, _headers: completion("1"))) as stub:
        ask_all(tmp_path, stub.url, 1, temperature=None, seed=None, limit_as="max_completion_tokens")
    (request,) = stub.requests
    assert set(request) == {"model", "messages", "max_completion_tokens"}


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(StageError, match=r"pip install 'alignment-bench\[judge\]'"):
        Connection(Access("http://127.0.0.1/v1"))


def test_a_slow_drip_of_bytes_is_a_reply_that_does_not_come(tmp_path: Path) -> None:
    """The time limit is one of the whole request, not of the next byte."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(40):
            writer.write(b" ")
            await asyncio.sleep(0.1)

    async def main() -> float:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        began = time.monotonic()
        with pytest.raises(StageError, match=r"no reply within 0\.5 s"):
            await asyncio.to_thread(ask_all, tmp_path, f"http://127.0.0.1:{port}/v1", 1, timeout=0.5, retries=0)
        server.close()
        return time.monotonic() - began

    assert asyncio.run(main()) < 3


def test_what_was_sent_and_answered_is_kept_word_for_word(tmp_path: Path) -> None:
    with serving(Stub(lambda _request, _headers: completion("1"))) as stub:
        ask_all(tmp_path, stub.url, 1)
    with sqlite3.connect(tmp_path / ".answers" / FILE) as base:
        ((key, asked, reply, server),) = base.execute("SELECT key, question, reply, server FROM answers")
    assert json.loads(asked)["messages"] == stub.requests[0]["messages"]
    assert reply == completion("1")[2].decode()
    assert server == stub.url
    assert len(key) == 64
