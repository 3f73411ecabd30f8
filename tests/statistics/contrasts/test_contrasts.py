from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.config.comparison import LengthControl
from bench.core.errors import IncompleteRecords
from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.contrasts import compute_contrasts
from tests.statistics.build import LENGTH, METRICS, Coin, comparison, rows, table, verdicts


def preferences(seed: int, mean: float, prompts: int = 200, runs: int = 3) -> np.ndarray:
    generator = np.random.default_rng(seed)
    chance = np.clip(mean + generator.normal(0, 0.2, (prompts, 1)), 0, 1)
    return generator.binomial(2, np.broadcast_to(chance, (prompts, runs))) / 2


def only(records: list[dict[str, Any]], **changes: Any) -> Contrast:
    found = compute_contrasts(table(records), comparison(**changes), METRICS)
    assert len(found) == 1
    return found[0]


def test_a_win_rate_from_rows_to_verdict() -> None:
    first, second = preferences(0, 0.65), preferences(1, 0.6)
    found = only(verdicts("a", "b", first, second), judges=[Coin()])
    assert found.estimate == pytest.approx((first.mean() + second.mean()) / 2)
    assert (found.judge, found.null_value, found.metric) == ("coin", 0.5, "win_rate")
    assert (found.n_prompts, found.n_runs, found.n_missing) == (200, 3, 0)
    assert found.low is not None and found.high is not None and found.low < found.estimate < found.high
    assert found.verdict == "a better"
    assert found.speaks_about == "the training procedure"
    assert found.per_run == pytest.approx(((first + second) / 2).mean(axis=0))
    assert found.mean_a == pytest.approx(found.estimate)
    assert found.mean_b == pytest.approx(1 - found.estimate)
    assert set(found.components) >= {"run", "prompt", "residual", "satterthwaite_df"}
    assert {"sign_flip_p", "clustered_t_p", "crossed_bootstrap_low", "run_t_p", "conservative_win_rate"} <= set(
        found.also
    )
    assert found.smallest_detectable is not None and 0 < found.smallest_detectable < 0.3


def test_a_difference_from_rows_to_verdict() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(1.0, 1, (50, 1)), generator.normal(0, 1, (50, 1))
    found = only(rows("a", a) + rows("b", b), seeds=(0,))
    expected = stats.ttest_rel(a[:, 0], b[:, 0])
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    bounds = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert found.degrees_of_freedom == 49
    assert (found.judge, found.null_value, found.verdict) == (None, 0.0, "a better")
    assert (found.mean_a, found.mean_b) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    assert found.speaks_about == "these trained models"


def test_lower_is_better_turns_the_verdict_and_no_direction_says_who_is_higher() -> None:
    a, b = np.random.default_rng(0).normal(1.0, 0.3, (50, 3)), np.zeros((50, 3))
    worse = only(rows("a", a, "errors") + rows("b", b, "errors"))
    assert (worse.verdict, worse.higher_is_better) == ("b better", False)
    neither = only(rows("a", a, "length") + rows("b", b, "length"))
    assert (neither.verdict, neither.note) == ("a higher", "no direction")
    assert neither.p is not None and neither.p < 0.01
    unknown = only(rows("a", b, "other") + rows("b", a, "other"))
    assert (unknown.verdict, unknown.note) == ("b higher", "no direction")
    noise = np.random.default_rng(1).normal(0, 1, (2, 50, 3))
    assert only(rows("a", noise[0], "length") + rows("b", noise[1], "length")).verdict == "undecided"


def test_swapping_the_arms_mirrors_everything() -> None:
    first, second = preferences(0, 0.58), preferences(1, 0.55)
    records = verdicts("a", "b", first, second)
    ab, ba = only(records), only(records, pairs=[("b", "a")])
    assert ab.estimate is not None and ba.estimate is not None
    assert ab.estimate == pytest.approx(1 - ba.estimate)
    assert (ab.low, ab.high) == pytest.approx((1 - (ba.high or 0), 1 - (ba.low or 0)))
    assert ab.p == pytest.approx(ba.p)
    for name in ("sign_flip_p", "wilcoxon_p", "paired_t_p", "run_t_p", "satterthwaite_p", "position_bias_p"):
        assert ab.also[name] == pytest.approx(ba.also[name]), name
    assert ab.also["crossed_bootstrap_low"] == pytest.approx(1 - (ba.also["crossed_bootstrap_high"] or 0))
    assert ab.also["conservative_win_rate"] == pytest.approx(1 - (ba.also["conservative_win_rate"] or 0))
    assert ab.also["conservative_win_rate_low"] == pytest.approx(1 - (ba.also["conservative_win_rate_high"] or 0))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 4))
