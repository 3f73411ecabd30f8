"""A contrast that is moderated: one variance in its test, its reach and its sample sizes; the power promised."""

from __future__ import annotations

import numpy as np
import pytest

from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.seed_variance import seed_component
from bench.statistics.power.decomposition import decompositions
from bench.statistics.power.detectable import detectable_by
from bench.statistics.power.sample_size import design_of
from bench.statistics.tests.confidence import Confidence
from tests.calibration.rates import laws_of, power
from tests.calibration.worlds import BY_NAME, MEASURED, PROMPTS, against_one, families
from tests.statistics.build import METRICS, comparison, rows, table


def family(seed: int) -> list[Contrast]:
    generator = np.random.default_rng(seed)
    given = [
        row
        for arm in ("a", "b", "c", "a_again")
        for row in rows(arm, generator.normal(0, 1, (60, 3)) + generator.normal(0, 0.2, (1, 3)))
    ]
    return compute_contrasts(table(given), comparison([("a", "b"), ("c", "b"), ("a", "c")]), METRICS)


@pytest.mark.parametrize("seed", range(6))
def test_the_present_design_is_the_contrasts_own_reach_and_lies_within_the_limits(seed: int) -> None:
    contrasts = family(seed)
    assert any(item.components["prior_run_df"] > 0 for item in contrasts)
    for item, parts in zip(contrasts, decompositions(contrasts, 0.5), strict=True):
        # Where the moderated mean square is below what the residual alone gives, the seeds' component is 0.
        if seed_component(item) > 0:
            assert parts.designs[0].smallest_detectable == pytest.approx(item.smallest_detectable, rel=0.02)
            assert parts.designs[0].standard_error == pytest.approx(item.standard_error, rel=1e-6)
            assert sum(part.of_mean or 0 for part in parts.parts) == pytest.approx(parts.standard_error**2)
        (needed,) = parts.needed
        for low, seen, high in (
            (needed.n_runs_low, needed.n_runs, needed.n_runs_high),
            (needed.n_prompts_low, needed.n_prompts, needed.n_prompts_high),
        ):
            order = [np.inf if one is None else one for one in (low, seen, high)]
            assert order == sorted(order)
        design = design_of(item)
        assert design is not None and design.sets[0].component == seed_component(item)


def test_the_printed_reach_has_about_the_power_it_promises() -> None:
    """Forty pilots of six arms and three seeds: the mean power at what each prints, at Holm's first step of five."""
    given = families(np.random.default_rng(7), 400, against_one(5), 3, BY_NAME["equal, 1"], MEASURED)
    part, df = laws_of(given, "moderated")
    laws = [
        Confidence(0.0, given.prompts[place, 0], PROMPTS - 1, part[place, 0], float(df[place, 0]))
        for place in range(40)
    ]
    printed = [detectable_by(law, 3, 1 - 0.05 / 5)[0] for law in laws]
    effects = float(np.median(printed)) * np.geomspace(0.3, 4, 12)
    curve = [power(given, "moderated", effect) for effect in effects]
    assert 0.76 < float(np.interp(printed, effects, curve).mean()) < 0.88
