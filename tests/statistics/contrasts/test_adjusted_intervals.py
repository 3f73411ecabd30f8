"""Interval and verdict agree: the adjusted interval excludes the null value exactly when a contrast is decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.tests.corrections import adjusted, step_levels
from tests.statistics.build import METRICS, comparison, rows, table

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


def excluded(item: Contrast) -> bool:
    assert item.adjusted_low is not None and item.adjusted_high is not None
    return not item.adjusted_low <= item.null_value <= item.adjusted_high