def test_antisymmetry_and_order_of_rows_on_any_small_table(seed: int, prompts: int, runs: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = generator.integers(0, 3, (2, prompts, runs)) / 2
    records = rows("a", a) + rows("b", b)
    shuffled = [records[i] for i in generator.permutation(len(records))]
    seeds = tuple(range(runs))
    ab, ba = only(records, seeds=seeds), only(shuffled, seeds=seeds, pairs=[("b", "a")])
    assert ab.estimate is not None and ba.estimate is not None
    assert ab.estimate == pytest.approx(-ba.estimate, abs=1e-12)
    assert (ab.p is None) == (ba.p is None)
    if ab.p is not None:
        assert 0 <= ab.p <= 1
        assert ab.p == pytest.approx(ba.p, rel=1e-6, abs=1e-12)
    if ab.low is not None and ab.high is not None:
        assert ab.low <= ab.estimate <= ab.high


def test_equal_inputs_give_equal_contrasts() -> None:
    records = verdicts("a", "b", preferences(0, 0.58), preferences(1, 0.55))
    assert only(records).model_dump_json() == only(list(reversed(records))).model_dump_json()


def test_a_shift_of_an_arm_shifts_the_estimate_alone() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 40, 3))
    plain, shifted = only(rows("a", a) + rows("b", b)), only(rows("a", a + 2) + rows("b", b))
    assert (shifted.estimate or 0) - (plain.estimate or 0) == pytest.approx(2)
    assert shifted.standard_error == pytest.approx(plain.standard_error)


def test_identical_arms_are_undecided_without_dividing_by_zero() -> None:
    a = np.random.default_rng(0).normal(size=(40, 3))
    found = only(rows("a", a) + rows("b", a))
    assert (found.estimate, found.low, found.high, found.p, found.verdict) == (0.0, None, None, None, "undecided")
    assert "no variation" in found.note
    ties = only(verdicts("a", "b", np.full((40, 3), 0.5), np.full((40, 3), 0.5)))
    assert (ties.estimate, ties.p, ties.verdict) == (0.5, 1.0, "undecided")
    assert ties.low is not None and ties.high is not None and ties.low < 0.45 and ties.high > 0.55
    assert "no variation" in ties.note


def test_all_wins_are_significant_with_an_honest_interval() -> None:
    found = only(verdicts("a", "b", np.ones((40, 3)), np.ones((40, 3))))
    assert (found.estimate, found.high, found.verdict) == (1.0, 1.0, "a better")
    assert found.low is not None and 0.6 < found.low < 0.9
    assert found.p is not None and 1e-4 < found.p < 0.03
    assert found.also["sign_flip_p"] is not None and found.also["sign_flip_p"] < 0.01
    assert found.standard_error


def test_a_constant_difference_without_bounds_is_no_evidence() -> None:
    found = only(rows("a", np.full((40, 3), 2.0)) + rows("b", np.zeros((40, 3))))
    assert (found.estimate, found.low, found.standard_error, found.verdict) == (2.0, None, None, "undecided")
    assert found.p is None and "no variation" in found.note


def test_always_right_against_always_wrong_is_decided_with_one_seed_and_with_three() -> None:
    for seeds in ((0,), (0, 1, 2)):
        shape = (200, len(seeds))
        found = only(rows("a", np.zeros(shape)) + rows("b", np.ones(shape)), seeds=seeds)
        assert (found.estimate, found.low, found.verdict) == (-1.0, -1.0, "b better")
        assert found.p is not None and found.p < 0.01
        assert found.support[0][0] == -1.0 and found.support[-1][0] == 1.0
        assert "all values are 0 or 1" in found.note
        same = only(rows("a", np.ones(shape)) + rows("b", np.ones(shape)), seeds=seeds)
        assert (same.estimate, same.p, same.verdict) == (0.0, 1.0, "undecided")
        assert same.low is not None and same.high is not None and same.low < -0.01 and same.high > 0.01


