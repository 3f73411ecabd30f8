from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.statistics.contrasts.analysis import AnalysisSettings, analyse
from bench.statistics.crossing.crossing import Crossing
from bench.statistics.length.pseudo_values import Model, at_equal_length
from bench.statistics.length.regression import length_controlled_win_rate
from bench.statistics.tests.random_effects import crossed_effects


def crossings(n: int, runs: int, seed: int = 0) -> tuple[Crossing, Crossing]:
    """Return preferences of a judge that likes length, for an arm that is longer but no better, and the lengths."""
    generator = np.random.default_rng(seed)
    own = np.exp(generator.normal(6.5, 0.4, (n, runs)))
    other = np.exp(generator.normal(6.0, 0.4, (n, runs)))
    delta = other - own
    chance = 1 / (1 + np.exp(1.5 * np.tanh(delta / delta.std())))
    prompts = tuple(f"p{number:04d}" for number in range(n))
    verdicts = Crossing(prompts, np.arange(n), (generator.random((n, runs)) < chance) * 1.0)
    return verdicts, Crossing(prompts, np.arange(n), own - other, own, other)


def test_one_run_is_the_plain_estimate_with_its_error() -> None:
    verdicts, lengths = crossings(400, 1)
    found = at_equal_length(verdicts, lengths, "glm").crossing
    known = length_controlled_win_rate(verdicts.values[:, 0], lengths.a_values[:, 0], lengths.b_values[:, 0])  # type: ignore[index]
    law = analyse(found, AnalysisSettings(0.5, (0.0, 1.0), 0.95, 200))
    assert law.estimate == pytest.approx(known.estimate / 100)
    assert law.standard_error == pytest.approx(known.standard_error / 100)  # type: ignore[operator]


def test_length_bias_is_removed_over_runs_with_its_coverage() -> None:
    """300 comparisons of three runs, of two arms that differ in length only, under a judge that likes length."""
    covered, estimates = 0, []
    for seed in range(300):
        verdicts, lengths = crossings(300, 3, seed)
        found = at_equal_length(verdicts, lengths, "glm").crossing
        law = crossed_effects(found.values).confidence
        low, high = law.interval(0.95)
        covered += low < 0.5 < high
        estimates.append(float(np.asarray(law.estimate)))
    assert np.mean(estimates) == pytest.approx(0.5, abs=0.01)
    assert covered / 300 >= 0.95 - 3 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.parametrize(("control", "share"), [("glm", 0.3), ("log_ratio", 0.3), ("ratio", 0.7), ("matched", 0.1)])
def test_what_is_left_of_the_bias(control: Model, share: float) -> None:
    verdicts, lengths = crossings(4000, 1)
    bias = verdicts.values.mean() - 0.5
    assert bias > 0.1
    found = at_equal_length(verdicts, lengths, control).crossing
    assert abs(found.values.mean() - 0.5) < share * bias


def test_prompts_are_joined_by_name() -> None:
    verdicts, lengths = crossings(100, 1)
    order = np.arange(100)[::-1]
    assert lengths.a_values is not None
    assert lengths.b_values is not None
    turned = Crossing(
        tuple(lengths.prompts[number] for number in order),
        lengths.clusters,
        lengths.values[order],
        lengths.a_values[order],
        lengths.b_values[order],
    )
    there, back = (at_equal_length(verdicts, one, "glm").crossing.values for one in (lengths, turned))
    assert there == pytest.approx(back)
    with pytest.raises(ValueError, match="no response length"):
        short = Crossing(
            lengths.prompts[:5], lengths.clusters[:5], lengths.values[:5], lengths.a_values[:5], lengths.b_values[:5]
        )
        at_equal_length(verdicts, short, "glm")


@pytest.mark.parametrize("control", ["glm", "ratio", "log_ratio"])
def test_a_seed_that_length_separates_leaves_an_estimate_and_no_test(control: Model) -> None:
    verdicts, lengths = crossings(200, 3)
    assert lengths.a_values is not None and lengths.b_values is not None
    values = verdicts.values.copy()
    values[:, 1] = lengths.a_values[:, 1] > lengths.b_values[:, 1]
    found = at_equal_length(dataclasses.replace(verdicts, values=values), lengths, control)
    law = analyse(found.crossing, AnalysisSettings(0.5, (0.0, 1.0), 0.95, 200))
    assert law.estimate is not None and (law.low, law.high, law.p, law.standard_error) == (None,) * 4
    assert "no finite error" in law.notes[0] and any("separated" in note for note in found.notes)
