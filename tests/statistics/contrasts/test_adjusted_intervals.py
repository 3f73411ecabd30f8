"""Interval and verdict agree: the adjusted interval excludes the null value exactly when a contrast is decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.tests.corrections import adjusted, step_levels
from tests.statistics.build import METRICS, SCORE, comparison, rows, table

PAIRS = (("a", "b"), ("a", "c"), ("b", "c"))


@pytest.mark.parametrize("correction", ["holm", "benjamini_hochberg", "none"])
def test_a_p_is_below_its_level_exactly_when_it_is_decided(correction: Any) -> None:
    generator = np.random.default_rng(0)
    for _ in range(400):
        p = generator.random(generator.integers(1, 12)) ** generator.integers(1, 5)
        after = adjusted(list(p), correction)
        levels = step_levels(list(p), after, correction, 0.05)
        assert ((p < levels) == (np.array(after) < 0.05)).all()
        assert (np.array(levels) <= 0.05).all()


def test_each_correction_has_its_own_levels() -> None:
    p = [0.2, 0.001, 0.02, 0.9, 0.0001]
    by_holm = step_levels(p, adjusted(p, "holm"), "holm", 0.05)
    assert by_holm == pytest.approx([0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3, 0.01])
    assert step_levels(p, p, "none", 0.05) == [0.05] * 5
    # Three of five decided: false coverage at three fifths of 5%.
    rates = step_levels(p, adjusted(p, "benjamini_hochberg"), "benjamini_hochberg", 0.05)
    assert rates == pytest.approx([0.03] * 5)


@pytest.mark.parametrize("correction", ["holm", "max_t", "benjamini_hochberg", "none"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_random_families(correction: str, seeds: int) -> None:
    generator, decided = np.random.default_rng(seeds), 0
    for _ in range(12):
        records: list[dict[str, Any]] = []
        for arm in "abc":
            values = generator.normal(0, 1, (25, 1)) + generator.normal(0, 0.5, (25, seeds))
            records += rows(arm, generator.choice([0.0, 0.4, 1.0]) + values)
        found = compute_contrasts(table(records), comparison(PAIRS, range(seeds), correction=correction), METRICS)
        for item in found:
            assert excluded(item) == (item.verdict != "undecided"), item
            assert item.low is not None and item.adjusted_low is not None
            assert item.adjusted_low <= item.low + 1e-9
            decided += item.verdict != "undecided"
    assert decided > 3


def test_an_overwhelming_difference_has_a_narrow_interval_under_every_correction() -> None:
    """A p_adjusted of resamples ends at one over their number, and p does not."""
    generator = np.random.default_rng(1)
    base = generator.normal(0, 1, (60, 1))
    records = [
        row
        for arm, at in zip("abc", (0.0, 1.5, 3.5), strict=True)
        for row in rows(arm, at + 0.5 * generator.normal(0, 1, (60, 1)) + base)
    ]
    widths = {}
    for correction in ("holm", "max_t"):
        found = compute_contrasts(table(records), comparison(PAIRS, [0], correction=correction), METRICS)
        assert all(excluded(item) and item.p is not None and item.p < 1e-12 for item in found)
        widths[correction] = [item.adjusted_high - item.adjusted_low for item in found]  # type: ignore[operator]
    assert np.max(widths["holm"]) < 0.6
    assert (np.array(widths["max_t"]) <= np.array(widths["holm"]) + 1e-9).all()


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("n", [2, 20, 400])
def test_what_no_variation_could_have_shown_is_not_nothing(seeds: int, n: int) -> None:
    """Equal 0/1 values leave open what their bounds do, and no less than the interval does."""
    records = [row for arm in "ab" for row in rows(arm, np.repeat(np.arange(n)[:, None] % 2, seeds, axis=1))]
    (item,) = compute_contrasts(table(records), comparison((("a", "b"),), range(seeds)), METRICS)
    assert item.smallest_detectable is not None and item.high is not None
    assert item.smallest_detectable > item.high > 0


def test_values_beyond_the_declared_bounds_have_none() -> None:
    bounded = SCORE.model_copy(update={"bounds": (0.0, 1.0)})
    records = [row for arm, at in (("a", 1.5), ("b", 1.0)) for row in rows(arm, np.full((50, 1), at))]
    (item,) = compute_contrasts(table(records), comparison((("a", "b"),), [0]), {"score": bounded})
    assert (item.verdict, item.low, item.p) == ("undecided", None, None)
    assert "values from 1 to 1.5 leave the declared bounds [0, 1]" in item.note


def excluded(item: Contrast) -> bool:
    assert item.adjusted_low is not None and item.adjusted_high is not None
    return not item.adjusted_low <= item.null_value <= item.adjusted_high
