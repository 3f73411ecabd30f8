"""The noise is Gumbel, the same everywhere, and independent over seeds, positions and token ids."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from bench.models.decoding.noise import gumbels, keys, token_words
from bench.models.decoding.sampling import uniforms

RARE = 1e-4  # of a test that passes: a wrong hash fails by far more
# As the definition gives them: another hash would be another seed for all that was drawn.
KNOWN = [0.7040214538574219, 0.28112274408340454, 0.11170574277639389, 1.5463112592697144]
SEEDS, POSITIONS, IDS = 64, 16, 1024


@pytest.fixture(scope="module")
def values() -> NDArray[np.float64]:
    """v of seeds that follow each other, positions and ids."""
    noise = torch.from_numpy(keys(range(SEEDS), POSITIONS)).flatten(0, 1)
    return uniforms(noise, IDS).double().numpy().reshape(SEEDS, POSITIONS, IDS)


def even(counts: NDArray[np.int64]) -> bool:
    return bool(stats.chisquare(counts.ravel()).pvalue > RARE)


@pytest.mark.parametrize(("seed", "position"), [(0, 0), (7, 3), (-5, 400), (2**63 + 11, 9), (2**64 - 1, 1)])
def test_numpy_and_torch_make_the_same_noise(seed: int, position: int) -> None:
    found = gumbels(seed, position, 50_000)
    uniform = uniforms(torch.from_numpy(keys([seed], position + 1)[:, position]), 50_000)[0]
    by_torch = -torch.log(-torch.log1p(-uniform))
    # The uniforms are equal to the bit; logarithms of two libraries may differ in the last digit.
    assert (-np.log(-np.log1p(-uniform.numpy())) == found).all()
    torch.testing.assert_close(by_torch, torch.from_numpy(found), rtol=3e-7, atol=5e-7)


def test_noise_is_gumbel_and_known() -> None:
    found = np.concatenate([gumbels(seed, 5, 20_000) for seed in range(20)])
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert stats.kstest(found.astype(np.float64), "gumbel_r").pvalue > RARE
    assert gumbels(1, 2, 4) == pytest.approx(KNOWN, abs=1e-6)


def test_noise_of_an_id_depends_on_seed_position_and_id_only() -> None:
    assert (gumbels(3, 7, 100) == gumbels(3, 7, 5000)[:100]).all()
    assert (keys([4, 3], 8)[1] == keys([3], 20)[0, :8]).all()
    assert (keys([-1], 3) == keys([2**64 - 1], 3)).all()
    assert len(np.unique(token_words(200_000))) > 199_990
    assert len({row.tobytes() for row in keys(range(500), 100).reshape(-1, 2)}) == 50_000


def test_values_are_uniform_and_small_ones_too(values: NDArray[np.float64]) -> None:
    assert values.min() > 0 and values.max() < 1
    assert even(np.bincount((values * 4096).astype(int).ravel(), minlength=4096))
    for scale in (2**8, 2**14):
        small = values[values < 1 / scale] * scale
        assert even(np.histogram(small, 16, (0, 1))[0])
    assert abs((values < 1e-4).sum() - values.size * 1e-4) < 5 * np.sqrt(values.size * 1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("lag", [1, 2, 8])
def test_neighbours_are_independent(values: NDArray[np.float64], axis: int, lag: int) -> None:
    count = values.shape[axis]
    one, other = (np.take(values, range(*span), axis).ravel() for span in ((count - lag,), (lag, count)))
    assert even(np.bincount((one * 32).astype(int) * 32 + (other * 32).astype(int), minlength=1024))
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)


def test_each_row_and_each_id_is_uniform_by_itself(values: NDArray[np.float64]) -> None:
    for rows in (values.reshape(-1, IDS)[::4], values.reshape(-1, IDS).T[::4]):
        found = [stats.kstest(row, "uniform").pvalue for row in rows]
        assert stats.kstest(found, "uniform").pvalue > RARE


def test_no_two_rows_are_alike(values: NDArray[np.float64]) -> None:
    rows = values.reshape(-1, IDS)
    alike = np.corrcoef(rows)[np.triu_indices(len(rows), 1)] * np.sqrt(IDS)
    assert np.abs(alike).max() < 6.5  # of half a million; 5.2 is expected
    assert alike.std() == pytest.approx(1, abs=0.01)


def test_every_id_wins_as_often(values: NDArray[np.float64]) -> None:
    assert even(np.bincount(values.argmin(-1).ravel() // 64, minlength=16))
    pairs = list(itertools.pairwise(values.argmin(-1).ravel() // 128))
    assert even(np.bincount([one * 8 + other for one, other in pairs], minlength=64))
