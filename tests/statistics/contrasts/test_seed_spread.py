"""Every arm's seeds: how far they lie apart, which arm is unlike the others, and what the report says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from bench.report.inputs import Inputs
from bench.report.page.content import Bullets, Heading, Table
from bench.report.sections.variance import variance_section
from bench.results.conclusions.all import Conclusions
from bench.results.conclusions.contrast import primary_of
from bench.results.summary import RunSummary
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.seed_variance import seed_spreads
from bench.statistics.power.decomposition import decompositions
from tests.statistics.build import METRICS, Coin, comparison, rows, table, verdicts

PAIRS = [("a", "b"), ("c", "b"), ("a_again", "b")]


def concluded(spreads: Mapping[str, float], seed: int = 0) -> Conclusions:
    """Return what is concluded of arms whose seeds spread so far (exactly: 1, 0 and -1 times it)."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(0, 1, (40, 1))
    given = table(
        [
            row
            for arm, sd in spreads.items()
            for row in rows(arm, shared + generator.normal(0, 0.02, (40, 3)) + sd * generator.permutation([-1, 0, 1]))
        ]
    )
    settings = comparison(PAIRS)
    contrasts = tuple(compute_contrasts(given, settings, METRICS))
    found = primary_of(contrasts)
    spreads_seen = seed_spreads(given, found, None)
    return Conclusions(contrasts=contrasts, variance=decompositions(found, None), seed_spreads=spreads_seen)


def shown(found: Conclusions) -> tuple[Table, list[str]]:
    """Return the table of the report and the warnings."""
    inputs = Inputs(comparison(PAIRS), cast(RunSummary, None), found, pa.table({}))
    blocks = variance_section(inputs)
    at = next(place for place, block in enumerate(blocks) if block == Heading(3, "How far seeds lie apart"))
    (given,) = (block for block in blocks[at : at + 3] if isinstance(block, Table))
    lines = [line for block in blocks[at:] if isinstance(block, Bullets) for line in block.items]
    return given, [line for line in lines if line.startswith("Warning")]


def test_every_arm_has_its_spread_and_a_strange_one_is_warned_of() -> None:
    found = concluded({"a": 0.5, "b": 0.01, "c": 0.01, "a_again": 0.01})
    by_arm = {item.arm: item for item in found.seed_spreads}
    assert list(by_arm) == ["a", "b", "c", "a_again"]
    assert by_arm["a"].sd == pytest.approx(0.5, rel=0.05) and by_arm["b"].sd == pytest.approx(0.01, rel=0.5)
    assert [item.arm for item in found.seed_spreads if item.unlike_p is not None] == ["a"]
    given, (warning,) = shown(found)
    assert [row[0] for row in given.rows] == ["a", "b", "c", "a_again"]
    assert "the seeds of a spread more than the other methods'" in warning and "below 0.05" in warning


def test_arms_alike_are_not_warned_of_and_an_untrained_one_is_no_witness() -> None:
    assert shown(concluded({"a": 0.1, "b": 0.1, "c": 0.12, "a_again": 0.1}))[1] == []
    found = concluded({"a": 0.1, "b": 0.1, "c": 0.1, "a_again": 0.1})
    p = next(item.unlike_p for item in found.seed_spreads if item.unlike_p is not None)
    assert p > 0.05


def test_a_chance_warning_is_no_more_frequent_than_its_level() -> None:
    """Four equal arms of three seeds, 2,000 sets: Cochran's test at 5%."""
    from bench.statistics.tests.moderation import widest_p

    squares = np.random.default_rng(0).chisquare(2, (2000, 4))
    rate = np.mean([widest_p(one, 2)[1] < 0.05 for one in squares])
    assert 0.035 < rate < 0.062


def test_of_a_win_rate_the_others_tell_how_far_the_reference_spreads() -> None:
    generator = np.random.default_rng(2)
    of_reference = 0.1 * generator.standard_normal(60)
    given = []
    for arm in ("a", "c", "a_again"):
        own = 0.03 * generator.standard_normal(60)
        given += verdicts(arm, "b", np.clip(0.5 + own - of_reference, 0, 1) * np.ones((8, 1)))
    settings = comparison(PAIRS, seeds=range(60), judges=[Coin()])
    records = table(given)
    contrasts = compute_contrasts(records, settings, METRICS)
    found = {item.arm: item for item in seed_spreads(records, primary_of(contrasts), "b")}
    assert list(found) == ["a", "c", "a_again", "b"]
    assert found["a"].of == "preference over versus" and found["a"].sd == pytest.approx(0.104, rel=0.25)
    assert found["b"].of == "what the others have in common" and found["b"].sd == pytest.approx(0.1, rel=0.25)
    assert found["b"].per_run == ()


def test_one_seed_has_no_spread() -> None:
    given = table([row for arm in "ab" for row in rows(arm, np.random.default_rng(0).normal(0, 1, (20, 1)))])
    settings = comparison(seeds=[0])
    contrasts = compute_contrasts(given, settings, METRICS)
    assert seed_spreads(given, primary_of(contrasts), None) == ()
