"""Factual error rates over prompts and seeds: published values, identities, and error rates of the test itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config.comparison import Comparison, Factuality
from bench.core.metrics import COUNTED, FACTUAL_ERROR_RATE, fact_score
from bench.evaluation.checkers.extractors.task import TaskClaims
from bench.evaluation.checkers.verifiers.exact import Exact
from bench.scoring.factscore import LabelledResponses, labelled_responses
from bench.scoring.row_files import read_file
from bench.statistics.claims import in_files as rates
from bench.statistics.claims.in_runs import crossed_ratio, error_reductions, factual_rates
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.tests.random_effects import crossed_effects
from tests.statistics.build import comparison, rows, table

INFO = {metric.name: metric for metric in (FACTUAL_ERROR_RATE, *COUNTED)}
FACTSCORE = "factscore"


def asked(seeds: Sequence[int], **settings: Any) -> Comparison:
    found = comparison(seeds=seeds, resamples=200, **settings)
    factuality = Factuality(tasks=("quiz",), extractor=TaskClaims(), verifier=Exact())
    return found.model_copy(update={"evaluation": found.evaluation.model_copy(update={"factuality": factuality})})


def counted(
    method: str, right: np.ndarray, wrong: np.ndarray, beside: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Records of one arm's claims, (prompts, runs[, draws])."""
    other = np.zeros_like(right) if beside is None else beside
    facts = right + wrong + other
    score = np.where(
        facts > 0, right / np.maximum(facts, 1) * np.where(facts > 10, 1, np.exp(1 - 10 / np.maximum(facts, 1))), 0
    )
    values = {
        "supported_claims": right,
        "unsupported_claims": wrong,
        "irrelevant_claims": other,
        "answered": (facts > 0).astype(float),
    }
    found = [row for name, part in values.items() for row in rows(method, part.astype(float), name)]
    for row, made in zip(rows(method, score, FACTSCORE), facts.ravel(), strict=True):
        found.append(row if made else {**row, "value": None, "status": "undefined"})
    return found


def two_arms(seed: int = 0, prompts: int = 60, runs: int = 2, gap: float = 0.0) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    found = []
    for arm, more in (("a", 0.0), ("b", gap)):
        claims = draw.poisson(4, (prompts, runs))
        chance = np.clip(draw.beta(2, 5, (prompts, 1)) + more, 0, 1)
        wrong = draw.binomial(claims, np.broadcast_to(chance, claims.shape))
        found += counted(arm, claims - wrong, wrong)
    return found


@pytest.fixture(scope="module")
def humans(real_data: Path) -> dict[str, LabelledResponses]:
    folder = real_data / "factscore"
    if not (folder / "labeled_ChatGPT.jsonl.gz").is_file():
        pytest.skip(f"no FActScore labels in {folder}")
    names = {"a": "ChatGPT", "b": "InstructGPT"}
    return {arm: labelled_responses(read_file(folder / f"labeled_{name}.jsonl.gz")) for arm, name in names.items()}


@pytest.mark.data
def test_people_who_checked_factscore(humans: dict[str, LabelledResponses]) -> None:
    topics = sorted(humans["a"].by_topic)
    records = []
    for arm, labels in humans.items():
        right, wrong, facts, _ = labels.columns(topics).T[:, :, None]
        records += counted(arm, right, wrong, facts - right - wrong)
    asking = asked(seeds=(0,))
    chat, instruct = factual_rates(table(records), asking)[:2]
    assert (chat.arm, chat.n_responses, chat.n_runs) == ("a", 183, 1)
    assert chat.answered.value == pytest.approx(0.8579, abs=5e-5)
    assert instruct.answered.value == pytest.approx(0.9945, abs=5e-5)
    # All 183 prompts count, an abstention as a response without claims; the published errors are over the answered.
    for found, rate, error, score, score_error in (
        (chat, 0.346296, 0.019244, 0.58277, 0.0215),
        (instruct, 0.484156, 0.023275, 0.42576, 0.0218),
    ):
        assert found.error_rate is not None
        assert found.factscore is not None
        assert found.error_rate.value == pytest.approx(rate, abs=5e-7)
        assert found.error_rate.standard_error == pytest.approx(error, rel=0.002)
        assert found.factscore.value == pytest.approx(score, abs=6e-6)
        assert found.factscore.standard_error == pytest.approx(score_error, rel=0.005)
    (reduction,) = error_reductions(table(records), asking)
    assert reduction.n_both_answered == 156
    assert reduction.both_answered is not None
    assert reduction.both_answered.value == pytest.approx(-0.07334, abs=5e-6)
    assert reduction.both_answered.standard_error == pytest.approx(0.01359, abs=5e-6)
    # The paired FActScore that was published is on the topics that both answered.
    shared = {
        f"p{place:03d}" for place, topic in enumerate(topics) if all(one.by_topic[topic] for one in humans.values())
    }
    kept = table([row for row in records if row["prompt"] in shared])
    scores = {item.metric: item for item in compute_contrasts(kept, asking, INFO)}[FACTSCORE]
    assert scores.estimate == pytest.approx(0.09379, abs=6e-6)
    assert scores.standard_error == pytest.approx(0.01304, abs=6e-6)


