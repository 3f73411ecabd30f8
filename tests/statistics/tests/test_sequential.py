from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import DataError
from bench.statistics.tests.sequential import confidence_sequence
from tests.statistics.alpaca import read


def test_never_misses_while_looking_every_time_and_peeking_at_intervals_does() -> None:
    """400 runs of 805 looks at p = 0.3: the sequence misses in at most 5%, a 95% interval at each 5th look far more."""
    generator, missed, peeking = np.random.default_rng(0), 0, 0
    times = np.arange(1, 806)
    for _ in range(400):
        x = (generator.random(805) < 0.3).astype(float)
        found = confidence_sequence(x)
        missed += bool(((found.low > 0.3) | (found.high < 0.3)).any())
        mean = np.cumsum(x) / times
        error = np.sqrt(mean * (1 - mean) / times)
        peeking += bool((np.abs(mean - 0.3) > 1.96 * error)[19::5].any())
    assert missed / 400 <= 0.05
    assert peeking / 400 > 0.2


def test_a_difference_is_decided_early() -> None:
    generator = np.random.default_rng(0)
    better = generator.choice([-1.0, 0.0, 1.0], p=[0.1, 0.3, 0.6], size=805)
    side, needed = confidence_sequence(better, bounds=(-1.0, 1.0)).decision(0.0)
    assert side == "above"
    assert needed < 200
    even = generator.choice([-1.0, 0.0, 1.0], p=[0.35, 0.3, 0.35], size=805)
    assert confidence_sequence(even, bounds=(-1.0, 1.0)).decision(0.0) == ("undecided", 805)


def test_bounds_narrow_and_never_cross() -> None:
    drifting = np.repeat([0.0, 1.0], 400)
    found = confidence_sequence(drifting)
    assert np.all(np.diff(found.low) >= 0)
    assert np.all(found.low <= found.high)
    with pytest.raises(DataError, match="from 0 to 1"):
        confidence_sequence(np.array([0.5, 1.5]))
    with pytest.raises(DataError):
        confidence_sequence(np.array([]))


@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "low", "high"), [("FuseChat-Gemma-2-9B-Instruct", 0.674, 0.764), ("claude-2.1", 0.111, 0.181)]
)
def test_price_on_real_judgements(real_data: Path, model: str, low: float, high: float) -> None:
    found = confidence_sequence(read(real_data).models[model].preference.clip(0, 1))
    assert found.low[-1] == pytest.approx(low, abs=6e-4)
    assert found.high[-1] == pytest.approx(high, abs=6e-4)
