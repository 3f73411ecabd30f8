from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import DataError
from bench.statistics.tests.chance_agreement import cohen_kappa, krippendorff_alpha

# Krippendorff 2011, example C: four observers, twelve units, missing values.
N = np.nan
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)


@pytest.mark.parametrize(("scale", "known"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_own_example(scale: str, known: float) -> None:
    found = krippendorff_alpha(EXAMPLE, scale)  # type: ignore[arg-type]
    assert found.estimate == pytest.approx(known, abs=6e-4)
    assert found.units == 11
    assert found.low is not None
    assert found.low < known


def test_kappa_by_hand() -> None:
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(a, b)
    assert found.estimate == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.4 < found.high


def test_kappa_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 4, 200), generator.integers(0, 4, 200)
    assert cohen_kappa(a, b).estimate == pytest.approx(metrics.cohen_kappa_score(a, b))


def test_perfect_and_undefined_agreement() -> None:
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]], "ordinal").estimate == pytest.approx(1.0)
    assert krippendorff_alpha([[1, 1], [1, 1]], "nominal").estimate is None
    assert cohen_kappa(["a", "a"], ["a", "a"]).estimate is None
    with pytest.raises(DataError, match="two ratings"):
        krippendorff_alpha([[1, N], [N, 2]], "nominal")
    with pytest.raises(DataError, match="two ratings"):
        cohen_kappa(["a"], ["a", "b"])


def test_intervals_cover() -> None:
    """300 samples of 80 units: both raters copy the truth with probability 0.7; true kappa = alpha = 0.49."""
    generator, missed = np.random.default_rng(0), [0, 0]
    for _ in range(300):
        truth = generator.integers(0, 2, 80)
        a, b = (np.where(generator.random(80) < 0.7, truth, generator.integers(0, 2, 80)) for _ in range(2))
        found = cohen_kappa(a, b, resamples=400), krippendorff_alpha([a, b], "nominal", resamples=400)
        for place, one in enumerate(found):
            assert one.low is not None
            assert one.high is not None
            missed[place] += not one.low <= 0.49 <= one.high
    error = 3 * (0.05 * 0.95 / 300) ** 0.5
    assert max(missed) / 300 <= 0.05 + error + 0.01


def test_clusters_are_drawn_again_together() -> None:
    """Units that repeat each other carry no news: the interval is that of the clusters, not a narrower one."""
    rng = np.random.default_rng(5)
    a = rng.integers(0, 2, 60)
    b = np.where(rng.random(60) < 0.2, 1 - a, a)
    repeated = [np.repeat(each, 5) for each in (a, b)]
    clusters = np.repeat(np.arange(60), 5)
    for measure in (cohen_kappa, lambda x, y, **more: krippendorff_alpha([x, y], "nominal", **more)):
        one, whole = measure(a, b), measure(*repeated, clusters=clusters)
        assert whole.estimate == pytest.approx(one.estimate, abs=0.02)
        assert (whole.low, whole.high) == pytest.approx((one.low, one.high), abs=0.02)
        blind = measure(*repeated)
        assert blind.high - blind.low < 0.6 * (whole.high - whole.low)