def test_one_prompt_or_one_cluster_has_no_p() -> None:
    one = only(rows("a", np.ones((1, 3))) + rows("b", np.zeros((1, 3))))
    assert (one.estimate, one.p, one.p_adjusted, one.verdict) == (1.0, None, None, "undecided")
    assert one.note == "one prompt: no test is possible"
    a = np.random.default_rng(0).normal(size=(10, 3))
    together = only(rows("a", a, clusters=["x"] * 10) + rows("b", a * 0, clusters=["x"] * 10))
    assert together.p is None
    assert "one cluster" in together.note


def test_an_untrained_base_is_the_same_in_every_run() -> None:
    generator = np.random.default_rng(0)
    base = np.repeat(generator.normal(size=(60, 1)), 3, axis=1)
    trained = base + 1 + generator.normal(0, 0.2, (1, 3)) + generator.normal(0, 0.5, (60, 3))
    found = only(rows("a", trained) + rows("b", base))
    assert found.verdict == "a better"
    assert found.components["run"] > 0
    fixed = only(rows("a", base + generator.normal(1, 1, (60, 1))) + rows("b", base))
    assert "all runs gave the same values" in fixed.note
    assert fixed.degrees_of_freedom == pytest.approx(59)


def test_clustered_prompts_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    groups = [f"g{i % 10}" for i in range(100)]
    a = generator.normal(size=(100, 3)) + generator.normal(size=10)[np.arange(100) % 10][:, None]
    alone = only(rows("a", a) + rows("b", a * 0))
    grouped = only(rows("a", a, clusters=groups) + rows("b", a * 0, clusters=groups))
    assert grouped.estimate == pytest.approx(alone.estimate)
    assert (grouped.standard_error or 0) > 1.5 * (alone.standard_error or 0)
    assert grouped.test == "crossed random effects of clusters of prompts and runs"


def test_families_are_metric_and_judge_and_leave_controls_alone() -> None:
    generator = np.random.default_rng(0)
    scores = {name: generator.normal(shift, 1, (60, 3)) for name, shift in zip("abc", (0.5, 0.2, 0.0), strict=True)}
    records = [row for name, values in scores.items() for row in rows(name, values)]
    records += rows("a_again", scores["a"] + generator.normal(0, 0.3, (60, 3)))
    records += [dict(row, metric="errors") for row in records]
    pairs = [("a", "b"), ("a", "c"), ("a", "a_again")]
    found = compute_contrasts(table(records), comparison(pairs), METRICS)
    assert [(one.b, one.metric) for one in found] == [(b, m) for _, b in pairs for m in ("score", "errors")]
    family = [one for one in found if one.family == "score"]
    assert [one.b for one in family] == ["b", "c"]
    raw = [one.p or 0 for one in family]
    assert min(one.p_adjusted or 0 for one in family) == pytest.approx(2 * min(raw))
    control = [one for one in found if one.is_control]
    assert [one.b for one in control] == ["a_again", "a_again"]
    assert all(one.p == one.p_adjusted for one in control)
    uncorrected = compute_contrasts(table(records), comparison(pairs, correction="none"), METRICS)
    assert all(one.p == one.p_adjusted for one in uncorrected)


def test_all_incomplete_contrasts_are_told_at_once() -> None:
    records = rows("a", np.ones((4, 3))) + rows("b", np.ones((4, 3)))[:-1]
    with pytest.raises(IncompleteRecords) as caught:
        compute_contrasts(table(records), comparison([("a", "b"), ("a", "c")]), METRICS)
    text = str(caught.value)
    assert "b, run 2: 1 of 4" in text
    assert "c, run 0: 4 of 4" in text
    assert "drop_prompts" in text
    found = compute_contrasts(table(records), comparison([("a", "b"), ("a", "c")], missing="drop_prompts"), METRICS)
    assert [(one.n_prompts, one.n_missing) for one in found] == [(3, 1), (0, 4)]
    assert "1 incomplete prompts dropped" in found[0].note
    assert (found[1].estimate, found[1].verdict) == (None, "undecided")


