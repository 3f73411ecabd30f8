from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats

from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import clustered_interval
from bench.statistics.tests.paired_binary import (
    Discordant,
    clustered_mcnemar,
    discordant,
    tango_interval,
    tango_score,
)
from bench.statistics.tests.random_effects import IntArray, cluster_sums
from bench.statistics.tests.significance import sign_flip


def durkalski_mcnemar(a: FloatArray, b: FloatArray, clusters: IntArray) -> float:
    """Return the p-value of the null of ``clustered_mcnemar`` with every cluster counted alike, whatever its size.

    (sum of (b_k - c_k)/n_k)^2 / sum of ((b_k - c_k)/n_k)^2, chi-square with one degree of freedom (Durkalski, Palesch,
    Lipsitz and Rust 2003, Stat. Med. 22:2417).
    """
    means = cluster_sums(a - b, clusters) / np.bincount(clusters)
    spread = float((means**2).sum())
    return 1.0 if spread == 0 else float(special.chdtrc(1, float(means.sum()) ** 2 / spread))


def score_by_search(counts: Discordant, difference: float) -> float:
    """The score statistic with the rate under the null found by maximising the likelihood numerically."""
    b, c, n, d = counts.first, counts.second, counts.n, difference

    def loss(rate: float) -> float:
        rest = 1 - 2 * rate - d
        return -float(special.xlogy(b, rate + d) + special.xlogy(c, rate) + special.xlogy(n - b - c, rest))

    bounds = (max(0.0, -d) + 1e-12, (1 - d) / 2 - 1e-12)
    rate = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    return float((b - c - n * d) / np.sqrt(n * (2 * rate + d * (1 - d))))


@pytest.mark.parametrize("counts", [Discordant(40, 20, 160), Discordant(1, 7, 21), Discordant(5, 0, 50)])
@pytest.mark.parametrize("difference", [-0.4, -0.1, 0.05, 0.3])
def test_score_is_that_of_the_constrained_maximum(counts: Discordant, difference: float) -> None:
    assert tango_score(counts, difference) == pytest.approx(score_by_search(counts, difference), abs=2e-4)


def test_interval_ends_where_the_score_test_rejects() -> None:
    for counts in (Discordant(40, 20, 160), Discordant(1, 7, 21), Discordant(0, 12, 12)):
        low, high = tango_interval(counts, 0.95)
        assert -1 <= low <= counts.difference <= high <= 1
        for end, sign in ((low, 1), (high, -1)):
            if abs(end) < 1:
                assert sign * tango_score(counts, end) == pytest.approx(1.959964, abs=1e-5)


def test_airway_responsiveness_before_and_after() -> None:
    """Bentur et al. 2009, as in Fagerland, Lydersen and Laake 2017, ch. 8: 1 and 7 of 21 pairs are discordant."""
    low, high = tango_interval(Discordant(1, 7, 21), 0.95)
    assert (low, high) == (pytest.approx(-0.517, abs=5e-4), pytest.approx(-0.026, abs=5e-4))


def test_at_no_difference_it_is_mcnemars_chi_square() -> None:
    assert tango_score(Discordant(40, 20, 160), 0.0) ** 2 == pytest.approx(20**2 / 60)


def test_without_any_discordant_prompt_there_is_still_a_width() -> None:
    """(z^2 / n) / (1 + z^2 / n) on either side, by hand from the definition."""
    low, high = tango_interval(Discordant(0, 0, 40), 0.95)
    z2 = stats.norm.ppf(0.975) ** 2 / 40
    assert (low, high) == (pytest.approx(-z2 / (1 + z2)), pytest.approx(z2 / (1 + z2)))


def test_exchanging_the_sides_mirrors_it() -> None:
    low, high = tango_interval(Discordant(9, 3, 60), 0.9)
    assert tango_interval(Discordant(3, 9, 60), 0.9) == (pytest.approx(-high), pytest.approx(-low))


@pytest.mark.parametrize(("prompts", "p", "q"), [(30, 0.05, 0.05), (30, 0.10, 0.03), (200, 0.02, 0.02)])
def test_tango_covers_where_few_prompts_are_discordant(prompts: int, p: float, q: float) -> None:
    """All outcomes of the trinomial law, weighted: exact coverage of the 95% interval."""
    covered = 0.0
    for b in range(prompts + 1):
        for c in range(prompts + 1 - b):
            weight = float(stats.multinomial.pmf([b, c, prompts - b - c], prompts, [p, q, 1 - p - q]))
            if weight > 1e-6:
                low, high = tango_interval(Discordant(b, c, prompts), 0.95)
                covered += weight * (low <= p - q <= high)
    assert 0.935 <= covered <= 0.99


