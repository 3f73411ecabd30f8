from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.tests.corrections import adjusted, benjamini_hochberg, holm

# Six pairwise McNemar p-values of four models' TruthfulQA answers.
RAW = [0.013787, 5.533e-5, 3.602e-5, 0.085550, 0.056683, 0.883771]


def test_holm_on_known_values() -> None:
    assert holm(RAW) == pytest.approx([0.055148, 0.000277, 0.000216, 0.171101, 0.170050, 0.883771], abs=2e-6)


def test_benjamini_hochberg_on_known_values() -> None:
    assert benjamini_hochberg(RAW) == pytest.approx(
        [0.027574, 0.000166, 0.000166, 0.102660, 0.085025, 0.883771], abs=2e-6
    )


def test_order_does_not_matter_and_none_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(6)
    shuffled = [RAW[i] for i in order]
    assert holm(shuffled) == [holm(RAW)[i] for i in order]
    assert adjusted(RAW, "none") == RAW
    assert adjusted(RAW, "holm") == holm(RAW)
    assert adjusted(RAW, "benjamini_hochberg") == benjamini_hochberg(RAW)


@pytest.mark.parametrize("correction", ["holm", "benjamini_hochberg", "none"])
def test_empty_and_single_families(correction: str) -> None:
    assert adjusted([], correction) == []  # type: ignore[arg-type]
    assert adjusted([0.03], correction) == pytest.approx([0.03])  # type: ignore[arg-type]


def test_holm_never_leaves_the_unit_interval() -> None:
    assert holm([0.9, 0.8, 0.7]) == [1.0, 1.0, 1.0]
