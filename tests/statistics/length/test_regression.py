from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from bench.core.errors import DataError
from bench.statistics.length.difficulty import difficulty_by_prompt, estimated_difficulty
from bench.statistics.length.ratio import length_ratio_win_rate
from bench.statistics.length.regression import length_controlled_win_rate, paired_difference
from bench.statistics.tests.logistic import fit_logistic
from tests.statistics.length.published import fit_l1


def sample(generator: np.random.Generator, n: int = 300, quality: float = 0.3) -> dict[str, np.ndarray]:
    """Return one method whose wins depend on length and difficulty; its true rate at equal length is ``truth``."""
    difficulty = generator.normal(0, 1, n)
    own = np.round(np.exp(generator.normal(7.0, 0.4, n)))
    other = np.round(np.exp(generator.normal(6.8, 0.4, n)))
    delta = other - own
    eta = quality + 0.7 * difficulty - 1.2 * np.tanh(delta / delta.std(ddof=1))
    return {
        "preference": (generator.random(n) < special.expit(eta)).astype(float),
        "length": own,
        "baseline_length": other,
        "difficulty": difficulty,
    }


@pytest.fixture
def rows() -> dict[str, np.ndarray]:
    return sample(np.random.default_rng(0))


def test_logistic_satisfies_its_score_equations() -> None:
    generator = np.random.default_rng(0)
    features, target, weights = generator.normal(size=(200, 3)), generator.random(200), generator.random(200)
    fit = fit_logistic(features, target, weights)
    residual = weights * (target - special.expit(features @ fit.coefficients))
    assert np.abs(residual @ features).max() < 1e-5
    assert not fit.penalised


def test_logistic_says_when_there_is_no_maximum() -> None:
    x = np.linspace(-1, 1, 40)
    features = np.column_stack([np.ones(40), x])
    assert fit_logistic(features, (x > 0).astype(float)).penalised
    assert fit_logistic(np.column_stack([x, x]), np.full(40, 0.3) + 0.1 * x).penalised


def test_a_heavy_tail_is_no_separation() -> None:
    generator = np.random.default_rng(0)
    x = np.append(generator.normal(size=200), 100.0)
    target = np.append((generator.random(200) < special.expit(x[:-1])).astype(float), 1.0)
    assert not fit_logistic(np.column_stack([np.ones(201), x]), target).penalised


def test_l1_fit_meets_the_subgradient_condition() -> None:
    generator = np.random.default_rng(0)
    features, target, weights = generator.normal(size=(200, 3)), generator.random(200), np.ones(200)
    for inverse_penalty in (0.01, 0.05, 0.3, 10.0):
        found = fit_l1(features, target, weights, inverse_penalty)
        gradient = inverse_penalty * ((special.expit(features @ found) - target) @ features)
        assert np.all(np.abs(gradient[found == 0]) <= 1 + 1e-6)
        assert gradient[found != 0] == pytest.approx(-np.sign(found[found != 0]), abs=1e-4)


def test_both_roles_add_up_to_100(rows: dict[str, np.ndarray]) -> None:
    there = length_controlled_win_rate(**rows)
    back = length_controlled_win_rate(
        1 - rows["preference"], rows["baseline_length"], rows["length"], -rows["difficulty"]
    )
    assert there.estimate + back.estimate == pytest.approx(100, abs=1e-8)
    assert there.standard_error == pytest.approx(back.standard_error)


def test_order_of_rows_and_unit_of_length_do_not_matter(rows: dict[str, np.ndarray]) -> None:
    whole = length_controlled_win_rate(**rows)
    order = np.random.default_rng(1).permutation(len(rows["preference"]))
    moved = length_controlled_win_rate(**{name: values[order] for name, values in rows.items()})
    longer = length_controlled_win_rate(
        rows["preference"], 7 * rows["length"], 7 * rows["baseline_length"], rows["difficulty"]
    )
    for other in (moved, longer):
        assert other.estimate == pytest.approx(whole.estimate, abs=1e-9)
        assert other.standard_error == pytest.approx(whole.standard_error)


def test_all_ties_are_50_exactly(rows: dict[str, np.ndarray]) -> None:
    calibration = np.column_stack([np.linspace(-1, 1, 50), np.zeros(50), np.linspace(0.2, 0.9, 50)])
    found = length_controlled_win_rate(**{**rows, "preference": np.full(300, 0.5)}, calibration=calibration)
    assert (found.estimate, found.standard_error) == (50.0, 0.0)
    assert "all_ties" in found.diagnostics.flags


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_wins_or_losses_return_raw_and_say_so(rows: dict[str, np.ndarray], value: float) -> None:
    found = length_controlled_win_rate(**{**rows, "preference": np.full(300, value)})
    assert found.estimate == found.raw == 100 * value
    assert "separable" in found.diagnostics.flags
    assert found.standard_error is not None
    assert 0 < found.standard_error < 1