def test_pseudo_values_may_leave_the_bounds_of_the_score() -> None:
    # A topic without a supported claim beside one without any claim: its pseudo-value lies below 0.
    wrong = np.array([[4], [4], [0], [0], [2], [3]])
    made = [
        row
        for arm, right in (
            ("a", np.array([[0], [3], [0], [2], [6], [1]])),
            ("b", np.array([[1], [3], [0], [2], [5], [1]])),
        )
        for row in counted(arm, right, wrong)
    ]
    (score,) = (item for item in compute_contrasts(table(made), asked(seeds=(0,)), INFO) if item.metric == FACTSCORE)
    assert score.support
    assert "bounds" not in score.note


def test_rates_are_ratios_of_sums_and_abstentions_are_responses() -> None:
    right = np.array([[3, 2], [0, 0], [8, 0]])
    wrong = np.array([[1, 2], [0, 0], [4, 0]])
    beside = np.array([[0, 0], [0, 0], [1, 0]])
    (found,) = factual_rates(table(counted("a", right, wrong, beside)), asked(seeds=(0, 1)))
    assert found.error_rate is not None
    assert found.error_rate_with_irrelevant is not None
    assert found.error_rate.value == pytest.approx(7 / 20)
    assert found.error_rate_with_irrelevant.value == pytest.approx(8 / 21)
    assert found.correct.value == pytest.approx(13 / 6)
    assert found.incorrect.value == pytest.approx(7 / 6)
    assert found.answered.value == pytest.approx(3 / 6)
    assert found.n_claims == 21
    assert found.per_run == pytest.approx((5 / 16, 2 / 4))
    shares = [fact_score(3, 4, 10), fact_score(2, 4, 10), fact_score(8, 13, 10)]
    assert found.factscore is not None
    assert found.factscore.value == pytest.approx(sum(share for share in shares if share is not None) / 3)


def test_fact_score_of_one_response_is_that_of_many() -> None:
    for right, facts in ((5, 5), (0, 3), (11, 11), (6, 12), (10, 10)):
        for gamma in (0.0, 10.0):
            assert fact_score(right, facts, gamma) == pytest.approx(rates.factscore([right], [facts], gamma).estimate)
    assert fact_score(0, 0, 10) is None


def test_one_run_and_clusters_give_the_error_of_the_older_estimator() -> None:
    draw = np.random.default_rng(3)
    claims = draw.poisson(4, 60)
    wrong = draw.binomial(claims, 0.3)
    found = crossed_ratio(wrong[:, None].astype(float), claims[:, None].astype(float), np.arange(60))
    assert found is not None
    assert found.law is not None
    older = rates.error_rate(wrong, claims)
    assert found.estimate == pytest.approx(older.estimate)
    assert float(found.law.standard_error) == pytest.approx(older.standard_error)
    clusters = np.repeat(np.arange(20), 3)
    paired = crossed_ratio(wrong[:, None].astype(float), claims[:, None].astype(float), clusters)
    assert paired is not None
    assert paired.law is not None
    assert float(paired.law.standard_error) == pytest.approx(rates.error_rate(wrong, claims, clusters).standard_error)


def test_the_contrast_is_the_difference_of_the_rates() -> None:
    records = table(two_arms(runs=2, gap=0.2))
    asking = asked(seeds=(0, 1))
    found = {item.metric: item for item in compute_contrasts(records, asking, INFO)}
    a, b = factual_rates(records, asking)
    item = found["factual_error_rate"]
    assert a.error_rate is not None
    assert b.error_rate is not None
    assert item.mean_a == pytest.approx(a.error_rate.value)
    assert item.mean_b == pytest.approx(b.error_rate.value)
    assert item.estimate == pytest.approx(a.error_rate.value - b.error_rate.value)
    assert item.higher_is_better is False
    assert item.verdict == "a better"
    assert "wilcoxon_p" not in item.also
    assert set(found) == {
        "factual_error_rate",
        "supported_claims",
        "unsupported_claims",
        "irrelevant_claims",
        "answered",
        FACTSCORE,
    }
    (reduction,) = error_reductions(records, asking)
    assert reduction.reduction == pytest.approx(1 - a.error_rate.value / b.error_rate.value)
    assert reduction.low is not None
    assert reduction.high is not None
    assert 0 < reduction.low < reduction.reduction < reduction.high < 1


