from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from bench.core.errors import DataError
from bench.statistics.ranking.bradley_terry import bradley_terry
from bench.statistics.ranking.davidson import davidson


def simulated(
    generator: np.random.Generator, theta: np.ndarray, nu: float, battles: int
) -> tuple[list[str], list[str], np.ndarray]:
    """Return battles between random pairs from the model itself."""
    first = generator.integers(0, len(theta), battles)
    second = (first + generator.integers(1, len(theta), battles)) % len(theta)
    half = np.exp((theta[first] - theta[second]) / 2)
    total = half + 1 / half + nu
    drawn = generator.random(battles)
    outcome = np.where(drawn < half / total, 1.0, np.where(drawn < (half + nu) / total, 0.5, 0.0))
    return [f"m{i}" for i in first], [f"m{i}" for i in second], outcome


def log_likelihood(
    at: np.ndarray, first: np.ndarray, second: np.ndarray, outcome: np.ndarray, share: np.ndarray
) -> float:  # fmt: skip
    """Davidson's likelihood as the paper writes it, with pi = exp(theta)."""
    pi, nu = np.exp(np.append(0.0, at[:-1])), np.exp(at[-1])
    root = np.sqrt(pi[first] * pi[second])
    total = pi[first] + pi[second] + nu * root
    chosen = np.where(outcome == 1, pi[first], np.where(outcome == 0, pi[second], nu * root))
    return float((share * np.log(chosen / total)).sum())


def test_is_the_maximum_of_the_papers_likelihood() -> None:
    generator = np.random.default_rng(0)
    names = simulated(generator, np.array([0.0, 0.5, -0.7, 1.2]), 0.8, 500)
    share = generator.choice([1.0, 3.0], 500)
    found = davidson(*names, weights=share)
    a, b = (np.array([int(name[1]) for name in side]) for side in names[:2])
    best = optimize.minimize(
        lambda at: -log_likelihood(at, a, b, names[2], share), np.zeros(4), method="BFGS", options={"gtol": 1e-8}
    )
    assert found.theta[1:] == pytest.approx(best.x[:3], abs=1e-5)
    assert found.tie_strength == pytest.approx(np.exp(best.x[3]), rel=1e-5)


def test_errors_are_those_of_the_information_where_the_model_is_true() -> None:
    generator = np.random.default_rng(1)
    names = simulated(generator, np.array([0.0, 0.4, -0.4]), 1.0, 6000)
    found = davidson(*names)
    a, b = (np.array([int(name[1]) for name in side]) for side in names[:2])
    at = np.append(found.theta[1:], np.log(found.tie_strength or 1.0))
    hessian, step = np.zeros((3, 3)), 1e-3
    for i in range(3):
        for j in range(3):
            signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            terms = [
                si
                * sj
                * log_likelihood(at + step * (si * np.eye(3)[i] + sj * np.eye(3)[j]), a, b, names[2], np.ones(1))
                for si, sj in signs
            ]
            hessian[i, j] = -sum(terms) / (4 * step**2)
    known = np.sqrt(np.diag(np.linalg.inv(hessian)))[:2]
    assert found.standard_errors[1:] == pytest.approx(known, rel=0.05)
    assert found.influence.sum(axis=0) == pytest.approx(0, abs=1e-8)


def test_swapping_sides_changes_nothing_and_copies_with_one_cluster_neither() -> None:
    generator = np.random.default_rng(2)
    first, second, outcome = simulated(generator, np.array([0.0, 0.5, 1.0]), 0.7, 300)
    plain = davidson(first, second, outcome)
    turned = davidson(second, first, 1 - outcome)
    assert turned.theta == pytest.approx(plain.theta, abs=1e-9)
    assert turned.standard_errors == pytest.approx(plain.standard_errors, abs=1e-9)
    twice = davidson(first * 2, second * 2, np.tile(outcome, 2), clusters=np.tile(np.arange(300), 2))
    assert twice.theta == pytest.approx(plain.theta, abs=1e-9)
    assert twice.standard_errors == pytest.approx(plain.standard_errors, abs=1e-9)


