"""Several samples of one answer, and answers asked for again, from a server that honours seeds; and who answered."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.stage import DIAGNOSTICS_FILE
from bench.evaluation.api.questions import seed_of
from bench.evaluation.api.served import SERVED
from tests.evaluation.api.asking_process import ask_all
from tests.evaluation.api.servers import Reply, Stub, completion, serving


def drawn(request: dict[str, Any]) -> float:
    text = json.dumps([request["messages"], request["seed"]])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32


def test_seeds_are_distinct_and_the_first_is_the_one_that_is_written() -> None:
    for seed in (0, 1, 7, 2**31 - 1, 2**40):
        sent = [seed_of(seed, sample, again) for sample in range(60) for again in range(60)]
        assert len(set(sent)) == 3600
        assert sent[0] == seed
        assert max(sent[1:]) < 2**31
    assert seed_of(0, 1, 0) == 844072289  # part of the key of an answer


def test_samples_are_independent_where_the_server_honours_seeds(tmp_path: Path) -> None:
    with serving(Stub(lambda request, _headers: completion("1" if drawn(request) < 0.6 else "2"))) as stub:
        values = [one.value for one in ask_all(tmp_path, stub.url, 60, samples=5, temperature=1.0)]
        assert len(stub.requests) == 300
    # The mean of five answers of probability .6: sqrt(.24 / 5) = .219, where five equal ones have sqrt(.24) = .490.
    assert 0.16 < np.std([0.0 if value is None else value for value in values]) < 0.28


def test_asking_again_is_another_draw(tmp_path: Path) -> None:
    def rule(request: dict[str, Any], _headers: Any) -> Reply:
        return completion("hm" if drawn(request) < 0.3 else "1")

    with serving(Stub(rule)) as stub:
        once = ask_all(tmp_path, stub.url, 50, temperature=1.0)
        assert 5 < sum(one.status == "unparsed" for one in once) < 25
        again = ask_all(tmp_path, stub.url, 50, temperature=1.0, ask_again=8)
    assert all(one.status == "ok" for one in again)


def test_another_model_than_the_one_asked_for_is_recorded(tmp_path: Path) -> None:
    with serving(Stub(lambda _request, _headers: completion("1"))) as stub:
        ask_all(tmp_path, stub.url, 3)
        assert not (tmp_path / DIAGNOSTICS_FILE).exists()
        ask_all(tmp_path, stub.url, 3, model="alias")
    told = json.loads((tmp_path / DIAGNOSTICS_FILE).read_text(encoding="utf-8"))
    assert told == {SERVED: {"alias": {"stub": 3}}}
