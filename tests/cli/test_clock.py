"""The time left is told by kind: by this run where it has seen the kind, else by earlier runs."""

from __future__ import annotations

import pytest

from bench.cli import progress as console
from bench.cli.progress import Clock
from tests.fakes import DiesOnce, Number, Sum


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    moved = Now()
    monkeypatch.setattr(console, "time", moved)
    return moved


def number(value: int) -> Number:
    return Number(value=value, journal="none")


def test_nothing_is_known_before_the_first_stage(now: Now) -> None:
    assert Clock(1, {}).seconds_left({"a": number(1)}) is None


def test_one_long_stage_does_not_make_short_ones_long(now: Now) -> None:
    clock = Clock(1, {})
    for value, took in ((1, 1.0), (2, 1.0), (3, 100.0)):
        clock.started(number(value).key)
        now.seconds += took
        assert clock.ended(number(value)) == took
    waiting = {number(value).key: number(value) for value in (4, 5)}
    assert clock.seconds_left(waiting) == 2.0


def test_earlier_runs_tell_a_kind_until_this_one_has_seen_it(now: Now) -> None:
    clock = Clock(1, {"test/number": 10.0, "test/sum": 50.0})
    assert clock.seconds_left({"a": number(1), "b": Sum(parts=())}) == 60.0
    clock.started(number(2).key)
    now.seconds += 4.0
    clock.ended(number(2))
    assert clock.seconds_left({"a": number(1), "b": Sum(parts=())}) == 54.0
    # A kind that nobody has seen takes the median of the kinds that were: (4 + 50) / 2.
    assert clock.seconds_left({"c": DiesOnce()}) == 27.0


def test_a_running_stage_has_less_to_go_and_the_longest_bounds_the_rest(now: Now) -> None:
    clock = Clock(4, {"test/number": 10.0, "test/sum": 50.0})
    one, long = number(1), Sum(parts=())
    clock.started(long.key)
    now.seconds += 20.0
    assert clock.seconds_left({one.key: one, long.key: long}) == 30.0  # more than (10 + 30) / 4
    now.seconds += 500.0
    assert clock.seconds_left({one.key: one, long.key: long}) == 10.0
