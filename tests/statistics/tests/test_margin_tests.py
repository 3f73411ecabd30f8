from __future__ import annotations

import pytest
from scipy import stats

from bench.results.conclusions.contrast import Contrast
from bench.statistics.tests import margin_tests as margins


def contrast(**changes: object) -> Contrast:
    fields: dict[str, object] = {
        "a": "a", "b": "b", "task": "quiz", "metric": "score", "judge": None, "estimate": 0.1, "low": 0.0, "high": 0.2,
        "level": 0.95, "null_value": 0.0, "p": 0.05, "p_adjusted": 0.05, "test": "t", "standard_error": 0.05,
        "degrees_of_freedom": 20.0, "smallest_detectable": None, "mean_a": 0.6, "mean_b": 0.5, "n_prompts": 21,
        "n_runs": 1, "n_missing": 0, "speaks_about": "these trained models", "verdict": "undecided", "family": "score",
        "higher_is_better": True,
    }  # fmt: skip
    return Contrast.model_validate({**fields, **changes})


def test_one_sided_tests_by_hand() -> None:
    law = margins.from_t(0.1, 0.05, 20)
    assert margins.superiority_p(law) == pytest.approx(stats.t.sf(2.0, 20))
    assert margins.superiority_p(law, 0.05) == pytest.approx(stats.t.sf(1.0, 20))
    assert margins.non_inferiority_p(law, 0.05) == pytest.approx(stats.t.sf(3.0, 20))
    assert margins.inferiority_p(law, 0.05) == pytest.approx(stats.t.cdf(3.0, 20))
    assert margins.equivalence_p(law, 0.2) == pytest.approx(stats.t.sf(2.0, 20))
    low, high = margins.one_sided_bounds(law, 0.95)
    assert margins.superiority_p(law, low) == pytest.approx(0.05)
    assert margins.inferiority_p(law, -high) == pytest.approx(0.05)


def test_advantage_follows_the_direction() -> None:
    up, down = margins.advantage(contrast()), margins.advantage(contrast(higher_is_better=False))
    assert up is not None and down is not None
    assert (up.estimate, down.estimate) == (0.1, -0.1)
    assert margins.superiority_p(up) == pytest.approx(margins.inferiority_p(down))


def test_advantage_takes_the_null_value_away() -> None:
    law = margins.advantage(contrast(metric="win_rate", estimate=0.6, null_value=0.5))
    assert law is not None
    assert law.estimate == pytest.approx(0.1)


def test_advantage_is_the_law_behind_p() -> None:
    parts = {"run_variance_of_mean": 0.001, "prompt_variance_of_mean": 0.0015, "prompt_df": 20.0}
    law = margins.advantage(contrast(n_runs=3, components=parts))
    assert law is not None
    assert (law.seed_df, law.seed_variance, law.prompt_df) == (2, 0.001, 20.0)


@pytest.mark.parametrize(
    "changes", [{"higher_is_better": None}, {"standard_error": None}, {"estimate": None}, {"degrees_of_freedom": None}]
)
def test_no_law_where_nothing_can_be_tested(changes: dict[str, object]) -> None:
    assert margins.advantage(contrast(**changes)) is None


@pytest.mark.parametrize(
    ("difference", "error", "bounds"),
    [(0.2029, 0.7480, (-1.029, 1.435)), (-0.8910, 0.6273, (-1.924, 0.142)), (-5.8564, 1.3919, (-8.149, -3.564))],
)
def test_published_non_inferiority_cases(difference: float, error: float, bounds: tuple[float, float]) -> None:
    """AlpacaEval raw win rates of 805 prompts: claude-2 - claude, vicuna-13b - v1.5, FuseChat-Qwen - FuseChat-Gemma."""
    law = margins.from_t(difference, error, 804)
    assert margins.one_sided_bounds(law, 0.95) == pytest.approx(bounds, abs=1.1e-3)
    passes = {margin: margins.non_inferiority_p(law, margin) < 0.05 for margin in (1.0, 2.0)}
    regresses = margins.inferiority_p(law, 2.0) < 0.05
    if difference < -5:
        assert regresses
        assert not any(passes.values())
    else:
        assert passes == {1.0: False, 2.0: True}
        assert not regresses
