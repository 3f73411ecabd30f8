"""The report of a run in which arms learnt from a reward model: every number is one of the files it is made from."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.compute as pc
import pytest

from bench.report.facts.frontier import gains_over, points_of
from bench.report.page.markdown import write_report
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY, RunSummary
from tests.report.synthetic_learning import ARMS, BOUND, LEARNT, SEEDS, build
from tests.report.test_report import parsed, rows_of, same
from tests.sketched import sketched

PLOTS = ("earlier_stages", "frontier", "over_optimisation", "updates", "reward_models", "representations", "labellers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("learning")
    with sketched(drawn=PLOTS):
        write_report(path, build(path))
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    return (folder / "report.md").read_text()


@pytest.fixture(scope="module")
def concluded(folder: Path) -> Conclusions:
    return CONCLUSIONS.read(folder)


@pytest.fixture(scope="module")
def facts(folder: Path) -> RunSummary:
    return SUMMARY.read(folder)


def shares(text: str, values: list[float | None]) -> bool:
    return same(text.replace("%", ""), [None if value is None else 100 * value for value in values])


def test_every_picture_is_there_and_the_same_again(folder: Path, tmp_path: Path) -> None:
    with sketched(drawn=PLOTS):
        write_report(tmp_path, build(tmp_path))
    for name in ("report.md", "report.html", *(f"plots/{plot}.{kind}" for plot in PLOTS for kind in ("png", "svg"))):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert all((folder / "plots" / f"{plot}.png").read_bytes() for plot in PLOTS)


def test_ratings_and_divergences_are_means_of_the_records(folder: Path, report: str) -> None:
    records = RECORDS.read(folder)
    rows = {row["arm"]: row for row in rows_of(report, "Ratings and divergence")}
    assert list(rows) == list(ARMS)

    def mean(arm: str, metric: str, source: str) -> float:
        mask = pc.and_(pc.equal(records["method"], arm), pc.equal(records["metric"], metric))
        return float(pc.mean(records.filter(pc.and_(mask, pc.equal(records["source"], source)))["value"]).as_py())

    for arm, row in rows.items():
        assert same(row["rated by gold"], [mean(arm, "rating", "gold")])
        proxy = row["rated by reward_model"]
        assert same(proxy, [mean(arm, "rating", "reward_model")])
        assert ("own reward" in proxy) == (arm in LEARNT)
        if arm == "best_of_16":
            assert same(row["KL from sft (k1)"], [BOUND])
            assert same(row["square root"], [BOUND**0.5])
            assert row["KL from sft (k1)"].startswith("at most")
        else:
            divergence = mean(arm, "divergence", "task")
            assert same(row["KL from sft (k1)"], [divergence])
            assert same(row["k3"], [mean(arm, "divergence_k3", "task")])
            assert same(row["square root"], [max(divergence, 0.0) ** 0.5])
    assert "undefined for best_of_16" in report


def test_the_curve_of_the_proxy_rises_while_the_truth_falls(folder: Path, facts: RunSummary, report: str) -> None:
    gains = gains_over(RECORDS.read(folder), facts, "sft")
    gold, proxy = (
        {arm: sum(gain for _, gain in gains[arm, judge]) / len(SEEDS) for arm in LEARNT}
        for judge in ("gold", "reward_model")
    )
    assert proxy["ppo_strict"] < proxy["ppo"] < proxy["ppo_loose"]
    assert gold["ppo"] > gold["ppo_loose"]
    caption = next(line for line in report.split("\n") if line.startswith("*Gain over sft"))
    assert f"by reward_model (own reward) the largest gain is {proxy['ppo_loose']:.2f} at" in caption
    assert f"by gold the largest gain is {gold['ppo']:.2f} at" in caption
    assert f"and ppo_loose, which moved furthest, gains {gold['ppo_loose']:.2f} at" in caption
    assert all(abs(gain) < 0.3 for judge in ("gold", "reward_model") for _, gain in gains["sft", judge])


def test_dominance_is_counted_from_the_points(folder: Path, report: str) -> None:
    points = points_of(RECORDS.read(folder), list(ARMS))
    ours = [point for point in points if point.arm in ("ppo_strict", "ppo", "ppo_loose")]
    theirs = [point for point in points if point.arm in ("dpo", "dpo_loose")]
    beaten = [
        any(
            one.ratings["gold"] >= other.ratings["gold"] and (one.divergence or 0) <= (other.divergence or 0)
            for one in ours
        )
        for other in theirs
    ]
    rows = rows_of(
        report.split("### Dominance")[0] + "## Dominance\n" + report.split("### Dominance\n")[1], "Dominance"
    )
    assert [(row["judge"], row["method"], row["against"]) for row in rows] == [
        ("gold", "ppo", "dpo"),
        ("gold", "dpo", "ppo"),
    ]
    assert shares(rows[0]["no better than a point of the first"], [sum(beaten) / len(beaten)])


def test_own_rewards_are_marked_wherever_they_stand(report: str, concluded: Conclusions) -> None:
    marked = {(item.a, item.metric) for item in concluded.contrasts if item.own_reward}
    assert marked == {(arm, metric) for arm in LEARNT for metric in ("win_rate", "rating")}
    for item in concluded.contrasts:
        assert item.own_reward in ((), (item.a,))
        assert not item.own_reward or item.judge == "reward_model"
    for arm in LEARNT:  # the win rates of the judge that is named first lead; those of the other stand below
        assert f"own reward of {arm}" in report
    assert "learnt from that very judge" in report


def test_shares_of_gaps_are_those_of_contrasts_json(report: str, concluded: Conclusions) -> None:
    rows = rows_of(report, "Share of the gap closed")
    assert len(rows) == len(concluded.gap_closed) == 3
    for row, item in zip(rows, concluded.gap_closed, strict=True):
        assert same(row["gain"], [item.gain])
        assert same(row["size of gap"], [item.gap, item.gap_low, item.gap_high])
        if item.status == "undefined":
            assert (row["share closed"], row["Fieller interval"]) == ("undefined", "unbounded")
        else:
            assert shares(row["share closed"], [item.share])
            assert shares(row["Fieller interval"], [item.low, item.high])
            assert shares(row["bootstrap interval"], [item.bootstrap_low, item.bootstrap_high])
    assert {item.status for item in concluded.gap_closed} == {"ok", "undefined"}
    assert "1 share is undefined" in report


def test_labellers_are_those_of_contrasts_json(report: str, concluded: Conclusions) -> None:
    rows = rows_of(report, "Labellers")
    assert len(rows) == len(concluded.labellers) == 6
    for row, item in zip(rows, concluded.labellers, strict=True):
        assert row["labeller"] == item.judge
        assert row["asks"] == f"rationale {item.judge.partition('_')[2]}"
        assert shares(row["agrees with labels"], [item.labels.share, item.labels.low, item.labels.high])
        assert item.gold is not None
        assert shares(row["agrees with gold"], [item.gold.share, item.gold.low, item.gold.high])
        assert shares(row["flips with the order"], [item.flips.share, item.flips.low, item.flips.high])
        assert shares(row["confidence"], [item.confidence])
        assert (row["same on a second call"] == "deterministic") == (item.retest is None)
    by_size = [item.labels.share or 0.0 for item in concluded.labellers if item.judge.endswith("none")]
    assert by_size == sorted(by_size)


def test_reward_models_and_layers_are_those_of_the_summary(report: str, facts: RunSummary) -> None:
    section = report.split("### Reward models\n")[1]
    rows = rows_of("## Reward models\n" + section, "Reward models")
    for seed, row in zip(SEEDS, rows, strict=True):
        held_out = facts.stages[f"rm-{seed}"].diagnostics["held_out"]
        assert shares(row["ranked right"], [held_out["accuracy"]["value"]])
        assert shares(row["95% interval"], [held_out["accuracy"]["low"], held_out["accuracy"]["high"]])
        assert same(row["loss"], [held_out["loss"]])
    layers = rows_of("## Representations\n" + report.split("### Representations\n")[1], "Representations")
    for number, row in enumerate(layers):
        told = [facts.stages[f"rahf-{seed}"].diagnostics["layers"][number] for seed in SEEDS]
        assert same(row["norm of the difference"], [sum(one["difference_norm"] for one in told) / len(told)])
        assert same(row["cosine with its mean"], [sum(one["cosine_to_mean"] for one in told) / len(told)])


def test_the_last_update_is_that_of_the_summary(report: str, facts: RunSummary) -> None:
    caption = next(line for line in report.split("\n") if line.startswith("*Lines are means over training seeds"))
    for arm in ("ppo_strict", "ppo", "ppo_loose"):
        last = [facts.last_log(arm, str(seed))[-1] for seed in SEEDS]
        reward, kl = (sum(row[name] for row in last) / len(last) for name in ("reward", "kl"))
        said = re.search(rf"\b{arm} ends at reward (\S+) and KL in nats (\d+\.\d+)", caption)
        assert said is not None
        assert same(said[1], [reward]) and same(said[2], [kl])


def test_a_reward_model_is_drawn_once_and_is_no_arm(report: str) -> None:
    captions = [line for line in report.split("\n") if line.startswith("*Thin lines")]
    arms, earlier = captions
    assert "best_of_16 ends at loss 1.500" in arms  # its supervised start: nothing else was trained of what it writes
    assert earlier.count("reward model of") == 1
    assert "reward model of ppo_strict ends at loss 1.50" in earlier


def test_speed_stands_beside_cost(report: str, facts: RunSummary) -> None:
    rows = {row["arm"]: row for row in rows_of(report, "Cost")}
    for arm in ARMS:
        spent = [facts.stages[f"generate-{arm}-{seed}"].cost for seed in SEEDS]
        seconds = sum(cost["seconds"] for cost in spent) / sum(cost["generated_tokens"] for cost in spent)
        assert parsed(rows[arm]["time per answer token"]) == [pytest.approx(1000 * seconds, rel=0.005)]
