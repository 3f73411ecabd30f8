from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from bench.core.errors import DataError
from bench.statistics.tests.prediction_powered import calibrated_predictions, paired_difference, prediction_powered_mean

UNITS = 400


def judged(generator: np.random.Generator, quality: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Return what gold says of each of 400 prompts, and a judge that sees it through a bias of 0.15 upwards."""
    truth = special.expit(generator.normal(quality, 1.5, UNITS))
    gold = (generator.random(UNITS) < truth).astype(float)
    return gold, np.clip(truth + 0.15 + generator.normal(0, 0.1, UNITS), 0, 1)


def labelled(generator: np.random.Generator, gold: np.ndarray, n: int) -> np.ndarray:
    found = np.full(UNITS, np.nan)
    some = generator.permutation(UNITS)[:n]
    found[some] = gold[some]
    return found


def test_the_judges_constant_error_goes_away() -> None:
    gold, _ = judged(np.random.default_rng(0))
    judge = gold * 0.8 + 0.15
    found = prediction_powered_mean(labelled(np.random.default_rng(1), gold, 40), judge)
    assert abs(judge.mean() - gold.mean()) > 0.01
    # Tuning is cut at 1, which leaves an error of a fifth of the labels' own.
    assert found.tuning == 1.0
    assert abs(found.estimate - gold.mean()) < 0.3 * abs(found.labels_only - gold.mean()) + 1e-12


def test_an_exact_judge_leaves_the_error_of_all_units_only() -> None:
    gold, _ = judged(np.random.default_rng(0))
    found = prediction_powered_mean(labelled(np.random.default_rng(1), gold, 40), gold)
    assert found.estimate == pytest.approx(gold.mean())
    assert float(found.confidence.standard_error) == pytest.approx(gold.std(ddof=1) / UNITS**0.5)


def test_a_judge_that_says_nothing_is_not_used() -> None:
    gold, _ = judged(np.random.default_rng(0))
    known = labelled(np.random.default_rng(1), gold, 50)
    found = prediction_powered_mean(known, np.full(UNITS, 0.7))
    assert (found.tuning, found.estimate) == (0.0, pytest.approx(np.nanmean(known)))
    assert found.labels_only == found.estimate
    assert prediction_powered_mean(known, 1 - gold).tuning == 0.0


@pytest.mark.parametrize("n", [15, 50, 200])
def test_coverage_and_false_positives(n: int) -> None:
    """1,000 data sets: the interval, that of labels alone, and the test between two methods of equal quality."""
    generator = np.random.default_rng(n)
    covered = of_labels = rejected = 0
    widths = np.zeros(2)
    # The mean of expit of a normal of mean 0.6 and sd 1.5, by quadrature.
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = float((weights @ special.expit(0.6 + 1.5 * nodes)) / weights.sum())
    for _ in range(1000):
        gold, judge = judged(generator)
        known = labelled(generator, gold, n)
        found = prediction_powered_mean(known, judge)
        low, high = found.confidence.interval(0.95)
        covered += low <= truth <= high
        bottom, top = found.of_labels.interval(0.95)
        of_labels += bottom <= truth <= top
        widths += (high - low, top - bottom)
        other_gold, other_judge = judged(generator)
        other = prediction_powered_mean(np.where(np.isfinite(known), other_gold, np.nan), other_judge)
        rejected += float(paired_difference(found, other).p_value(0)) < 0.05
    error = (0.05 * 0.95 / 1000) ** 0.5
    assert abs(covered / 1000 - 0.95) <= 3.5 * error
    assert abs(of_labels / 1000 - 0.95) <= 3.5 * error
    assert abs(rejected / 1000 - 0.05) <= 3.5 * error
    assert widths[0] < widths[1]


def test_clusters_are_the_units() -> None:
    gold, judge = judged(np.random.default_rng(3))
    known = labelled(np.random.default_rng(4), gold, 60)
    plain = prediction_powered_mean(known, judge)
    single = prediction_powered_mean(known, judge, clusters=np.arange(UNITS))
    assert float(single.confidence.standard_error) == pytest.approx(float(plain.confidence.standard_error))
    twice = prediction_powered_mean(np.repeat(known, 2), np.repeat(judge, 2), clusters=np.repeat(np.arange(UNITS), 2))
    assert twice.estimate == pytest.approx(plain.estimate)
    assert float(twice.confidence.standard_error) == pytest.approx(float(plain.confidence.standard_error))
    assert twice.confidence.prompt_df == plain.confidence.prompt_df == 58


def test_calibration_learns_to_leave_the_length_out() -> None:
    """A judge with the logit of gold's chance plus 2 per unit of length."""
    generator = np.random.default_rng(5)
    quality, lengths = generator.normal(0, 1.5, (3, UNITS)), generator.normal(0.5, 1, (3, UNITS))
    gold = (generator.random((3, UNITS)) < special.expit(quality)).astype(float)
    judge = special.expit(quality + 2 * lengths)
    some = generator.random(UNITS) < 0.25
    found = calibrated_predictions(np.where(some, gold, np.nan), judge, lengths)
    assert abs(judge.mean() - gold.mean()) > 0.1
    assert abs(found.mean() - gold.mean()) < 0.03
    truth = special.expit(quality).ravel()
    before, after = np.corrcoef([truth, judge.ravel(), found.ravel()])[0, 1:]
    assert before < 0.7
    assert after > 0.95
    equal = calibrated_predictions(np.where(some, gold, np.nan), judge, np.zeros((3, UNITS)))
    assert np.isfinite(equal).all()


def test_wrong_input_is_refused() -> None:
    with pytest.raises(DataError, match="every unit needs one"):
        prediction_powered_mean([1.0, 0.0, 1.0, 0.0], [0.5, np.nan, 0.5, 0.5])
    with pytest.raises(DataError, match="3 independent units are labelled"):
        prediction_powered_mean([1.0, 0.0, 1.0, np.nan], [0.5] * 4)
    with pytest.raises(ValueError, match="one value per unit"):
        prediction_powered_mean([1.0, 0.0], [0.5])
    with pytest.raises(DataError, match="nothing to calibrate"):
        calibrated_predictions([[np.nan]], [[0.5]], [[1.0]])
    gold, judge = judged(np.random.default_rng(6))
    with pytest.raises(ValueError, match="same units"):
        paired_difference(prediction_powered_mean(gold, judge), prediction_powered_mean(gold[:100], judge[:100]))
