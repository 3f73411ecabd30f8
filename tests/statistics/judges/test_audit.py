"""The judge audit on planted judges, whose rule is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from bench.core.judge import Judge
from bench.results.annotations import ANNOTATIONS_SCHEMA
from bench.results.conclusions.judge_audit import Explained, JudgeAudit, Measure
from bench.results.records import SCHEMA
from bench.statistics.judges.agreement import annotators_together
from bench.statistics.judges.audit import judge_audits
from bench.statistics.judges.controls import split
from bench.statistics.tests.proportions import share
from tests.statistics.build import comparison, table
from tests.statistics.planted import Gold, Longer, Noisy, People, Steady, World

EMPTY = SCHEMA.empty_table()


def audited(
    world: World, records: list[dict[str, Any]], *judges: Judge, audit: pa.Table | None = None
) -> dict[str, JudgeAudit]:
    asked = comparison(judges=judges, seeds=range(world.shape[1]))
    found, _ = judge_audits(table(records + world.lengths()), audit if audit is not None else EMPTY, asked)
    assert all((one.a, one.b) == ("a", "b") for one in found)
    return {one.judge: one for one in found}


def value(measure: Measure) -> tuple[float, float, float]:
    assert measure.estimate is not None
    assert measure.low is not None
    assert measure.high is not None
    assert measure.low <= measure.estimate <= measure.high
    return measure.estimate, measure.low, measure.high


def control(audit: JudgeAudit, name: str) -> Explained:
    return next(one for one in audit.controls if one.control == name)


def test_a_judge_that_is_the_control_is_explained_whole() -> None:
    world = World()
    longer = world.longer_wins()
    found = audited(world, world.verdicts("steady", longer, longer), Steady(), audit=world.controls())["steady"]
    one = control(found, "longer_wins")
    assert one.status == "ok"
    assert value(one.share) == pytest.approx((1.0, 1.0, 1.0))
    assert value(one.explained) == pytest.approx(value(one.excess))
    assert one.excess.estimate == pytest.approx(longer.mean() - 0.5)
    assert value(one.agreement)[0] == 1.0
    assert (one.when_a.estimate, one.when_b.estimate) == (1.0, 0.0)
    assert found.longer_wins.estimate == 1.0
    assert (found.length_status, found.length_slope) == ("separated", Measure(n=0))
    assert control(found, "first_wins").status == "constant control"


def test_an_independent_judge_is_not_explained_in_95_percent_of_worlds() -> None:
    """The intervals of the explained part, of its share, and of the length preference, and slope, cover the truth."""
    worlds = 60
    hits = np.zeros(5)
    defined = 0
    for seed in range(worlds):
        world = World(prompts=60, runs=3, seed=seed)
        taste = 0.68 + 0.25 * world.rng.standard_normal((60, 1)).clip(-1, 1)
        verdict = world.coin(taste)
        found = audited(world, world.verdicts("steady", verdict, verdict), Steady(), audit=world.controls())["steady"]
        one = control(found, "longer_wins")
        hits[0] += one.explained.low <= 0 <= one.explained.high  # type: ignore[operator]
        if one.share.estimate is not None:
            defined += 1
            hits[1] += one.share.low <= 0 <= one.share.high  # type: ignore[operator]
        hits[2] += found.length_slope.low <= 0 <= found.length_slope.high  # type: ignore[operator]
        hits[3] += one.excess.low <= 0.68 - 0.5 <= one.excess.high  # type: ignore[operator]
        hits[4] += found.first_shown.low <= 0.5 <= found.first_shown.high  # type: ignore[operator]
    assert defined > worlds / 2
    for count, of in zip(hits, (worlds, defined, worlds, worlds, worlds), strict=True):
        # At least 95% but for the simulation's error (one in a thousand); three runs make the default test cautious.
        assert count >= stats.binom.ppf(0.001, of, 0.95), (hits, defined)


def test_half_a_length_judge_is_explained_by_half() -> None:
    """Of 40% length and 60% a taste for a that has nothing to do with length, the length part is explained."""
    world = World(prompts=2000, runs=1, seed=4)
    longer = world.longer_wins()
    verdict = np.where(world.rng.random(world.shape) < 0.4, longer, world.coin(0.6))
    found = audited(world, world.verdicts("steady", verdict, verdict), Steady(), audit=world.controls())["steady"]
    one = control(found, "longer_wins")
    part = 0.4 * (longer.mean() - 0.5)
    estimate, low, high = value(one.explained)
    assert low < part < high
    assert estimate == pytest.approx(part, abs=0.015)
    share_estimate, share_low, share_high = value(one.share)
    assert share_low < part / (part + 0.6 * 0.1) < share_high
    assert share_estimate == pytest.approx(estimate / value(one.excess)[0])
    assert found.length_slope.estimate is not None
    assert found.length_slope.low > 0  # type: ignore[operator]
    # By hand: the line through the means of a two-valued control.
    y, c = verdict.ravel(), longer.ravel()
    keep = c != 0.5
    assert keep.mean() > 0.99
    line = np.polyfit(c - 0.5, y - 0.5, 1)
    assert estimate == pytest.approx(line[0] * (c - 0.5).mean())


def test_positions_are_found_out() -> None:
    world = World(prompts=100, runs=2)
    taste = world.coin(0.5)
    swayed = world.rng.random(world.shape) < 0.4
    first, second = np.where(swayed, 1.0, taste), np.where(swayed, 0.0, taste)
    found = audited(world, world.verdicts("steady", first, second), Steady(), audit=world.controls())["steady"]
    flips = int(swayed.sum())
    assert found.flips.estimate == pytest.approx(flips / 200)
    assert (found.flips_to_first.n, found.flips_to_first.estimate) == (flips, 1.0)
    assert found.flips_to_first.low == pytest.approx(0.025 ** (1 / flips))
    assert found.position_p == pytest.approx(2.0 ** (1 - flips))
    assert found.consistent.estimate == pytest.approx(1 - flips / 200)
    assert found.first_shown.estimate == pytest.approx(0.5 + flips / 400)
    assert value(found.first_shown)[1] > 0.55
    both = control(found, "first_wins")
    assert both.agreement.estimate == pytest.approx(0.5 + flips / 400)
    assert both.status == "constant control"
    assert both.when_tie.n == 200
    assert found.retest == "no noise"


def test_one_order_says_nothing_of_positions() -> None:
    world = World(prompts=30, runs=1)
    found = audited(world, world.verdicts("steady", world.coin(0.6)), Steady())["steady"]
    assert (found.first_shown, found.flips, found.consistent) == (Measure(n=0), Measure(n=0), Measure(n=0))
    assert found.position_p is None
    assert (found.asked, found.controls) == (30, ())


def test_what_is_not_usable_is_counted_and_left_out() -> None:
    world = World(prompts=50, runs=1)
    ones = np.ones(world.shape)
    rows = world.verdicts("steady", ones, ones)
    for row, status in zip(rows[:5], ("unparsed", "unparsed", "refused", "error", "undefined"), strict=True):
        row.update(value=None, status=status)
    found = audited(world, rows, Steady(), audit=world.controls())["steady"]
    assert [one.estimate for one in (found.unparsed, found.refused, found.error)] == [0.02, 0.01, 0.01]
    assert 0.002 < value(found.unparsed)[1] < 0.02 < value(found.unparsed)[2] < 0.15
    assert found.consistent.n == 45
    assert control(found, "longer_wins").excess.n == 45
    assert found.ties.n == 95


def _two(top: int, bottom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tops, bottoms = np.zeros((bottom, 1)), np.ones((bottom, 1))
    tops[:top] = 1.0
    return tops, bottoms, np.arange(bottom)


def test_a_share_of_independent_cells_has_wilsons_interval_and_clusters_widen_it() -> None:
    tops, bottoms, alone = _two(30, 100)
    plain = value(share(tops, bottoms, alone, 0.95))
    wilson = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert plain == pytest.approx((0.3, wilson.low, wilson.high), abs=4e-3)
    together = value(share(tops, bottoms, np.arange(100) // 10, 0.95))
    assert together[2] - together[1] > 2 * (plain[2] - plain[1])
    none = share(np.zeros((40, 2)), np.ones((40, 2)), np.arange(40) // 2, 0.95)
    assert (none.n, none.estimate, none.low) == (80, 0.0, 0.0)
    assert none.high == pytest.approx(stats.binomtest(0, 20).proportion_ci(method="wilson").high)
    assert share(np.zeros((3, 1)), np.zeros((3, 1)), np.arange(3), 0.95) == Measure(n=0)


def test_a_judge_with_noise_is_held_against_its_second_call() -> None:
    world = World(prompts=40, runs=2)
    once, twice = world.coin(0.5), world.coin(0.5)
    records = world.verdicts("noisy", once, once)
    again = [
        row for row in world.verdicts("noisy", twice, twice, "retest") if row["run"] == 0 and row["prompt"] < "p025"
    ]
    found = audited(world, records, Noisy(), audit=table(again))["noisy"]
    assert found.retest == "asked"
    assert (found.retested.n, found.retested.estimate) == (25, pytest.approx((once == twice)[:25, 0].mean()))
    assert audited(world, records, Noisy())["noisy"].retest == "not asked"


def test_agreement_with_gold_and_of_all_judges() -> None:
    world = World(prompts=80, runs=2)
    truth = world.coin(0.5)
    wrong = np.where(world.rng.random(world.shape) < 0.2, 1 - truth, truth)
    records = world.verdicts("gold", truth, truth) + world.verdicts("steady", wrong, wrong) + world.lengths()
    asked = comparison(judges=(Steady(), Gold()), seeds=range(2))
    audits, together = judge_audits(table(records), EMPTY, asked)
    by_name = {one.judge: one for one in audits}
    (reference,) = by_name["steady"].references
    assert by_name["gold"].references == ()
    same = float((wrong == truth).mean())
    assert value(reference.agreement)[0] == pytest.approx(same)
    chance = wrong.mean() * truth.mean() + (1 - wrong.mean()) * (1 - truth.mean())
    assert value(reference.kappa)[0] == pytest.approx((same - chance) / (1 - chance))
    (alpha,) = together
    assert (alpha.judges, alpha.alpha.n) == (("gold", "steady"), 160)
    assert 0.4 < value(alpha.alpha)[0] < 0.8


def test_all_pairs_are_pooled_beside_each_pair() -> None:
    world = World(prompts=40, runs=2)
    one, other = world.coin(0.9), world.coin(0.3)
    second = [{**row, "method": "c", "versus": "b"} for row in world.verdicts("steady", other, 1 - other)]
    lengths = [{**row, "method": "c"} for row in world.lengths() if row["method"] == "a"]
    asked = comparison(pairs=[("a", "b"), ("c", "b")], judges=(Steady(),), seeds=range(2))
    audits, _ = judge_audits(
        table(world.verdicts("steady", one, one) + second + world.lengths() + lengths), EMPTY, asked
    )
    assert [(audit.a, audit.b) for audit in audits] == [(None, None), ("a", "b"), ("c", "b")]
    whole, first, last = audits
    assert (whole.asked, first.asked, last.asked) == (320, 160, 160)
    assert (first.flips.estimate, last.flips.estimate, whole.flips.estimate) == (0.0, 1.0, 0.5)
    assert whole.longer_wins.n == first.longer_wins.n + last.longer_wins.n
    assert whole.controls == ()


def test_a_listed_control_does_not_explain_itself() -> None:
    world = World(prompts=40, runs=1)
    longer = world.longer_wins()
    found = audited(world, world.verdicts("longer_wins", longer, longer), Longer(), audit=world.controls())
    assert [one.control for one in found["longer_wins"].controls] == ["first_wins"]


def test_few_prompts_split_nothing() -> None:
    found = split(np.array([[1.0], [0.0]]), np.array([[1.0], [0.0]]), np.array([0, 1]), 0.95)
    assert (found.status, found.share, found.explained) == ("too few prompts", Measure(n=0), Measure(n=0))
    assert split(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0, dtype=np.int64), 0.95).excess == Measure(n=0)


def test_the_order_of_the_rows_changes_no_bit() -> None:
    world = World(prompts=30, runs=2)
    soft = [world.rng.random(world.shape) for _ in range(2)]
    records = world.verdicts("steady", soft[0], soft[1]) + world.lengths()
    shuffled = [records[place] for place in world.rng.permutation(len(records))]
    asked = comparison(judges=(Steady(),), seeds=range(2))
    one, other = (judge_audits(table(rows), world.controls(), asked) for rows in (records, shuffled))
    assert one == other


def test_people_agree_as_krippendorff_counts_it() -> None:
    rows = []
    votes = {"p1": {"ann": 1.0, "bob": 1.0}, "p2": {"ann": 0.0, "bob": 0.0}, "p3": {"ann": 1.0, "bob": 0.0}}
    votes["p4"] = {"ann": 0.5}
    for prompt, of_prompt in votes.items():
        for annotator, vote in of_prompt.items():
            rows.append(
                {"judge": "human", "task": "quiz", "prompt": prompt, "cluster": prompt, "method": "a", "versus": "b",
                 "run": 0, "draw": 0, "annotator": annotator, "value": vote, "answer": "1"}
            )  # fmt: skip
    (found,) = annotators_together(pa.Table.from_pylist(rows, schema=ANNOTATIONS_SCHEMA), 0.95)
    assert (found.judge, found.task, found.annotators, found.alpha.n) == ("human", "quiz", 2, 3)
    # Two values: alpha = 1 - (n - 1) * disagreements / (n0 n1), of n = 6 votes in 3 pairs, 3 of each.
    assert found.alpha.estimate == pytest.approx(1 - 5 * 1 / (3 * 3))
    assert annotators_together(ANNOTATIONS_SCHEMA.empty_table(), 0.95) == ()
    alone = pa.Table.from_pylist([row for row in rows if row["annotator"] == "ann"], schema=ANNOTATIONS_SCHEMA)
    assert annotators_together(alone, 0.95)[0].alpha == Measure(n=0)


def test_people_are_shown_a_pair_once_so_no_flip_is_seen() -> None:
    world = World(prompts=30, runs=1)
    verdict = world.coin(0.5)
    found = audited(world, world.verdicts("human", verdict, verdict), People())["human"]
    assert (found.flips, found.consistent, found.first_shown) == (Measure(n=0), Measure(n=0), Measure(n=0))