def of_clusters(generator: np.random.Generator, clusters: int, within: float) -> tuple[np.ndarray, ...]:
    """Two equally good methods; each cluster of 1 to 8 prompts leans to one of them."""
    codes = np.repeat(np.arange(clusters), generator.integers(1, 9, clusters))
    chance = special.expit(generator.normal(0, within, clusters))[codes]
    differs = generator.random(len(codes)) < 0.4
    first = (generator.random(len(codes)) < chance).astype(float)
    shared = (generator.random(len(codes)) < 0.5).astype(float)
    return np.where(differs, first, shared), np.where(differs, 1 - first, shared), codes


@pytest.mark.parametrize("clusters", [20, 60])
def test_clustered_tests_keep_five_percent_where_mcnemars_own_does_not(clusters: int) -> None:
    generator = np.random.default_rng(0)
    rejected = dict.fromkeys(("yang", "durkalski", "flips", "plain"), 0)
    for _ in range(1000):
        a, b, codes = of_clusters(generator, clusters, 1.5)
        counts = discordant(a, b)
        rejected["yang"] += clustered_mcnemar(a, b, codes) < 0.05
        rejected["durkalski"] += durkalski_mcnemar(a, b, codes) < 0.05
        rejected["plain"] += tango_score(counts, 0.0) ** 2 > stats.chi2.ppf(0.95, 1)
        if clusters == 20:
            rejected["flips"] += sign_flip(a - b, codes, 0.0, 300, 0) < 0.05
    allowed = 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5
    for name in ("yang", "durkalski", "flips"):
        assert rejected[name] / 1000 <= allowed, name
    assert rejected["plain"] / 1000 > allowed


def test_formulas_by_hand() -> None:
    """Clusters of three and two prompts: sums of a - b are 2 and -1, of five prompts."""
    a, b = np.array([1.0, 1.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    codes = np.array([0, 0, 0, 1, 1])
    spread = ((2 - 3 * 0.2) ** 2 + (-1 - 2 * 0.2) ** 2 + 4 + 1) / 2
    assert clustered_mcnemar(a, b, codes) == pytest.approx(stats.chi2.sf(0.5 * 1 / spread, 1))
    means = (2 / 3, -1 / 2)
    assert durkalski_mcnemar(a, b, codes) == pytest.approx(
        stats.chi2.sf(sum(means) ** 2 / sum(value**2 for value in means), 1)
    )
    assert clustered_mcnemar(a, a, codes) == durkalski_mcnemar(a, a, codes) == 1.0


@pytest.mark.data
def test_truthfulqa_by_category(real_data: Path) -> None:
    """ada against davinci: (79, 185, 113, 440); by its 38 categories the difference is far less certain."""
    folder = real_data / "truthfulqa"
    if not (folder / "pred_ada.csv").is_file():
        pytest.skip("no TruthfulQA predictions there")
    answers = []
    for model in ("ada", "davinci"):
        with (folder / f"pred_{model}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        answers.append(np.array([float(row["pred"]) for row in rows]))
    codes = np.unique([row["category"] for row in rows], return_inverse=True)[1]
    ada, davinci = answers
    assert (ada.mean(), davinci.mean()) == (pytest.approx(0.323133, abs=1e-6), pytest.approx(0.235006, abs=1e-6))
    counts = discordant(ada, davinci)
    assert (counts.first, counts.second, counts.n) == (185, 113, 817)
    assert counts.difference == pytest.approx(0.088127, abs=1e-6)
    low, high = tango_interval(counts, 0.95)
    wald = 1.959964 * 0.020916
    assert (low, high) == (pytest.approx(0.088127 - wald, abs=1e-3), pytest.approx(0.088127 + wald, abs=1e-3))
    assert tango_score(counts, 0.0) ** 2 == pytest.approx((185 - 113) ** 2 / 298)
    by_cluster = clustered_mcnemar(ada, davinci, codes)
    assert 0.003 < by_cluster < 0.02
    assert clustered_interval(ada - davinci, codes, 0.95) == (
        pytest.approx(0.088127 - 2.026192 * 0.032312, abs=2e-5),
        pytest.approx(0.088127 + 2.026192 * 0.032312, abs=2e-5),
    )