def test_arms_without_claims_or_without_errors_are_told() -> None:
    nothing = np.zeros((5, 1))
    some = np.arange(5.0)[:, None] + 1
    silent = table(counted("a", nothing, nothing) + counted("b", some, some))
    asking = asked(seeds=(0,))
    found = {item.metric: item for item in compute_contrasts(silent, asking, INFO)}["factual_error_rate"]
    assert found.estimate is None
    assert found.p is None
    assert "a makes no claim on this task" in found.note
    quiet, _ = factual_rates(silent, asking)
    assert quiet.error_rate is None
    assert quiet.factscore is None
    assert quiet.per_run == (None,)
    (reduction,) = error_reductions(silent, asking)
    assert reduction.reduction is None
    assert reduction.both_answered is None
    assert "a makes no claim" in reduction.note
    flawless = table(counted("a", some, nothing) + counted("b", some, some))
    spotless, _ = factual_rates(flawless, asking)
    assert spotless.error_rate is not None
    assert spotless.error_rate.low == 0
    assert spotless.error_rate.high is not None
    assert spotless.error_rate.high > 0.3
    (reduction,) = error_reductions(flawless, asking)
    assert reduction.reduction is None
    assert "no logarithm" in reduction.note
    contrast = {item.metric: item for item in compute_contrasts(flawless, asking, INFO)}["factual_error_rate"]
    assert "a has a rate of exactly 0" in contrast.note


def test_incomplete_rows_leave_an_arm_out_or_its_prompts() -> None:
    records = [row for row in two_arms(runs=1, prompts=20) if (row["method"], row["prompt"]) != ("a", "p003")]
    refused = factual_rates(table(records), asked(seeds=(0,)))
    assert [rates.arm for rates in refused] == ["b"]
    dropped = factual_rates(table(records), asked(seeds=(0,), missing="drop_prompts"))
    assert [(rates.arm, rates.n_prompts) for rates in dropped] == [("a", 19), ("b", 20)]


def simulated(draw: np.random.Generator, prompts: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Wrong and all claims (prompts, runs) of one arm: prompts differ in length and difficulty, runs in both.

    One run speaks about its models, which differ in nothing; with several the runs' own spread is there too.
    """
    spread = 0.3 if runs > 1 else 0.0
    hardness = draw.normal(-0.8, 1.0, (prompts, 1)) + draw.normal(0, spread, (1, runs))
    length = np.exp(1.2 + draw.normal(0, 0.4, (prompts, 1)) + draw.normal(0, spread / 3, (1, runs)))
    claims = draw.poisson(length) * draw.binomial(1, 0.9, (prompts, runs))
    return draw.binomial(claims, 1 / (1 + np.exp(-hardness))).astype(float), claims.astype(float)


@pytest.mark.parametrize("runs", [1, 3])
def test_no_difference_is_found_as_often_as_promised(runs: int) -> None:
    draw = np.random.default_rng(runs)
    tries, prompts, promised = 800, 60, 0.05
    alarms = ratio_alarms = 0
    clusters = np.arange(prompts)
    for _ in range(tries):
        a, b = (crossed_ratio(*simulated(draw, prompts, runs), clusters) for _ in range(2))
        assert a is not None
        assert b is not None
        alarms += bool(crossed_effects(a.values - b.values, clusters).confidence.p_value(0.0) < 0.05)
        logs = np.log(a.estimate / b.estimate) + a.values / a.estimate - b.values / b.estimate
        ratio_alarms += bool(crossed_effects(logs, clusters).confidence.p_value(0.0) < 0.05)
    # Three binomial standard errors. With several runs the test is careful on purpose, so only too many are wrong.
    slack = 3 * (promised * (1 - promised) / tries) ** 0.5
    assert alarms / tries < promised + slack
    assert ratio_alarms / tries < promised + slack
    if runs == 1:
        assert alarms / tries > promised - slack