def test_equal_lengths_return_raw(rows: dict[str, np.ndarray]) -> None:
    found = length_controlled_win_rate(**{**rows, "length": rows["baseline_length"] + 3})
    assert found.estimate == found.raw
    assert found.standard_error == pytest.approx(100 * rows["preference"].std(ddof=1) / 300**0.5)
    assert "no_length_variation" in found.diagnostics.flags


def test_one_row_is_raw_without_an_error() -> None:
    found = length_controlled_win_rate([0.7], [10], [20])
    assert found.estimate == pytest.approx(70)
    assert found.standard_error is None
    assert found.confidence is None
    assert {"no_length_variation", "few_prompts"} <= set(found.diagnostics.flags)


def test_missing_preferences_leave_fit_and_mean(rows: dict[str, np.ndarray]) -> None:
    preference = rows["preference"].copy()
    preference[::8] = np.nan
    kept = np.isfinite(preference)
    found = length_controlled_win_rate(**{**rows, "preference": preference})
    alone = length_controlled_win_rate(**{name: values[kept] for name, values in rows.items()})
    assert (found.n, found.n_missing) == (kept.sum(), 38)
    assert (found.estimate, found.standard_error) == pytest.approx((alone.estimate, alone.standard_error))


def test_calibration_does_not_rule_a_subset() -> None:
    generator = np.random.default_rng(0)
    calibration = np.column_stack([generator.uniform(-1, 1, 1610), generator.normal(size=1610), np.full(1610, 0.5)])
    full, part = sample(generator, 805), sample(generator, 50)
    assert length_controlled_win_rate(**full, calibration=calibration).diagnostics.calibration_weight == 0.1
    found = length_controlled_win_rate(**part, calibration=calibration).diagnostics
    assert found.calibration_weight == pytest.approx(0.2 * 50 / 1610)
    assert "few_prompts" in found.flags
    assert length_controlled_win_rate(**part).diagnostics.calibration_weight is None


def test_poor_overlap_is_flagged(rows: dict[str, np.ndarray]) -> None:
    assert "poor_overlap" not in length_controlled_win_rate(**rows).diagnostics.flags
    found = length_controlled_win_rate(**{**rows, "length": rows["length"] * 9}).diagnostics
    assert "poor_overlap" in found.flags
    assert found.share_longer > 0.9
    assert any("extrapolation" in warning for warning in found.warnings)


def test_separable_part_is_penalised_and_flagged(rows: dict[str, np.ndarray]) -> None:
    wins = (rows["length"] > rows["baseline_length"]).astype(float)
    found = length_controlled_win_rate(wins, rows["length"], rows["baseline_length"])
    assert {"separable", "no_finite_error"} <= set(found.diagnostics.flags)
    assert np.isfinite(found.estimate)
    assert found.standard_error is None and found.confidence is None  # an interval would cover neither end
    whole = length_controlled_win_rate(**rows)
    with pytest.raises(ValueError, match="no error"):
        paired_difference(found, whole)


def test_wrong_input_is_refused(rows: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match="subtract 1"):
        length_controlled_win_rate(**{**rows, "preference": rows["preference"] + 1})
    with pytest.raises(DataError, match="no difficulty"):
        length_controlled_win_rate(**{**rows, "difficulty": np.full(300, np.nan)})
    with pytest.raises(DataError, match="none of 300 rows"):
        length_controlled_win_rate(**{**rows, "preference": np.full(300, np.nan)})
    with pytest.raises(ValueError, match="one value per row"):
        length_controlled_win_rate(**{**rows, "length": np.ones(3)})
    with pytest.raises(ValueError, match="calibration needs rows"):
        length_controlled_win_rate(**rows, calibration=np.ones((4, 2)))


def test_single_clusters_change_nothing_and_doubled_rows_do_not_help(rows: dict[str, np.ndarray]) -> None:
    plain = length_controlled_win_rate(**rows)
    assert length_controlled_win_rate(**rows, clusters=np.arange(300)).standard_error == plain.standard_error
    twice = {name: np.repeat(values, 2) for name, values in rows.items()}
    naive = length_controlled_win_rate(**twice)
    clustered = length_controlled_win_rate(**twice, clusters=np.repeat(np.arange(300), 2))
    assert clustered.standard_error == pytest.approx(plain.standard_error, rel=0.01)
    assert naive.standard_error == pytest.approx(plain.standard_error / 2**0.5, rel=0.01)


