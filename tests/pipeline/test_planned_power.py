"""What a plan says it could detect: the primary family, its first step, the range, and what that rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.config.comparison import Primary
from bench.config.load import load_comparison
from bench.pipeline.plan import make_plan
from bench.pipeline.planned_power import PlannedPower, measured, planned_power, power_lines
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.power.detectable import ASSUMED_SEEDS, Spread, planned_smallest_detectable
from tests.statistics.build import METRICS, comparison, rows, table
from tests.whole import COMPARISON, write_whole


def found(root: Path, text: str) -> PlannedPower:
    power = planned_power(make_plan(load_comparison(write_whole(root, text))))
    assert power is not None
    return power


def test_the_primary_family_without_controls_is_reckoned_at_its_first_step(tmp_path: Path) -> None:
    one = found(tmp_path / "one", COMPARISON)
    assert (one.tests, one.rests_on) == (4, "assumed")
    assert one.level == pytest.approx(1 - 0.05 / 4)
    reach, low, high = (
        planned_smallest_detectable(one.n_prompts, 2, Spread(seed=sd), one.level) for sd in (0.025, *ASSUMED_SEEDS)
    )
    shown = one.smallest_detectable, one.smallest_detectable_low, one.smallest_detectable_high
    assert shown == pytest.approx((reach, low, high))
    lines = power_lines(one, 0.05)
    assert "first Holm step of the 4 primary contrasts, level 0.05/4" in lines[0]
    assert "assumed, not measured" in lines[1] and "0.025 over seeds (0.009 to 0.037)" in lines[1]
    none = found(tmp_path / "none", COMPARISON + "statistics: {correction: none}\n")
    assert (none.tests, none.level) == (1, 0.95)
    assert "level 0.05, no correction" in power_lines(none, 0.05)[0]


def test_a_metric_without_a_known_scale_has_no_number(tmp_path: Path) -> None:
    power = found(tmp_path, COMPARISON + "statistics: {primary: {metric: response_characters}}\n")
    assert (power.tests, power.rests_on, power.smallest_detectable) == (4, "nothing", None)
    assert "not forecast, nothing is known of how it varies" in power_lines(power, 0.05)[0]


def test_an_earlier_run_gives_its_variances_and_their_chi_square_range(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    given = [
        row for arm in "abc" for row in rows(arm, generator.normal(0, 1, (50, 3)) + generator.normal(0, 0.4, (1, 3)))
    ]
    settings = comparison(pairs=[("a", "b"), ("c", "b")])
    contrasts = tuple(compute_contrasts(table(given), settings, METRICS))
    CONCLUSIONS.write(Conclusions(contrasts=contrasts), tmp_path)
    known = measured(tmp_path, Primary(metric="score"), "quiz", 3)
    assert known is not None and known.rests_on == "measured"
    # Two contrasts with one arm in common are worth 1.6.
    assert known.seed_df == pytest.approx(2 * 1.6)
    square = np.mean([np.var(np.array(item.per_run, dtype=float), ddof=1) for item in contrasts])
    cell = np.mean([item.components["residual"] for item in contrasts]) / 50
    seen, calm, wild = (spread.seed for spread in known.spreads)
    assert seen**2 == pytest.approx(square - cell)
    assert calm < seen < wild
    assert measured(tmp_path, Primary(metric="other"), "quiz", 3) is None
    assert measured(tmp_path / "nothing", Primary(metric="score"), "quiz", 3) is None


def test_a_file_that_is_not_read_is_told(tmp_path: Path) -> None:
    folder = write_whole(tmp_path)
    (folder / "contrasts.json").write_text("[]", encoding="utf-8")
    power = planned_power(make_plan(load_comparison(folder)))
    assert power is not None and power.rests_on == "assumed"
    assert "contrasts.json: not a file of contrasts" in power_lines(power, 0.05)[-1]
