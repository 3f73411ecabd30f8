"""Power at the level of the decision, with what the seeds' variance may be; a pilot that cannot know says so."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from bench.report.inputs import Inputs
from bench.report.page.content import Bullets
from bench.report.sections.variance import variance_section
from bench.results.conclusions.all import Conclusions
from bench.results.conclusions.variance import Decomposition, SampleSize, VarianceSource
from bench.results.summary import RunSummary
from bench.statistics.power.detectable import Spread, detectable_by, variance_limits
from bench.statistics.power.pilot import prompts_needed
from bench.statistics.tests.confidence import Confidence
from tests.statistics.build import comparison


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
    """Sixty pilots of three seeds whose spread no number of prompts overcomes: 1.5 times the largest that some does.

    A pilot gives a finite number exactly where the variance of seeds that it saw allows one (it then saw too small a
    one, which chance does in about half), and says that none may be enough where the upper limit allows none.
    """
    effect, prompt, residual, prompts = 0.6, 1.4, 0.7, 40
    low, high = 0.0, 2.0
    for _ in range(20):
        middle = (low + high) / 2
        enough = prompts_needed(effect, 3, Spread(middle, prompt, residual)) is not None
        low, high = (middle, high) if enough else (low, middle)
    cell = residual**2 / prompts
    squares = (1.5 * low**2 + cell) * np.random.default_rng(1).chisquare(2, 60) / 2
    finite = unsure = 0
    for square in squares:
        limits = [square, variance_limits(float(square), 2)[1]]
        point, most = (prompts_needed(effect, 3, Spread(max(one - cell, 0) ** 0.5, prompt, residual)) for one in limits)
        assert (point is not None) == (square <= low**2 + cell)
        finite += point is not None
        unsure += point is not None and most is None
    assert 20 < finite < 40
    assert finite - unsure <= 0.15 * 60


def words(point: int | None, low: int | None, high: int | None, seeds: int | None = 9) -> str:
    needed = SampleSize(
        effect=0.6, n_runs=seeds, n_runs_low=seeds, n_runs_high=seeds,
        n_prompts=point, n_prompts_low=low, n_prompts_high=high,
    )  # fmt: skip
    found = Decomposition(
        a="a", b="b", task="quiz", metric="score", judge=None, effect=0.1, standard_error=0.1, n_prompts=40, n_units=40,
        n_runs=3, n_draws=1, parts=(VarianceSource(source="seeds", sd=0.1, of_mean=0.1, share=1.0),), designs=(),
        needed=(needed,),
    )  # fmt: skip
    inputs = Inputs(comparison(), cast(RunSummary, None), Conclusions(contrasts=(), variance=(found,)), pa.table({}))
    (line,) = next(block for block in variance_section(inputs) if isinstance(block, Bullets)).items
    return line.split("power takes ")[1]


def test_the_words_say_that_no_number_is_enough_where_none_is() -> None:
    assert words(80, 50, 120) == "9 seeds with these 40 prompts, or 80 prompts (50 to 120) with these 3 seeds"
    assert words(80, 50, None).endswith(
        "or perhaps 80 prompts (from 50 on, but no number of prompts may be enough: none is at the upper limit of the "
        "seeds' variance) with these 3 seeds"
    )
    assert words(None, None, None).endswith("; no number of prompts is enough without more seeds")
    assert words(None, 50, None).endswith(
        "; no number of prompts is enough (50 would be at the lower limit of the seeds' variance) without more seeds"
    )
    assert words(None, None, None, None) == (
        "more seeds and more prompts: no number of seeds is enough with these 40 prompts, and no number of prompts is "
        "enough with these 3 seeds"
    )
