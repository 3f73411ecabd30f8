"""Rankings of all methods of a run: strengths, who is told apart, and whether the ranks keep their promise."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import special

from bench.results.conclusions.ranking import Ranking
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.ranking.separated import Across
from bench.statistics.ranking.tournament import groups_of, rankings, significantly_better
from tests.statistics.build import METRICS, comparison, table, verdicts

ARMS = ("a", "b", "c")
PAIRS = tuple(combinations(ARMS, 2))


def simulated(
    seed: int, skill: dict[str, float], prompts: int = 120, runs: int = 3, ties: float = 0.0, run_sd: float = 0.0
) -> list[dict[str, Any]]:
    """Return verdict rows of every pair in both orders; a prompt likes some methods better, and so does a seed."""
    generator = np.random.default_rng(seed)
    liking = {arm: generator.normal(0, 0.7, (prompts, 1)) + generator.normal(0, run_sd, (1, runs)) for arm in ARMS}
    found: list[dict[str, Any]] = []
    for one, other in PAIRS:
        chance = special.expit(skill[one] - skill[other] + liking[one] - liking[other])
        orders = []
        for _ in range(2):
            won = (generator.random(chance.shape) < chance).astype(float)
            orders.append(np.where(generator.random(chance.shape) < ties, 0.5, won))
        found += verdicts(one, other, *orders)
    return found


def all_comparable(count: int) -> Across:
    """Return that all strengths can be compared."""
    return Across(np.ones((count, count), dtype=bool), np.ones((count, count)))


def ranked(records: list[dict[str, Any]], pairs: Any = PAIRS, runs: int = 3, **settings: Any) -> Ranking:
    (found,) = rankings(table(records), comparison(pairs, range(runs), **settings), {"coin": ("b",)})
    return found


def test_from_rows_to_groups() -> None:
    found = ranked(simulated(0, {"a": 2.0, "b": 0.0, "c": 0.0}, ties=0.2))
    assert [place.name for place in found.places][0] == "a"
    assert found.groups[0] == ("a",)
    assert set(found.groups[1]) == {"b", "c"}
    assert (found.places[0].rank_low, found.places[0].rank_high) == (1, 1)
    assert {(place.rank_low, place.rank_high) for place in found.places[1:]} == {(2, 3)}
    assert found.ties == "davidson" and found.tie_strength is not None and found.tie_strength > 0
    assert (found.n_judgements, found.n_prompts, found.n_runs, found.n_missing) == (3 * 120 * 3 * 2, 120, 3, 0)
    assert found.speaks_about == "the training procedure"
    assert [place.own_reward for place in found.places] == [place.name == "b" for place in found.places]


def test_the_trained_models_are_told_apart_more_easily_than_their_procedures() -> None:
    found = ranked(simulated(9, {"a": 0.5, "b": 0.0, "c": 0.0}, run_sd=0.15))
    for place in found.places:
        assert place.rank_low <= place.models_low <= place.models_high <= place.rank_high
    assert found.groups == (("a", *(p.name for p in found.places[1:])),)
    assert ("a",) in found.models_groups
    one = ranked(simulated(9, {"a": 0.5, "b": 0.0, "c": 0.0}, runs=1), runs=1)
    assert one.models_groups == one.groups


def test_a_star_without_ties_is_the_logit_of_the_win_rates_with_their_errors() -> None:
    records = [
        row for row in simulated(1, {"a": 1.0, "b": 0.3, "c": 0.0}, runs=1) if "c" in (row["versus"], row["method"])
    ]
    pairs = [("a", "c"), ("b", "c")]
    found = {place.name: place for place in ranked(records, pairs, runs=1).places}
    anchor = found["a"]
    assert anchor.strength == 0.0  # the alphabetically first, because nothing is `versus`
    contrasts = {item.a: item for item in compute_contrasts(table(records), comparison(pairs, range(1)), METRICS)}
    for arm in ("a", "b"):
        share, error = contrasts[arm].estimate, contrasts[arm].standard_error
        assert share is not None and error is not None
        assert found[arm].strength - found["c"].strength == pytest.approx(special.logit(share))
    share, error = contrasts["a"].estimate, contrasts["a"].standard_error
    assert share is not None and error is not None
    assert found["c"].standard_error == pytest.approx(error / (share * (1 - share)))


def test_soft_preferences_count_ties_as_half_wins() -> None:
    generator = np.random.default_rng(2)
    records = [
        row for one, other in PAIRS for row in verdicts(one, other, *generator.uniform(0.2, 0.9, (2, 40, 2)))
    ]  # fmt: skip
    found = ranked(records, runs=2)
    assert (found.ties, found.tie_strength) == ("half wins", None)


def test_incomplete_prompts_are_left_out_and_counted() -> None:
    records = simulated(3, {"a": 1.0, "b": 0.0, "c": 0.0})
    broken = [row for row in records if (row["prompt"], row["method"], row["run"]) == ("p007", "a", 1)]
    for row in broken:
        row |= {"value": None, "status": "unparsed"}
    found = ranked([row for row in records if row["prompt"] != "p011" or row["order"] == "first"])
    assert (found.n_prompts, found.n_missing) == (118, 2)


def test_the_order_of_rows_changes_no_byte() -> None:
    records = simulated(8, {"a": 0.5, "b": 0.0, "c": 0.1}, prompts=30, ties=0.2)
    order = np.random.default_rng(0).permutation(len(records))
    assert ranked([records[i] for i in order]).model_dump_json() == ranked(records).model_dump_json()


def test_two_methods_and_one_prompt_have_no_ranking() -> None:
    records = simulated(4, dict.fromkeys(ARMS, 0.0), prompts=1)
    assert rankings(table(records), comparison(PAIRS), {}) == ()
    pair = verdicts("a", "b", np.full((20, 3), 0.7))
    assert rankings(table(pair), comparison([("a", "b")]), {}) == ()


def test_methods_without_a_common_scale_are_named_and_told_apart_by_their_battles() -> None:
    first = np.ones((30, 1))
    lost = verdicts("b", "c", np.tile([[1.0], [0.0]], (15, 1)))
    found = ranked([*verdicts("a", "b", first), *verdicts("a", "c", first), *lost], runs=1)
    assert found.unconnected == (("a",), ("b", "c"))
    assert [(place.rank_low, place.rank_high) for place in found.places] == [(1, 1), (2, 3), (2, 3)]


def test_clusters_of_prompts_count_once() -> None:
    records = simulated(5, {"a": 0.4, "b": 0.0, "c": 0.0}, prompts=30, runs=1)
    copies = [{**row, "prompt": f"{row['prompt']}x{i}"} for row in records for i in range(4)]
    alone, copied = ranked(records, runs=1), ranked(copies, runs=1)
    for one, four in zip(alone.places, copied.places, strict=True):
        assert (one.rank_low, one.rank_high) == (four.rank_low, four.rank_high)
        assert four.standard_error == pytest.approx(one.standard_error)


def test_two_methods_share_a_group_exactly_where_they_are_not_told_apart() -> None:
    better = np.zeros((4, 4), dtype=bool)
    better[0, 2] = better[0, 3] = better[1, 3] = True
    assert groups_of(better) == [(0, 1), (1, 2), (2, 3)]
    assert groups_of(np.zeros((3, 3), dtype=bool)) == [(0, 1, 2)]
    assert groups_of(np.triu(np.ones((3, 3), dtype=bool), 1)) == [(0,), (1,), (2,)]
    # The first is uncertain and shares a group with the third, from which the second is told apart.
    better = np.zeros((3, 3), dtype=bool)
    better[1, 2] = True
    assert groups_of(better) == [(0, 1), (0, 2)]
    generator = np.random.default_rng(0)
    for _ in range(50):
        better = np.triu(generator.random((7, 7)) < 0.5, 1)
        groups = [set(group) for group in groups_of(better)]
        for i, j in combinations(range(7), 2):
            assert any({i, j} <= group for group in groups) == (not better[i, j])


@pytest.mark.parametrize(("runs", "run_sd"), [(1, 0.0), (3, 0.3), (5, 0.15)])
def test_no_order_is_claimed_wrongly_more_often_than_promised(runs: int, run_sd: float) -> None:
    """1,000 sets of four equal methods in the model's own scale: any pair told apart is an error; seeds differ."""
    generator, wrong = np.random.default_rng(6), 0
    across = all_comparable(4)
    for _ in range(1000):
        values = generator.normal(0, 1, (4, 60, 1)) + generator.normal(0, run_sd, (4, 1, runs))
        values = values + generator.normal(0, 1, (4, 60, runs))
        wrong += bool(significantly_better(values, np.arange(60), across, 0.95).any())
    assert wrong / 1000 <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_a_clear_order_is_found() -> None:
    generator = np.random.default_rng(7)
    values = np.array([2.0, 1.0, 0.0])[:, None, None] + generator.normal(0, 1, (3, 60, 3))
    assert significantly_better(values, np.arange(60), all_comparable(3), 0.95).sum() == 3


def test_rank_intervals_cover_on_real_battles() -> None:
    """100 runs of three seeds with two equal methods and one better: all true ranks are among those allowed."""
    missed = 0
    for seed in range(100):
        found = ranked(simulated(seed, {"a": 0.3, "b": 0.0, "c": 0.0}, prompts=60, ties=0.3, run_sd=0.2))
        allowed = {place.name: (place.rank_low, place.rank_high) for place in found.places}
        missed += not (allowed["a"][0] == 1 and allowed["b"][1] == 3 and allowed["c"][1] == 3)
    assert missed / 100 <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5
