"""Faults: a server that refuses, breaks, lies and hangs; a limit on spending; a process that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import StageError
from bench.evaluation.api.answer_store import FILE
from tests.evaluation.api.asking_process import ask_all, io_for, judge, pairs
from tests.evaluation.api.served import transformers_serve, write_judge
from tests.evaluation.api.servers import FAULTS, FaultProxy, Reply, Stub, completion, serving
from tests.long import with_a_shorter_sister

ROOT = Path(__file__).resolve().parents[3]
MANY = 300  # the campaign (``python -m tests.faults judgements``) asks for a thousand
# Of a real server, which takes ten times as long per answer; none unless asked for. CONTRIBUTING.md says how.
OF_REAL_SERVER = int(os.environ.get("ALIGNMENT_BENCH_JUDGEMENTS", "0"))


def by_number(request: dict[str, Any], _headers: Any) -> Reply:
    """The first is better where the question has a 7 in it."""
    return completion("1" if "7" in request["messages"][0]["content"] else "2")


def expected(count: int) -> list[float]:
    return [float("7" in str(number)) for number in range(count)]


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    model = write_judge(tmp_path_factory.mktemp("judge") / "model")
    with transformers_serve(model) as url:
        yield url, model


def test_a_few_judgements_through_every_fault(tmp_path: Path) -> None:
    with serving(Stub(by_number)) as stub, serving(FaultProxy(stub.url, share=0.4, hang=2.5)) as proxy:
        verdicts = ask_all(tmp_path, proxy.url, 60)
    assert [one.value for one in verdicts] == expected(60)
    assert set(proxy.injured) == set(FAULTS)
    assert len(proxy.delivered) == 60
    assert set(proxy.delivered.values()) == {1}


@pytest.mark.slow
def test_many_judgements_none_lost_and_none_doubled(tmp_path: Path, count: int = MANY) -> None:
    with serving(Stub(by_number)) as stub, serving(FaultProxy(stub.url, hang=3.0)) as proxy:
        verdicts = ask_all(tmp_path, proxy.url, count)
        again = ask_all(tmp_path, proxy.url, count)
    assert [one.value for one in verdicts] == expected(count)
    assert again == verdicts
    assert sum(proxy.injured.values()) > count / 5
    assert len(proxy.delivered) == count
    assert set(proxy.delivered.values()) == {1}


@pytest.mark.slow
@pytest.mark.skipif(not OF_REAL_SERVER, reason="ALIGNMENT_BENCH_JUDGEMENTS does not say how many")
def test_judgements_of_a_real_server_none_lost_and_none_doubled(tmp_path: Path, real_server: tuple[str, Path]) -> None:
    """As many judgements as ALIGNMENT_BENCH_JUDGEMENTS says, of a model that is loaded."""
    url, model = real_server
    fields = {"model": str(model), "max_tokens": 1, "concurrency": 8}
    # Asked first, because the server loads its model at the first request.
    whole = ask_all(tmp_path / "whole", url, 50, timeout=60.0, **fields)
    # The machine may be busy, so the time after which a request is given up is long, and hangs are rarer.
    faults = [*3 * [fault for fault in FAULTS if fault != "hang"], "hang"]
    with serving(FaultProxy(url, share=0.2, hang=11.0, faults=faults)) as proxy:
        verdicts = ask_all(tmp_path / "faulty", proxy.url, OF_REAL_SERVER, timeout=10.0, **fields)
    assert {one.status for one in verdicts} == {"ok"}
    assert {one.value for one in verdicts} == {0.0, 1.0}
    assert sum(proxy.injured.values()) > OF_REAL_SERVER / 10
    assert len(proxy.delivered) == OF_REAL_SERVER
    assert set(proxy.delivered.values()) == {1}
    # What came through the faults is what the server says without them.
    assert [one.value for one in whole] == [one.value for one in verdicts[:50]]


def stored_keys(folder: Path) -> set[str]:
    with sqlite3.connect(folder / ".answers" / FILE) as base:
        return {key for (key,) in base.execute("SELECT key FROM answers")}


def start(folder: Path, url: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.evaluation.api.asking_process", str(folder), url, str(count)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_run_killed_three_times_never_asks_again_for_what_it_has(tmp_path: Path) -> None:
    count, under_way = 400, 16  # answered, perhaps, when the run is killed, but nobody is there to store it

    def slow(request: dict[str, Any], headers: Any) -> Reply:
        time.sleep(0.03)
        return by_number(request, headers)

    with serving(Stub(slow)) as stub, serving(FaultProxy(stub.url, share=0.1, hang=3.0)) as proxy:
        had: set[str] = set()
        for kill in range(3):
            asked_before = proxy.seen.copy()
            process = start(tmp_path, proxy.url, count)
            while len(proxy.delivered) < 60 * (kill + 1) and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert len(anew(proxy, asked_before)) <= count - len(had)
            assert had < (had := stored_keys(tmp_path))
            assert len(had) < count
            assert twice(proxy) <= under_way * (kill + 1)
        asked_before = proxy.seen.copy()
        process = start(tmp_path, proxy.url, count)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert [float(value) for value in out.split()] == expected(count)
    assert len(anew(proxy, asked_before)) == count - len(had)
    assert len(proxy.delivered) == count
    assert twice(proxy) <= 3 * under_way


def anew(proxy: FaultProxy, before: Counter[str]) -> set[str]:
    """The questions that came once more since then."""
    return {question for question in proxy.seen if proxy.seen[question] > before[question]}


def twice(proxy: FaultProxy) -> int:
    """How many whole answers were given for a question that had one."""
    return sum(number - 1 for number in proxy.delivered.values())


@with_a_shorter_sister
@pytest.mark.slow
def test_two_processes_share_the_answers_and_ask_nothing_twice(tmp_path: Path) -> None:
    with serving(Stub(by_number)) as stub, serving(FaultProxy(stub.url, share=0.1, hang=3.0)) as proxy:
        processes = [start(tmp_path, proxy.url, 300) for _ in range(2)]
        results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert results[0][0] == results[1][0]
    assert len(proxy.delivered) == 300
    assert set(proxy.delivered.values()) == {1}


@pytest.mark.parametrize(
    ("limit", "counted"),
    [({"calls": 40}, 40), ({"tokens": 2100}, 100), ({"usd": 0.0021}, 100)],
    ids=["calls", "tokens", "usd"],
)
def test_the_spending_limit_holds_under_concurrency(tmp_path: Path, limit: dict[str, Any], counted: int) -> None:
    """The server counts 20 tokens read and 1 written a request; the most a request may read is far more."""
    prices = {"input": 1.0, "output": 1.0}
    with serving(Stub(by_number)) as stub:
        fields = {"spending_limit": limit, "prices": prices, "concurrency": 16}
        with pytest.raises(StageError, match="spending limit of this run"):
            ask_all(tmp_path, stub.url, 200, **fields)
        answered = len(stub.requests)
        assert answered <= counted
        assert answered >= counted * 0.8
        assert len(stored_keys(tmp_path)) == answered
        # The next run pays for the rest only.
        verdicts = ask_all(tmp_path, stub.url, 200, concurrency=16)
        assert len(stub.requests) <= 200
    assert [one.value for one in verdicts] == expected(200)


def test_an_attempt_of_unknown_fate_counts_as_spent(tmp_path: Path) -> None:
    """A hanging request may have been billed: it counts at its most, so the limit holds whatever the server did."""
    stub = Stub(by_number)
    proxy = FaultProxy(stub.url, share=1.0, hang=0.3)
    with serving(stub), serving(proxy), pytest.raises(StageError, match="spending limit of this run, 30 calls"):
        ask_all(tmp_path, proxy.url, 100, spending_limit={"calls": 30}, timeout=0.2, retries=100)
    unbilled = proxy.injured["limited"] + proxy.injured["broken"]
    assert sum(proxy.seen.values()) - unbilled <= 30


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with serving(Stub(by_number)) as stub:
        asked = [one for one in pairs(5) for _ in range(4)]
        verdicts = judge(stub.url).compare(None, asked, io_for(tmp_path))
    assert len(verdicts) == 20
    assert len(stub.requests) == 5
    assert max(Counter(one["messages"][0]["content"] for one in stub.requests).values()) == 1
