from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from bench.core.errors import DataError
from bench.statistics.ranking.bradley_terry import bradley_terry, rank_intervals

HAIKU = "claude-3-haiku-20240307"
OUTCOME = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5}


@pytest.mark.data
def test_arena_hard(real_data: Path) -> None:
    folder = real_data / "arena_hard"
    if not (folder / "bt_expected.csv").is_file():
        pytest.skip(f"no Arena-Hard battles in {folder}")
    rows = [json.loads(line) for line in (folder / "arena_hard_battles_2136.jsonl").read_text().split("\n") if line]
    names = [row["model_a"] for row in rows], [row["model_b"] for row in rows]
    outcome = [OUTCOME[row["winner"]] for row in rows]
    clustered = bradley_terry(*names, outcome, [row["question_id"] for row in rows], anchor=HAIKU)
    alone = bradley_terry(*names, outcome, anchor=HAIKU)
    with (folder / "bt_expected.csv").open(newline="") as file:
        expected = {row["model"]: row for row in csv.DictReader(file)}
    assert set(expected) == set(clustered.names)
    assert clustered.connected
    for place, name in enumerate(clustered.names):
        known = {key: float(value) for key, value in expected[name].items() if key != "model"}
        assert clustered.theta[place] == pytest.approx(known["theta"], abs=1e-6)
        assert clustered.elo[place] == pytest.approx(known["elo"], abs=1e-3)
        assert clustered.win_probability[place] == pytest.approx(known["winprob_vs_haiku"], abs=1e-6)
        assert clustered.standard_errors[place] == pytest.approx(known["sand_cluster"], abs=1e-6)
        assert alone.standard_errors[place] == pytest.approx(known["sand_iid"], abs=1e-6)
    ranks = dict(zip(clustered.names, rank_intervals(clustered.theta, clustered.covariance), strict=True))
    assert ranks[HAIKU] == (5, 5)
    assert ranks["claude-3-5-sonnet-20240620"][0] == 1


def test_two_methods_are_the_logit_of_the_share() -> None:
    found = bradley_terry(["b"] * 10, ["a"] * 10, [1, 1, 1, 1, 1, 1, 0, 0, 0, 0.5])
    assert found.theta[1] == pytest.approx(special.logit(0.65))
    assert found.theta[0] == 0.0


def test_weights_are_not_observations() -> None:
    first, second, outcome = ["a", "b", "a", "b", "a", "a"], ["b", "a", "b", "a", "b", "b"], [1, 1, 0, 1, 1, 0.5]
    weighted = bradley_terry(first, second, outcome, weights=[3, 1, 1, 1, 1, 1])
    copies = bradley_terry([*first, "a", "a"], [*second, "b", "b"], [*outcome, 1, 1], clusters=[0, 1, 2, 3, 4, 5, 0, 0])
    assert weighted.theta == pytest.approx(copies.theta)
    assert weighted.standard_errors == pytest.approx(copies.standard_errors)


def test_unconnected_methods_are_found_and_the_fit_is_finite() -> None:
    found = bradley_terry(["a", "b", "a", "c", "d"], ["b", "a", "c", "d", "c"], [1, 1, 1, 1, 1])
    assert found.groups == (("a", "b"), ("c", "d"))
    assert not found.connected
    assert np.isfinite(found.theta).all()


def test_agrees_with_choix() -> None:
    choix = pytest.importorskip("choix", reason="choix is not installed")
    generator = np.random.default_rng(0)
    pairs = [tuple(generator.choice(5, 2, replace=False)) for _ in range(300)]
    theirs = choix.opt_pairwise(5, pairs, alpha=1e-9)
    ours = bradley_terry([str(a) for a, _ in pairs], [str(b) for _, b in pairs], np.ones(300))
    assert ours.theta == pytest.approx(theirs - theirs[0], abs=1e-5)


def test_agrees_with_a_logistic_regression() -> None:
    models = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 4, 400), generator.integers(0, 4, 400)
    kept = first != second
    first, second = first[kept], second[kept]
    clusters = generator.integers(0, 40, len(first))
    true = np.array([0.0, 0.3, 0.6, 1.0])
    outcome = (generator.random(len(first)) < special.expit(true[first] - true[second])).astype(float)
    features = np.zeros((len(first), 4))
    features[np.arange(len(first)), first] += 1
    features[np.arange(len(first)), second] -= 1
    theirs = models.GLM(outcome, features[:, 1:], family=models.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    ours = bradley_terry(first.astype(str), second.astype(str), outcome, clusters)
    assert ours.theta[1:] == pytest.approx(theirs.params, abs=1e-7)
    assert ours.standard_errors[1:] == pytest.approx(theirs.bse, rel=1e-5)


def test_wrong_battles_are_refused() -> None:
    with pytest.raises(DataError, match="itself"):
        bradley_terry(["a"], ["a"], [1])
    with pytest.raises(DataError, match="outcome is not"):
        bradley_terry(["a", "b"], ["b", "a"], [1, 2])
    with pytest.raises(DataError, match="Did you mean"):
        bradley_terry(["alpha", "beta"], ["beta", "alpha"], [1, 1], anchor="alpah")
    with pytest.raises(DataError, match="one cluster"):
        bradley_terry(["a", "b"], ["b", "a"], [1, 1], clusters=[0, 0])


def simulated(
    generator: np.random.Generator, true: np.ndarray, prompts: int
) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Return a round-robin on each prompt, with a liking of the prompt for each method that its battles share."""
    count = len(true)
    a, b = (np.tile(side, prompts) for side in np.triu_indices(count, 1))
    codes = np.repeat(np.arange(prompts), count * (count - 1) // 2)
    liking = generator.normal(0, 1, (prompts, count))
    gap = true[a] - true[b] + liking[codes, a] - liking[codes, b]
    return a.astype(str).tolist(), b.astype(str).tolist(), (generator.random(len(a)) < special.expit(gap)) * 1.0, codes


def test_clustered_errors_and_ranks_keep_their_promise() -> None:
    """300 tournaments of five equal methods: A/A tests of a difference, and the intervals on ranks."""
    generator, rejected, naive, missed = np.random.default_rng(4), 0, 0, 0
    for _ in range(300):
        first, second, outcome, codes = simulated(generator, np.zeros(5), 80)
        found, alone = bradley_terry(first, second, outcome, codes), bradley_terry(first, second, outcome)
        rejected += abs(found.theta[4]) > 1.96 * found.standard_errors[4]
        naive += abs(alone.theta[4]) > 1.96 * alone.standard_errors[4]
        missed += any(low > 1 or high < 5 for low, high in rank_intervals(found.theta, found.covariance, draws=4000))
    error = 3 * (0.05 * 0.95 / 300) ** 0.5
    assert abs(rejected / 300 - 0.05) <= error
    assert missed / 300 <= 0.05 + error + 0.01  # normal, not t, critical values: 80 prompts
    assert naive > rejected


def test_clear_ranks_are_told_apart() -> None:
    assert rank_intervals([3.0, 2.0, 1.0], np.diag([1e-4] * 3)) == [(1, 1), (2, 2), (3, 3)]
    assert rank_intervals([3.0, 2.9, 1.0], np.diag([0.01] * 3)) == [(1, 2), (1, 2), (3, 3)]
    assert rank_intervals([1.0, 1.0], np.zeros((2, 2))) == [(1, 2), (1, 2)]
