from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from bench.core.errors import DataError
from bench.statistics.length.matched import length_matched_win_rate


def rows(generator: np.random.Generator, n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs in which length decides and quality does not; the method is longer as a rule."""
    own, other = np.exp(generator.normal(6.4, 0.4, n)).round(), np.exp(generator.normal(6.1, 0.4, n)).round()
    return (generator.random(n) < special.expit((own - other) / 200)).astype(float), own, other


def test_a_liking_for_length_is_taken_away() -> None:
    preference, own, other = rows(np.random.default_rng(0), 20_000)
    found = length_matched_win_rate(preference, own, other)
    assert preference.mean() > 0.6
    assert found.estimate == pytest.approx(50, abs=1.5)
    assert 0.3 < found.share_matched < 1


def test_both_roles_add_up_to_100() -> None:
    preference, own, other = rows(np.random.default_rng(1))
    there, back = length_matched_win_rate(preference, own, other), length_matched_win_rate(1 - preference, other, own)
    assert there.estimate + back.estimate == pytest.approx(100, abs=1e-9)
    assert there.standard_error == pytest.approx(back.standard_error)


def test_equal_lengths_are_raw() -> None:
    preference, own, _ = rows(np.random.default_rng(2))
    found = length_matched_win_rate(preference, own, own)
    assert found.estimate == pytest.approx(100 * preference.mean())
    assert found.standard_error == pytest.approx(100 * preference.std(ddof=1) / 500**0.5)
    assert found.share_matched == 1.0


def test_nothing_to_match_is_raw_and_says_so() -> None:
    preference, own, other = rows(np.random.default_rng(3))
    found = length_matched_win_rate(preference, own + 10_000, other)
    assert (found.estimate, found.share_matched) == (pytest.approx(100 * preference.mean()), 0.0)
    assert "no_overlap" in found.flags
    assert "poor_overlap" in length_matched_win_rate(preference, own + 900, other).flags


def test_order_unit_and_missing_rows() -> None:
    preference, own, other = rows(np.random.default_rng(4))
    whole = length_matched_win_rate(preference, own, other)
    order = np.random.default_rng(5).permutation(500)
    moved = length_matched_win_rate(preference[order], 3 * own[order], 3 * other[order])
    assert (moved.estimate, moved.standard_error) == pytest.approx((whole.estimate, whole.standard_error))
    gap = np.append(preference, np.nan)
    found = length_matched_win_rate(gap, np.append(own, 1), np.append(other, 1))
    assert (found.estimate, found.n, found.n_missing) == (whole.estimate, 500, 1)
    with pytest.raises(DataError, match="none of 1 rows"):
        length_matched_win_rate([np.nan], [1], [2])


def test_the_error_is_that_of_a_bootstrap() -> None:
    generator = np.random.default_rng(6)
    columns = rows(generator, 400)
    found = length_matched_win_rate(*columns)
    draws = [generator.integers(0, 400, 400) for _ in range(400)]
    again = [length_matched_win_rate(*(column[draw] for column in columns)).estimate for draw in draws]
    assert found.standard_error == pytest.approx(np.std(again, ddof=1), rel=0.12)


def test_coverage() -> None:
    """500 data sets of 300 pairs: the interval holds 50, the truth of two methods that differ in length only."""
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(500):
        found = length_matched_win_rate(*rows(generator, 300))
        assert found.standard_error is not None
        covered += abs(found.estimate - 50) <= 1.968 * found.standard_error
    # Within a bin longer pairs are a little longer still, so that a little of the bias is left.
    assert covered / 500 >= 0.95 - 3 * (0.05 * 0.95 / 500) ** 0.5
