"""Power at the level of the decision, with what the seeds' variance may be; a pilot that cannot know says so."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.power.decomposition import decompositions
from bench.statistics.power.detectable import Spread, detectable_by, variance_limits
from bench.statistics.power.pilot import prompts_needed
from bench.statistics.tests.confidence import Confidence
from tests.statistics.build import METRICS, comparison, rows, table


def test_the_limits_hold_the_true_variance_in_80_of_100() -> None:
    estimates = 2.0 * np.random.default_rng(0).chisquare(2, 4000) / 2
    limits = [variance_limits(float(one), 2) for one in estimates]
    assert np.mean([low <= 2.0 <= high for low, high in limits]) == pytest.approx(0.8, abs=0.02)


def test_the_reach_grows_with_the_tests_and_has_a_range() -> None:
    law = Confidence(0.0, 4e-4, 99, 3e-4, 2)
    alone, first = detectable_by(law, 3, 0.95), detectable_by(law, 3, 1 - 0.05 / 9)
    assert first[0] > 2 * alone[0]
    assert first[1] is not None and first[2] is not None and first[1] < first[0] < first[2]
    assert detectable_by(Confidence(0.0, 4e-4, 99), 1, 0.95)[1:] == (None, None)


def test_a_pilot_does_not_promise_a_number_where_none_exists() -> None:
    """Sixty pilots with three seeds whose spread no number of prompts can overcome."""
    generator, sure, finite = np.random.default_rng(1), 0, 0
    assert prompts_needed(0.6, 3, Spread(seed=0.3, prompt=1.4, residual=0.7)) is None
    for _ in range(60):
        records = [
            row
            for arm in "ab"
            for row in rows(
                arm,
                generator.normal(0, 1, (40, 1))
                + generator.normal(0, 0.5, (40, 3))
                + generator.normal(0, 0.3 / 2**0.5, (1, 3)),
            )
        ]
        (needed,) = decompositions(compute_contrasts(table(records), comparison(), METRICS), 0.6)[0].needed
        finite += needed.n_prompts is not None
        sure += needed.n_prompts_high is not None
    assert finite > 15 and sure <= 0.2 * 60
