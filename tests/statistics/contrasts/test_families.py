"""Corrections as settings of a comparison: max-T with and without several runs, and what it may never do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.analysis import AnalysisSettings, analyse
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.families import Aligned, correlations
from bench.statistics.crossing.crossing import Crossing
from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.corrections import holm
from bench.statistics.tests.max_t import max_t_over_seeds
from bench.statistics.tests.random_effects import crossed_effects
from tests.statistics.build import METRICS, comparison, rows, table

PAIRS = (("a", "c"), ("b", "c"))


def scores(seed: int, runs: int, shift: float = 0.3, prompts: int = 60) -> list[dict[str, Any]]:
    """Return scores of arms a and b, and of a control c that both differ from."""
    generator = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for arm, mean in (("a", shift), ("b", shift), ("c", 0.0)):
        values = mean + generator.normal(0, 1, (prompts, 1)) + generator.normal(0, 0.5, (prompts, runs))
        found += rows(arm, values)
    return found


def both(records: list[dict[str, Any]], runs: int, **settings: Any) -> tuple[Contrast, ...]:
    given = comparison(PAIRS, range(runs), **settings)
    return tuple(compute_contrasts(table(records), given, METRICS))


@pytest.mark.parametrize("runs", [1, 3])
def test_max_t_lies_between_p_and_holm_and_decides(runs: int) -> None:
    records = scores(0, runs, shift=0.5)
    found, by_holm = both(records, runs, correction="max_t"), both(records, runs)
    for sharp, plain in zip(found, by_holm, strict=True):
        assert sharp.p == plain.p
        assert sharp.p is not None and sharp.p_adjusted is not None and plain.p_adjusted is not None
        assert sharp.p <= sharp.p_adjusted
        if runs > 1:
            assert sharp.p_adjusted <= plain.p_adjusted
        assert (sharp.verdict == "a better") == (sharp.p_adjusted < 0.05)
    assert found == both(records, runs, correction="max_t")


def test_one_contrast_over_runs_keeps_its_p_and_equal_ones_cost_almost_nothing() -> None:
    law = Confidence(0.1, 0.01, 99, 0.0001, 2)
    assert max_t_over_seeds([0.03], [law], np.eye(1), 1000, 0) == [0.03]
    same = max_t_over_seeds([0.03] * 4, [law] * 4, np.ones((4, 4)), 20_000, 0)
    assert same[0] < 0.045
    apart = max_t_over_seeds([0.03] * 4, [law] * 4, np.eye(4), 20_000, 0)
    assert apart == pytest.approx([1 - 0.97**4] * 4, abs=0.005)
    assert max(apart) <= max(holm([0.03] * 4))


def test_a_tiny_p_is_not_rounded_up_to_the_number_of_resamples() -> None:
    law = Confidence(1.0, 0.01, 99, 0.0001, 2)
    assert max_t_over_seeds([1e-9, 0.5], [law] * 2, np.eye(2), 500, 0)[0] == pytest.approx(2e-9)


def test_prompts_that_only_one_contrast_has_do_not_correlate() -> None:
    generator = np.random.default_rng(1)
    shared = generator.normal(0, 1, 30)
    values = np.zeros((3, 60))
    values[0, :30], values[1, :30], values[2, 30:] = shared + 1, shared + 5, shared
    found = correlations(Aligned(values, values != 0, np.arange(60)))
    assert found == pytest.approx(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), abs=1e-9)


@pytest.mark.parametrize(("runs", "run_sd"), [(2, 0.0), (3, 0.15), (5, 0.3)])
def test_family_wise_error_and_power_over_runs(runs: int, run_sd: float) -> None:
    """600 families of five nulls against one control, whose prompts and seeds they share."""
    generator = np.random.default_rng(2)
    noise = (
        generator.normal(0, 1, (600, 6, 50, 1))
        + generator.normal(0, run_sd, (600, 6, 1, runs))
        + generator.normal(0, 0.5, (600, 6, 50, runs))
    )
    null = noise[:, 1:] - noise[:, :1]
    shifted = null + np.array([0.8, 0, 0, 0, 0])[:, None, None]
    false = sum(min(p) <= 0.05 for p in adjusted(null))
    found = sum(p[0] <= 0.05 for p in adjusted(shifted))
    by_holm = sum(holm(list(p))[0] <= 0.05 for p in crossed_effects(shifted).confidence.p_value(0.0))
    assert false / 600 <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    assert found >= by_holm


def adjusted(values: np.ndarray) -> Iterator[list[float]]:
    """The adjusted p-values of each family; values: (families, contrasts, prompts, runs)."""
    whole = crossed_effects(values).confidence
    p_values = whole.p_value(0.0)
    parts = ("estimate", "prompt_variance", "seed_variance", "seed_floor")
    each = {name: np.broadcast_to(getattr(whole, name), p_values.shape) for name in parts}
    for number, means in enumerate(values.mean(axis=3)):
        laws = [
            dataclasses.replace(whole, **{name: part[number, place] for name, part in each.items()})
            for place in range(len(means))
        ]
        correlation = correlations(Aligned(means, np.ones(means.shape, dtype=bool), np.arange(means.shape[1])))
        yield max_t_over_seeds(p_values[number], laws, correlation, 500, number)


def zeros_and_ones(ones: int, prompts: int) -> Crossing:
    values = (np.arange(prompts) < ones).astype(float)[:, None]
    return Crossing(tuple(map(str, range(prompts))), np.arange(prompts), values, drawn=values[..., None])


@pytest.mark.parametrize(("interval", "most"), [("bca", 0.05), ("bootstrap", 0.065), ("t", 0.05)])
def test_intervals_cover_a_rate_near_zero(interval: Any, most: float) -> None:
    """60 responses at a rate of 0.1: the chance that the interval misses it, over every number of ones they can hold.

    Exact but for the resampling, so without a band; more than 20 ones have a chance below one in a million.
    """
    missed = tested = 0.0
    for ones in range(21):
        found = analyse(zeros_and_ones(ones, 60), AnalysisSettings(0.5, (0.0, 1.0), 0.95, 600, interval))
        if found.low is not None and found.high is not None:
            chance = float(stats.binom.pmf(ones, 60, 0.1))
            tested += chance
            missed += chance * (not found.low <= 0.1 <= found.high)
    assert tested > 0.96
    assert missed / tested <= most


def test_a_resampled_interval_leaves_the_test_alone_and_says_what_it_is() -> None:
    crossing = zeros_and_ones(6, 60)
    plain = analyse(crossing, AnalysisSettings(0.5, (0.0, 1.0), 0.95, 600))
    for interval, words in (("bca", "bias-corrected and accelerated"), ("bootstrap", "percentile")):
        found = analyse(crossing, AnalysisSettings(0.5, (0.0, 1.0), 0.95, 600, interval))  # type: ignore[arg-type]
        assert (found.p, found.estimate, found.standard_error) == (plain.p, plain.estimate, plain.standard_error)
        assert (found.low, found.high) != (plain.low, plain.high)
        assert any(words in note for note in found.notes)
    several = Crossing(("p", "q"), np.arange(2), np.array([[0.0, 1.0], [1.0, 0.5]]))
    with pytest.raises(ValueError, match="other training seeds"):
        analyse(several, AnalysisSettings(0.5, (0.0, 1.0), 0.95, 600, "bca"))