def test_a_judge_that_fails_is_counted_by_its_calls_and_stops_nobody_else() -> None:
    values = np.tile([[0.5, 1.0, 0.0]], (40, 1))
    records = verdicts("a", "b", values, np.ones((40, 3)))
    records += [{**row, "source": "sound"} for row in records]
    records[0].update(value=None, status="unparsed")
    asked = comparison([("a", "b")], judges=[Coin()])
    found, sound = compute_contrasts(table(records), asked, METRICS)
    assert (found.n_prompts, found.n_missing) == (40, 0)
    assert "1 of 240 values of the judge were unusable and stand by the same prompt's others" in found.note
    for row in records[:240]:
        row.update(value=None, status="unparsed")
    found, again = compute_contrasts(table(records), asked, METRICS)
    assert (found.judge, found.estimate, found.verdict, found.n_prompts) == ("coin", None, "undecided", 0)
    assert "240 of 240 values of the judge are unusable, more than 5%" in found.note
    assert "set ask_again" in found.note
    assert "drop_prompts" not in found.note  # nothing would be left
    assert again.estimate == sound.estimate


def test_judges_without_any_verdict_are_told() -> None:
    records = rows("a", np.ones((4, 3))) + rows("b", np.ones((4, 3)))
    with pytest.raises(IncompleteRecords, match="names judges"):
        compute_contrasts(table(records), comparison(judges=[Coin()]), METRICS)
    assert compute_contrasts(table([]), comparison([], judges=[Coin()]), METRICS) == []


def test_undefined_values_are_counted_and_said() -> None:
    records = rows("a", np.random.default_rng(0).normal(size=(10, 3))) + rows("b", np.zeros((10, 3)))
    records[0].update(value=None, status="undefined")
    found = only(records)
    assert (found.n_prompts, found.n_missing) == (9, 1)
    assert "undefined" in found.note


def test_binary_metrics_of_one_run_have_mcnemar() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 2, (2, 50, 1)).astype(float)
    found = only(rows("a", a) + rows("b", b), seeds=(0,))
    wins, losses = int((a > b).sum()), int((a < b).sum())
    assert found.also["mcnemar_p"] == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)


def test_a_large_comparison_is_quick() -> None:
    arms = ["a", "b", "c", "a_again"]
    generator = np.random.default_rng(0)
    records = [row for name in arms for row in rows(name, generator.normal(size=(400, 3)))]
    pairs = [(x, y) for x in arms for y in arms if x < y]
    start = time.perf_counter()
    compute_contrasts(table(records), comparison(pairs, resamples=10_000), METRICS)
    assert time.perf_counter() - start < 10


def test_a_win_rate_at_equal_length_stands_beside_the_plain_one() -> None:
    generator = np.random.default_rng(0)
    own, other = np.exp(generator.normal(6.5, 0.4, (300, 3))), np.exp(generator.normal(6.0, 0.4, (300, 3)))
    delta = other - own
    first = (generator.random((300, 3)) < 1 / (1 + np.exp(1.5 * np.tanh(delta / delta.std())))) * 1.0
    both = verdicts("a", "b", first)
    both += rows("a", own, "response_characters") + rows("b", other, "response_characters")
    plain = comparison(judges=(Coin(),))
    control = {"length_control": LengthControl(model="glm")}
    asked = plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update=control)})
    metrics = {**METRICS, "response_characters": LENGTH}
    without, with_it = (
        {item.metric: item for item in compute_contrasts(table(both), one, metrics)} for one in (plain, asked)
    )
    assert "length_controlled_win_rate" not in without
    assert with_it["win_rate"] == without["win_rate"]
    found = with_it["length_controlled_win_rate"]
    assert (found.judge, found.null_value, found.family) == ("coin", 0.5, "length_controlled_win_rate (coin)")
    assert found.estimate is not None
    assert with_it["win_rate"].estimate is not None
    assert abs(found.estimate - 0.5) < abs(with_it["win_rate"].estimate - 0.5)
    assert "wilcoxon_p" not in found.also
    assert {"share_longer", "length_coefficient", "bias_coefficient"} <= set(found.also)
    assert "difficulty not in the model; no calibration rows" in found.note
    assert found.p is not None
    # Pseudo-values have neither draws nor calls of a judge, and may lie outside [0, 1].
    assert not {"draws", "draw", "judge"} & set(found.components)
    assert "sequence_low" not in found.also and "sequence_low" in with_it["win_rate"].also
