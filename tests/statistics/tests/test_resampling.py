"""How much resampling a number beside the test gets."""

from __future__ import annotations

import numpy as np

from bench.statistics.contrasts.analysis import AnalysisSettings, analyse
from bench.statistics.crossing.crossing import Crossing
from bench.statistics.tests.resampling import FEWEST, affordable


def test_few_units_get_all_that_was_asked_for_and_many_get_fewer() -> None:
    assert affordable(400, 10_000) == 10_000
    assert affordable(5_000, 10_000) == 2_000
    assert affordable(1_000_000, 10_000) == FEWEST
    assert affordable(1_000_000, 300) == 300


def test_fewer_resamples_are_told_and_change_nothing_that_decides() -> None:
    values = np.random.default_rng(0).normal(0.01, 1, (20_000, 2))
    crossing = Crossing(tuple(f"p{number:05d}" for number in range(len(values))), np.arange(len(values)), values)
    few, all_of_them = (analyse(crossing, AnalysisSettings(0.0, None, 0.95, count)) for count in (1_000, 2_000))
    assert any("rest on 1,000 resamples" in note for note in all_of_them.notes)
    assert not any("resamples" in note for note in few.notes)
    assert (few.low, few.high, few.p) == (all_of_them.low, all_of_them.high, all_of_them.p)
    assert few.also == all_of_them.also
