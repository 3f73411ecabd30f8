"""The share of a gap: Fieller's interval against its closed form, its coverage, and when it is undefined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from bench.config.comparison import Comparison, GapClosed
from bench.core.errors import IncompleteRecords
from bench.statistics.contrasts.gap_closed import gaps_closed, ratio_of_means
from bench.statistics.tests.random_effects import crossed_effects
from tests.statistics.build import Coin, comparison, rows, table, verdicts

LEVEL = 0.95


def fieller(gains: np.ndarray, gaps: np.ndarray, level: float) -> tuple[float, float]:
    """The textbook interval of a ratio of paired means."""
    n = len(gains)
    (vnn, vnd), (_, vdd) = np.cov(gains, gaps, ddof=1) / n
    t, bottom = stats.t.ppf((1 + level) / 2, n - 1), gaps.mean()
    ratio = gains.mean() / bottom
    g = t**2 * vdd / bottom**2
    root = np.sqrt(vnn - 2 * ratio * vnd + ratio**2 * vdd - g * (vnn - vnd**2 / vdd))
    middle = ratio - g * vnd / vdd
    ends = sorted((middle + sign * t / bottom * root) / (1 - g) for sign in (-1, 1))
    return ends[0], ends[1]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_run_is_the_textbook_interval(sign: float) -> None:
    rng = np.random.default_rng(1)
    gaps = sign * rng.normal(1.0, 1.5, 60)
    gains = 0.6 * gaps + rng.normal(0.1, 0.8, 60)
    found = ratio_of_means(gains[:, None], gaps[:, None], np.arange(60), LEVEL, 2000)
    assert found.share == pytest.approx(gains.mean() / gaps.mean())
    assert found.interval == pytest.approx(fieller(gains, gaps, LEVEL), abs=1e-9)
    assert found.bootstrap is not None and found.interval is not None
    assert found.bootstrap == pytest.approx(found.interval, abs=0.25)


def test_the_interval_is_bounded_exactly_where_the_gap_is_told_from_nothing() -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for shift in (0.0, 0.15, 0.3, 0.45, 1.0):
        gaps = rng.normal(shift, 1.0, (40, 1))
        found = ratio_of_means(0.5 * gaps + rng.normal(0, 0.3, (40, 1)), gaps, np.arange(40), LEVEL, 200)
        told = stats.ttest_1samp(gaps[:, 0], 0.0).pvalue < 1 - LEVEL
        assert (found.share is not None) == told == (found.interval is not None)
        assert (found.gap_low <= 0 <= found.gap_high) != told
        seen.add(told)
    assert seen == {True, False}


def test_it_covers_the_true_share_with_runs() -> None:
    """In 2,000 data sets by the law that the interval inverts, and in 15 of them by the interval's ends."""
    rng, sets = np.random.default_rng(3), 2000
    prompt, run = rng.normal(0, 0.5, (sets, 50, 1)), rng.normal(0, 0.1, (sets, 1, 3))
    gaps = 1.0 + prompt + run + rng.normal(0, 0.4, (sets, 50, 3))
    gains = 0.7 + 0.7 * prompt + rng.normal(0, 0.1, (sets, 1, 3)) + rng.normal(0, 0.4, (sets, 50, 3))
    law = crossed_effects(gains - 0.7 * gaps).confidence
    inside = law.p_value(0.0) >= 1 - LEVEL
    assert inside.mean() >= LEVEL - 3 * (LEVEL * (1 - LEVEL) / sets) ** 0.5
    for number in [*np.flatnonzero(inside)[:12], *np.flatnonzero(~inside)[:3]]:
        found = ratio_of_means(gains[number], gaps[number], np.arange(50), LEVEL, 200)
        assert found.interval is not None
        assert (found.interval[0] <= 0.7 <= found.interval[1]) == inside[number]


def test_an_arm_that_is_the_goal_closes_the_whole_gap() -> None:
    gaps = np.random.default_rng(4).normal(1.0, 0.5, (30, 3))
    found = ratio_of_means(gaps, gaps, np.arange(30), LEVEL, 500)
    assert found.share == 1.0
    assert found.interval == (1.0, 1.0)
    assert found.bootstrap == pytest.approx((1.0, 1.0))


def asking(
    *gaps: GapClosed, versus: str | None = None, seeds: Sequence[int] = (0, 1, 2), **settings: str
) -> Comparison:
    whole = comparison(judges=(Coin(),), seeds=seeds, **settings)
    evaluation = whole.evaluation.model_copy(update={"gap_closed": gaps, "versus": versus})
    return whole.model_copy(update={"evaluation": evaluation})


SHARE = GapClosed(of="b", start="a", goal="c", metric="score")


def test_a_metric_is_paired_over_prompts_and_runs() -> None:
    rng = np.random.default_rng(5)
    a, b, c = (rng.normal(mean, 1.0, (40, 3)) for mean in (0.0, 1.0, 2.0))
    records = table([*rows("a", a), *rows("b", b), *rows("c", c)])
    (found,) = gaps_closed(records, asking(SHARE), {})
    assert found.status == "ok"
    assert found.share == pytest.approx((b - a).mean() / (c - a).mean())
    assert (found.gain, found.gap) == (pytest.approx((b - a).mean()), pytest.approx((c - a).mean()))
    assert (found.n_prompts, found.n_runs, found.speaks_about) == (40, 3, "the training procedure")
    assert gaps_closed(records, asking(SHARE), {}) == (found,)


def test_a_win_rate_against_the_start_has_one_half_there() -> None:
    rng = np.random.default_rng(6)
    b, c = (rng.uniform(low, 1.0, (40, 3)) for low in (0.3, 0.7))
    records = table([*verdicts("b", "a", b), *verdicts("c", "a", c)])
    question = GapClosed(of="b", start="a", goal="c", metric="win_rate")
    (found,) = gaps_closed(records, asking(question, versus="a"), {"coin": ("b",)})
    assert found.share == pytest.approx((b.mean() - 0.5) / (c.mean() - 0.5))
    assert (found.judge, found.own_reward) == ("coin", ("b",))


def test_a_gap_that_may_be_none_is_undefined_in_words() -> None:
    rng = np.random.default_rng(7)
    values = {arm: rng.normal(0.0, 1.0, (40, 1)) for arm in "abc"}
    records = table([row for arm, found in values.items() for row in rows(arm, found)])
    (found,) = gaps_closed(records, asking(SHARE, seeds=(0,)), {})
    assert found.status == "undefined"
    assert (found.share, found.low, found.bootstrap_low) == (None, None, None)
    assert found.gap is not None and found.note == "the interval of the gap contains 0"
    assert found.speaks_about == "these trained models"


def test_missing_rows_are_refused_or_dropped() -> None:
    rng = np.random.default_rng(8)
    values = {arm: rng.normal(mean, 1.0, (40, 3)) for arm, mean in (("a", 0.0), ("b", 1.0), ("c", 2.0))}
    records = [row for arm, found in values.items() for row in rows(arm, found)]
    holes = table([row for row in records if (row["method"], row["prompt"]) != ("c", "p003")])
    with pytest.raises(IncompleteRecords, match="share of a gap.*score"):
        gaps_closed(holes, asking(SHARE), {})
    (found,) = gaps_closed(holes, asking(SHARE, missing="drop_prompts"), {})
    assert found.n_prompts == 39
    kept = [n for n in range(40) if n != 3]
    assert found.gain == pytest.approx((values["b"] - values["a"])[kept].mean())
