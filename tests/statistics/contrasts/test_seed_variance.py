"""The seeds' variance as a setting: which contrasts are moderated, what stands beside, and what stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.config.comparison import Arm
from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.tests.margin_tests import OWN_VARIANCE, PRIOR_DF, SEED_DF, SEED_VARIANCE, law_of_contrast
from tests.statistics.build import METRICS, Plain, comparison, rows, table


def family(arms: int, seeds: int, **settings: Any) -> list[Contrast]:
    """Return the contrasts of so many arms with one reference; the last arm's seeds are spread widely."""
    generator, records = np.random.default_rng(0), []
    names = [f"arm{number}" for number in range(arms)]
    for name in [*names, "ref"]:
        spread = 1.5 if name == names[-1] else 0.1
        values = generator.normal(0, 1, (60, 1)) + generator.normal(0, 0.5, (60, seeds))
        records += rows(name, values + generator.normal(0, spread, (1, seeds)))
    given = comparison([(name, "ref") for name in names], range(seeds), **settings)
    arms_of_it = [Arm(name=name, method=Plain(beta=1.0 + n), lora=None) for n, name in enumerate([*names, "ref"])]
    given = given.model_copy(update={"arms": tuple(arms_of_it)})
    return compute_contrasts(table(records), given, METRICS)


def test_both_laws_stand_in_each_contrast() -> None:
    shared, own = family(5, 3), family(5, 3, seed_variance="own")
    for moderated, plain in zip(shared, own, strict=True):
        assert moderated.also["own_p"] == plain.p and plain.also["moderated_p"] == moderated.p
        assert (moderated.also["own_low"], moderated.also["own_high"]) == (plain.low, plain.high)
        assert moderated.components[OWN_VARIANCE] == plain.components[SEED_VARIANCE]
        assert moderated.components[SEED_VARIANCE] >= moderated.components[OWN_VARIANCE] - 1e-12
        assert moderated.estimate == plain.estimate
        law = law_of_contrast(moderated)
        assert law is not None and moderated.p == float(law.p_value(0.0))
    # The widely spread one keeps its own law; some of the others gain.
    assert shared[-1].components[SEED_DF] == 2 and shared[-1].p == pytest.approx(own[-1].p)
    assert any(item.components[SEED_DF] > 2 for item in shared[:-1])
    assert all(item.components[PRIOR_DF] <= 0.75 * 2 * (5 / 2 - 1) + 1e-9 for item in shared)


@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (5, 2), (5, 1)])
def test_two_contrasts_or_two_seeds_keep_their_own_law(arms: int, seeds: int) -> None:
    assert family(arms, seeds) == family(arms, seeds, seed_variance="own")
