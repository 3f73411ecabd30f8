"""Variances by source: found again from simulated rows, told apart only where the data can, and put to use."""

from __future__ import annotations

import numpy as np
import pytest

from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.variance import Decomposition
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.crossing.crossing import Crossing
from bench.statistics.power.decomposition import decompositions, within_cells
from bench.statistics.power.detectable import Spread, planned_smallest_detectable
from bench.statistics.power.pilot import prompts_needed, seeds_needed
from tests.statistics.build import METRICS, comparison, rows, table, verdicts
from tests.statistics.power.miller import miller_prompts_needed

SD = {"seeds": 0.03, "prompts": 0.12, "prompts x seeds": 0.08, "draws": 0.10, "judge": 0.14}
BIAS = 0.05


def judged(seed: int, prompts: int = 400, runs: int = 12, draws: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return preferences (prompts, runs, draws) in both orders from the full model, around 0.5."""
    generator = np.random.default_rng(seed)
    shape = (prompts, runs, draws)
    shared = (
        0.5
        + generator.normal(0, SD["seeds"], (1, runs, 1))
        + generator.normal(0, SD["prompts"], (prompts, 1, 1))
        + generator.normal(0, SD["prompts x seeds"], (prompts, runs, 1))
        + generator.normal(0, SD["draws"], shape)
    )
    return tuple(shared + sign * BIAS + generator.normal(0, SD["judge"], shape) for sign in (1, -1))  # type: ignore[return-value]


def crossing(first: np.ndarray, second: np.ndarray) -> Crossing:
    drawn = (first + second) / 2
    prompts = len(first)
    names = tuple(f"p{i}" for i in range(prompts))
    return Crossing(names, np.arange(prompts), drawn.mean(axis=2), drawn=drawn, first=first, second=second)


def contrasts(
    first: np.ndarray, second: np.ndarray | None, clusters: list[str] | None = None
) -> tuple[Contrast, ...]:  # fmt: skip
    given = verdicts("a", "b", first, second)
    if clusters is not None:
        for row in given:
            row["cluster"] = clusters[int(row["prompt"][1:])]
    return tuple(compute_contrasts(table(given), comparison(seeds=range(first.shape[1])), METRICS))


def decomposed(
    first: np.ndarray, second: np.ndarray | None, clusters: list[str] | None = None
) -> Decomposition:  # fmt: skip
    (found,) = decompositions(contrasts(first, second, clusters), None)
    return found


def test_every_variance_is_found_again() -> None:
    found = decomposed(*judged(0))
    for part in found.parts:
        # Twelve seeds know their own spread to about a fifth; all others are known far better.
        assert part.sd == pytest.approx(SD[part.source], rel=0.45 if part.source == "seeds" else 0.06)
    assert sum(part.share or 0 for part in found.parts) == pytest.approx(1)


def test_the_parts_add_up_to_the_squared_standard_error() -> None:
    found = decomposed(*judged(1, prompts=60, runs=4))
    assert all(part.of_mean is not None and part.of_mean > 0 for part in found.parts)
    assert sum(part.of_mean or 0 for part in found.parts) == pytest.approx(found.standard_error**2)
    clustered = decomposed(*judged(1, prompts=60, runs=4), [f"c{i // 3}" for i in range(60)])
    assert clustered.n_units == 20
    assert sum(part.of_mean or 0 for part in clustered.parts) == pytest.approx(clustered.standard_error**2)


def test_a_judges_constant_liking_for_a_position_is_no_noise() -> None:
    first, second = judged(2)
    plain = within_cells(crossing(first, second))
    assert within_cells(crossing(first + 0.3, second - 0.3)) == pytest.approx(plain)


def test_one_draw_and_one_order_say_where_the_noise_is() -> None:
    first, second = judged(3, draws=1)
    by_source = {part.source: part for part in decomposed(first, second).parts}
    assert by_source["draws"].sd is None
    assert by_source["draws"].within == "prompts x seeds"
    assert by_source["judge"].sd == pytest.approx(SD["judge"], rel=0.1)
    # The draw's variance is now in the interaction.
    together = (SD["prompts x seeds"] ** 2 + SD["draws"] ** 2) ** 0.5
    assert by_source["prompts x seeds"].sd == pytest.approx(together, rel=0.06)
    one_order = {part.source: part for part in decomposed(first, None).parts}
    assert one_order["judge"].within == "prompts x seeds"


def test_one_run_sees_no_seeds_and_names_no_number_of_them() -> None:
    first, second = judged(4, runs=1)
    found = decomposed(first, second)
    by_source = {part.source: part for part in found.parts}
    assert by_source["seeds"].sd is None
    assert by_source["prompts x seeds"].within == "prompts"
    assert found.needed[0].n_runs is None
    assert [design.n_runs for design in found.designs] == [1, 1, 1]
    assert sum(part.of_mean or 0 for part in found.parts) == pytest.approx(found.standard_error**2)


def test_designs_begin_with_the_present_and_get_finer() -> None:
    found = decomposed(*judged(5, prompts=100, runs=3))
    present = found.designs[0]
    assert (present.n_runs, present.n_prompts) == (3, 100)
    assert present.standard_error == pytest.approx(found.standard_error, rel=1e-6)
    assert all(design.smallest_detectable < present.smallest_detectable for design in found.designs[1:])


def test_a_difference_of_a_metric_is_decomposed_over_draws() -> None:
    generator = np.random.default_rng(6)
    a, b = generator.normal(0, 1, (80, 3, 4)), generator.normal(0, 1, (80, 3, 4))
    given = compute_contrasts(table(rows("a", a) + rows("b", b)), comparison(), METRICS)
    found = {part.source: part for part in decompositions(given, 0.1)[0].parts}
    assert found["draws"].sd == pytest.approx(2**0.5, rel=0.05)
    assert found["judge"].within == "draws"


def test_identical_arms_and_pseudo_values_have_none() -> None:
    half = np.full((20, 3), 0.5)
    assert decompositions(contrasts(half, half), None) == ()


def test_seeds_and_prompts_needed_are_the_fewest() -> None:
    spread = Spread(seed=0.02, prompt=0.3, residual=0.3)
    runs = seeds_needed(0.06, 400, spread)
    assert runs is not None
    now, before = planned_smallest_detectable(400, runs, spread), planned_smallest_detectable(400, runs - 1, spread)
    assert now is not None and before is not None and now <= 0.06 < before
    prompts = prompts_needed(0.09, 3, spread)
    assert prompts is not None
    now, before = planned_smallest_detectable(prompts, 3, spread), planned_smallest_detectable(prompts - 1, 3, spread)
    assert now is not None and before is not None and now <= 0.09 < before
    assert prompts_needed(0.01, 3, spread) is None  # the runs' part stays
    assert seeds_needed(0.001, 10, spread) is None  # the prompts' part stays


def test_one_run_needs_what_millers_formula_says() -> None:
    """Delta 0.03, omega^2 = 1/9, both responses' variance 1/6: 3,876 prompts; t instead of normal adds two."""
    wanted = miller_prompts_needed(0.03, 1 / 9, 1 / 3)
    found = prompts_needed(0.03, 1, Spread(seed=0.0, prompt=1 / 3, residual=(1 / 3) ** 0.5))
    assert wanted == pytest.approx(3875.99, abs=5e-3)
    assert found == pytest.approx(wanted, abs=3)


def test_a_pilots_answer_has_the_power_it_promises() -> None:
    """Seeds that a pilot asks for find the effect in about 80% of 1,000 simulated data sets."""
    from bench.statistics.tests.random_effects import crossed_effects

    spread, effect, prompts = Spread(seed=0.02, prompt=0.2, residual=0.3), 0.05, 200
    runs = seeds_needed(effect, prompts, spread)
    assert runs is not None
    generator = np.random.default_rng(7)
    values = (
        effect
        + generator.normal(0, spread.seed, (1000, 1, runs))
        + generator.normal(0, spread.prompt, (1000, prompts, 1))
        + generator.normal(0, spread.residual, (1000, prompts, runs))
    )
    assert 0.76 < float((crossed_effects(values).confidence.p_value(0.0) < 0.05).mean()) < 0.9