def test_ties_do_not_draw_methods_together() -> None:
    """Odds of a win against a loss stay 3:1 however many ties there are; half wins shrink them."""
    few, many = [1.0] * 30 + [0.0] * 10 + [0.5] * 10, [1.0] * 30 + [0.0] * 10 + [0.5] * 200
    for outcome in (few, many):
        found = davidson(["b"] * len(outcome), ["a"] * len(outcome), outcome)
        assert found.theta[1] == pytest.approx(np.log(3))
        # nu is fitted to the share of ties, and the expected score is the mean outcome.
        assert found.win_probability[1] == pytest.approx(np.mean(outcome))
    assert bradley_terry(["b"] * 240, ["a"] * 240, many).theta[1] < 0.4


def test_equal_methods_are_told_apart_in_five_percent() -> None:
    """500 tournaments of four equal methods; each prompt likes some of them better."""
    generator, rejected = np.random.default_rng(3), 0
    a, b = (np.tile(side, 60) for side in np.triu_indices(4, 1))
    codes = np.repeat(np.arange(60), 6)
    for _ in range(500):
        liking = generator.normal(0, 1, (60, 4))
        half = np.exp((liking[codes, a] - liking[codes, b]) / 2)
        drawn, total = generator.random(len(a)), half + 1 / half + 1
        outcome = np.where(drawn < half / total, 1.0, np.where(drawn < (half + 1) / total, 0.5, 0.0))
        found = davidson([str(i) for i in a], [str(i) for i in b], outcome, codes)
        rejected += abs(found.theta[3]) > 2.0 * found.standard_errors[3]  # t of 59 degrees
    assert abs(rejected / 500 - 0.05) <= 3 * (0.05 * 0.95 / 500) ** 0.5


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="wins"):
        davidson(["a", "a"], ["b", "b"], [1, 0])
    with pytest.raises(DataError, match="wins"):
        davidson(["a", "a"], ["b", "b"], [0.5, 0.5])
    with pytest.raises(DataError, match="wins"):
        davidson(["a", "a"], ["b", "b"], [0.5, 0.3])
    with pytest.raises(DataError, match="Did you mean"):
        davidson(["alpha", "beta"], ["beta", "alpha"], [1, 0.5], anchor="alpah")


def test_unconnected_methods_are_found() -> None:
    found = davidson(["a", "a", "b", "b", "b"], ["b", "b", "c", "c", "c"], [1, 1, 0.5, 1, 0])
    assert found.groups == (("a",), ("b", "c"))
    assert np.isfinite(found.theta).all()


def test_battles_without_any_upset_have_no_maximum() -> None:
    with pytest.raises(DataError, match="half wins"):
        davidson(["a", "a", "c", "a"], ["b", "b", "b", "c"], [0.5, 1, 1, 0.5])


@pytest.mark.data
def test_arena_hard_with_ties(real_data: Path) -> None:
    path = real_data / "arena_hard" / "arena_hard_battles_2136.jsonl"
    if not path.is_file():
        pytest.skip(f"no Arena-Hard battles at {path}")
    rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    outcome = [{"model_a": 1.0, "model_b": 0.0, "tie": 0.5}[row["winner"]] for row in rows]
    names = [row["model_a"] for row in rows], [row["model_b"] for row in rows]
    questions = [row["question_id"] for row in rows]
    haiku = "claude-3-haiku-20240307"
    ours = davidson(*names, outcome, questions, anchor=haiku)
    halves = bradley_terry(*names, outcome, questions, anchor=haiku)
    assert np.argsort(ours.theta).tolist() == np.argsort(halves.theta).tolist()
    assert ours.win_probability == pytest.approx(halves.win_probability, abs=0.02)
    assert (np.abs(ours.theta) >= np.abs(halves.theta) - 1e-9).all()
