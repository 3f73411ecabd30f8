"""Sets of methods between which one side won everything: told apart by the battles, never by a penalty's errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.statistics.ranking.bradley_terry import bradley_terry, rank_intervals
from bench.statistics.ranking.separated import across_groups, all_won_p
from tests.statistics.build import verdicts
from tests.statistics.ranking.test_tournament import ranked


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_handful_of_battles_tells_equal_methods_apart_in_at_most_5_percent_of_all_cases(count: int) -> None:
    apart = 0
    for outcome in itertools.product([0.0, 1.0], repeat=count):
        sides = ["a"] * count, ["b"] * count
        found = bradley_terry(*sides, outcome)
        across = across_groups(found.groups, found.names, sides, np.array(outcome), np.arange(count), seeds=1)
        apart += rank_intervals(found.theta, found.covariance, across=across) != [(1, 2), (1, 2)]
    assert apart / 2**count <= 0.05


def test_many_battles_that_all_went_one_way_are_decided() -> None:
    sides = ["a"] * 40, ["b"] * 40
    found = bradley_terry(*sides, np.ones(40))
    across = across_groups(found.groups, found.names, sides, np.ones(40), np.arange(40), seeds=1)
    assert rank_intervals(found.theta, found.covariance, across=across) == [(1, 1), (2, 2)]
    assert rank_intervals(found.theta, found.covariance) != []


def test_sets_that_never_met_are_ordered_through_one_that_both_met() -> None:
    sides = ["a"] * 30 + ["c"] * 10, ["c"] * 30 + ["b"] * 10
    found = bradley_terry(*sides, np.ones(40))
    across = across_groups(found.groups, found.names, sides, np.ones(40), np.r_[np.arange(30), np.arange(10)], seeds=1)
    a, b, c = (found.names.index(name) for name in "abc")
    assert across.p[a, c] == all_won_p(30, 1) < across.p[c, b] == all_won_p(10, 1)
    assert across.p[a, b] == across.p[c, b]  # both steps must hold
    assert across.p[b, a] == across.p[a, a] == 1.0
    assert not across.comparable[a, b] and across.comparable[a, a]


def test_one_unit_shows_nothing_and_more_seeds_do_not_make_less() -> None:
    assert all_won_p(1, 3) == 1.0
    assert 0 < all_won_p(200, 3) < 0.01
    assert all_won_p(200, 1) < all_won_p(20, 1) < all_won_p(5, 1)


def test_a_method_that_won_everything_is_ranked_first_and_has_no_finite_strength() -> None:
    won = np.ones((60, 3))
    coin = (np.random.default_rng(0).random((60, 3)) < 0.5) * 1.0
    found = ranked([*verdicts("a", "b", won), *verdicts("a", "c", won), *verdicts("b", "c", coin)])
    first = found.places[0]
    assert first.name == "a" and (first.models_low, first.models_high) == (1, 1)
    assert (first.rank_low, first.rank_high) == (1, 1)
    others = found.places[1:]
    assert all((place.rank_low, place.rank_high) == (2, 3) for place in others)
    apart = [place for place in found.places if place.low is None]
    assert {place.name for place in apart} == ({"a"} if found.anchor != "a" else {"b", "c"})
    assert all(place.standard_error is None and place.high is None for place in apart)