def test_difference_with_itself_is_nothing(rows: dict[str, np.ndarray]) -> None:
    found = length_controlled_win_rate(**rows)
    law = paired_difference(found, found)
    assert (float(np.asarray(law.estimate)), float(law.standard_error)) == (0.0, 0.0)
    with pytest.raises(ValueError, match="same prompts"):
        paired_difference(found, length_controlled_win_rate(**{name: v[:100] for name, v in rows.items()}))


def test_difficulty_by_prompt_refuses_other_prompts() -> None:
    assert list(difficulty_by_prompt(["b", "a"], {"a": 1.0, "b": 2.0})) == [2.0, 1.0]
    with pytest.raises(DataError, match="1 of 2 prompts"):
        difficulty_by_prompt(["a", "c"], {"a": 1.0})


def test_estimated_difficulty_leaves_the_scored_method_out() -> None:
    preferences = np.array([[1.0, 0.0, np.nan], [1.0, 0.0, 0.5], [0.0, 1.0, np.nan]])
    assert estimated_difficulty(preferences, 2) == pytest.approx(special.logit([2.5 / 3, 0.5 / 3, 0.5]))
    assert estimated_difficulty(preferences, 1)[2] == 0.0
    with pytest.raises(ValueError, match="two methods"):
        estimated_difficulty(preferences[:1], 0)


def test_coverage_and_false_positives() -> None:
    """400 data sets: the interval of one, and the test between two equal methods on the same prompts."""
    generator = np.random.default_rng(7)
    covered = rejected = 0
    for _ in range(400):
        one = sample(generator)
        # A second method of the same quality on the same prompts; shared noise makes the pairing worth something.
        delta = one["baseline_length"] - one["length"]
        eta = 0.3 + 0.7 * one["difficulty"] - 1.2 * np.tanh(delta / delta.std(ddof=1))
        again = (generator.random(300) < special.expit(eta)).astype(float)
        two = {**one, "preference": np.where(generator.random(300) < 0.5, one["preference"], again)}
        truth = 100 * special.expit(0.3 + 0.7 * one["difficulty"]).mean()
        a, b = length_controlled_win_rate(**one), length_controlled_win_rate(**two)
        assert a.confidence is not None
        # The prompts of the sample are part of the target here, so the spread of p0 makes the interval a little wide.
        low, high = a.confidence.interval(0.95)
        covered += low <= truth <= high
        rejected += float(paired_difference(a, b).p_value(0)) < 0.05
    error = (0.05 * 0.95 / 400) ** 0.5
    assert 0.95 - 3 * error <= covered / 400
    assert abs(rejected / 400 - 0.05) <= 3 * error


def test_length_ratio_edges() -> None:
    y = [1.0, 0.0, 0.5, 1.0]
    assert length_ratio_win_rate(y, [2, 4, 6, 8], [1, 2, 3, 4], "ratio").estimate == pytest.approx(62.5)
    dropped = length_ratio_win_rate(y, [2, 4, 6, 0], [1, 0, 3, 4], "log_ratio")
    assert (dropped.n, dropped.n_missing) == (2, 2)
    hard = length_ratio_win_rate(y, [2, 3, 6, 9], [1, 2, 3, 4], "ratio", target="hard")
    assert (hard.n, hard.n_missing) == (3, 1)
    split = length_ratio_win_rate([0.0, 0.0, 1.0, 1.0], [1, 2, 3, 4], [2, 2, 2, 2], "log_ratio")
    assert split.flags == ("separable", "no_finite_error") and split.standard_error is None
    with pytest.raises(DataError):
        length_ratio_win_rate([np.nan], [1], [1], "ratio")


def test_length_ratio_error_is_that_of_a_bootstrap() -> None:
    generator = np.random.default_rng(3)
    one = sample(generator)
    columns = (one["preference"], one["length"], one["baseline_length"])
    found = length_ratio_win_rate(*columns, "log_ratio")
    draws = [generator.integers(0, 300, 300) for _ in range(400)]
    again = [length_ratio_win_rate(*(column[draw] for column in columns), "log_ratio").estimate for draw in draws]
    assert found.standard_error == pytest.approx(np.std(again, ddof=1), rel=0.1)
