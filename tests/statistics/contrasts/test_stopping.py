from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.stopping import sequence_of
from tests.statistics.build import METRICS, comparison, rows, table, verdicts


def test_a_clear_difference_needs_few_prompts_and_equal_methods_are_never_sure() -> None:
    generator = np.random.default_rng(0)
    clear = generator.choice([0.0, 0.5, 1.0], p=[0.05, 0.15, 0.8], size=(400, 3))
    found = sequence_of(clear, np.arange(400), 0.5, 0.95, 0)
    assert found["sequence_prompts"] is not None and found["sequence_prompts"] < 60
    assert found["sequence_low"] is not None and found["sequence_low"] > 0.5
    even = np.tile([[0.0], [1.0]], (200, 3))
    assert sequence_of(even, np.arange(400), 0.5, 0.95, 0)["sequence_prompts"] is None


def test_stopping_where_it_is_sure_is_wrong_in_at_most_five_percent() -> None:
    """1,000 pairs of equal models: a judge who may be dismissed after every prompt."""
    generator, wrong = np.random.default_rng(1), 0
    for _ in range(1000):
        values = generator.choice([0.0, 0.5, 1.0], p=[0.4, 0.2, 0.4], size=(200, 1))
        wrong += sequence_of(values, np.arange(200), 0.5, 0.95, 0)["sequence_prompts"] is not None
    assert wrong / 1000 <= 0.05


def test_clusters_are_one_look_each() -> None:
    found = sequence_of(np.ones((60, 1)), np.repeat(np.arange(20), 3), 0.5, 0.95, 0)
    alone = sequence_of(np.ones((20, 1)), np.arange(20), 0.5, 0.95, 0)
    assert found["sequence_low"] == pytest.approx(alone["sequence_low"])
    assert found["sequence_prompts"] == 3 * (alone["sequence_prompts"] or 0)


def test_small_clusters_weigh_less_and_equal_models_stay_undecided() -> None:
    """500 pairs of equal models on clusters of one to six prompts that agree within."""
    generator, wrong, missed = np.random.default_rng(3), 0, 0
    for _ in range(500):
        codes = np.repeat(np.arange(80), generator.integers(1, 7, 80))
        values = generator.choice([0.0, 1.0], size=80)[codes][:, None]
        found = sequence_of(values, codes, 0.5, 0.95, 0)
        wrong += found["sequence_prompts"] is not None
        low, high = found["sequence_low"], found["sequence_high"]
        missed += low is None or high is None or not low <= 0.5 <= high
    assert wrong / 500 <= 0.05
    assert missed / 500 <= 0.05


def test_only_preferences_have_one() -> None:
    generator = np.random.default_rng(2)
    wins = (generator.random((50, 3)) < 0.7).astype(float)
    (win,) = compute_contrasts(table(verdicts("a", "b", wins, wins)), comparison(), METRICS)
    assert {"sequence_low", "sequence_high", "sequence_prompts"} <= set(win.also)
    scores = rows("a", generator.normal(0, 1, (50, 3))) + rows("b", generator.normal(0, 1, (50, 3)))
    (score,) = compute_contrasts(table(scores), comparison(), METRICS)
    assert "sequence_prompts" not in score.also
