from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, special, stats

from bench.statistics.tests.confidence import OUTSIDE, POINTS, _chi_square_grid
from bench.statistics.tests.roots import root

FUNCTIONS: dict[str, tuple[Callable[[float], float], float, float]] = {
    "line": (lambda x: 2 * x - 1, -3.0, 4.0),
    "falling": (lambda x: 0.3 - x, 0.0, 1.0),
    "cubic": (lambda x: x**3 - 2 * x - 5, 2.0, 3.0),
    "nearly flat at the root": (lambda x: (x - 0.7) ** 3 + 1e-4 * (x - 0.7), 0.0, 1.0),
    "steep at the root": (lambda x: math.copysign(abs(x - 0.1) ** 0.2, x - 0.1), -1.0, 2.0),
    "a step": (lambda x: 1.0 if x > 1 / 3 else -1.0, 0.0, 1.0),
    "ends at infinity": (lambda x: math.inf if x >= 1 else math.tan(x * math.pi / 2) - 3, 0.0, 1.0),
    "tiny": (lambda x: 1e-200 * (x - 0.4), 0.0, 1.0),
    "far": (lambda x: math.log(x) - 20, 1.0, 1e12),
    "noncentral t": (lambda x: float(special.nctdtr(7.3, x, 2.34)) - 0.2, 0.0, 4.34),
    "at the lower end": (lambda x: x, 0.0, 1.0),
    "at the upper end": (lambda x: x - 1, 0.0, 1.0),
    "ends exchanged": (lambda x: math.exp(x) - 2, 3.0, -3.0),
}


@pytest.mark.parametrize("tolerance", [2e-12, 1e-14, 1e-3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_roots_are_those_of_scipy_to_the_last_digit(name: str, tolerance: float) -> None:
    """Committed results were computed with scipy's: another root finder would change their last digits."""
    function, low, high = FUNCTIONS[name]
    assert root(function, low, high, tolerance) == optimize.brentq(function, low, high, xtol=tolerance)


def test_random_functions_have_the_roots_of_scipy_in_as_many_calls() -> None:
    draws = np.random.default_rng(5)
    for _ in range(300):
        place, power, wave = draws.uniform(-1, 1), int(draws.choice([1, 3, 5])), draws.uniform(0, 2)
        calls = 0

        def function(x: float, place: float = place, power: int = power, wave: float = wave) -> float:
            nonlocal calls
            calls += 1
            return float((x - place) ** power + 0.01 * (x - place) + wave * math.sin(x - place) ** 3)

        expected, told = optimize.brentq(function, -2.0, 3.0, full_output=True)
        calls = 0
        assert root(function, -2.0, 3.0) == expected
        assert calls == told.function_calls


@pytest.mark.parametrize("function", [lambda x: x**2 + 1, lambda x: -1.0, lambda x: math.nan])
def test_without_a_change_of_sign_there_is_an_error(function: Callable[[float], float]) -> None:
    with pytest.raises(ValueError, match="no root between -1 and 2"):
        root(function, -1.0, 2.0)


@pytest.mark.parametrize("df", [1, 2, 3, 7, 40, 999])
def test_the_chi_square_grid_is_that_of_scipys_law(df: int) -> None:
    chi, weights = _chi_square_grid(df, POINTS)
    law = stats.chi2(df)
    ends = np.log([law.ppf(OUTSIDE), law.isf(OUTSIDE)])
    expected = np.exp(np.linspace(ends[0], ends[1], POINTS))
    assert np.array_equal(chi, expected)
    density = law.pdf(expected) * expected
    assert np.array_equal(weights, density / density.sum())
