"""The trial of length controls against gold, on planted worlds in which the answer is known."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import special

from bench.config.comparison import Arm, Comparison, LengthControl, Named
from bench.results.conclusions.length_recovery import LengthRecovery, Recovered
from bench.statistics.length.recovery import length_recoveries
from tests.statistics.build import Coin, Plain, comparison, rows, table, verdicts

N, RUNS = 240, 3
# Each arm's advantage in utility over c, and by how many characters it is longer.
ARMS = {"a": (1.5, 0.0), "b": (0.5, -20.0), "d": (-0.6, 120.0)}
NO_CONTROL = LengthControl()


class Gold(Coin):
    NAME: ClassVar[str] = "gold"


def world(bias: float, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows of a gold judge and of one that adds ``bias`` per 100 characters to gold's difference."""
    generator = np.random.default_rng(seed)
    base = np.exp(generator.normal(5, 0.3, (N, RUNS)))
    found = rows("c", base, "response_characters")
    for arm, (quality, longer) in ARMS.items():
        own = np.maximum(base + longer + generator.normal(0, 60, (N, RUNS)), 1)
        utility = quality + generator.normal(0, 1, (N, RUNS))
        found += rows(arm, own, "response_characters")
        found += [{**row, "source": "gold"} for row in verdicts(arm, "c", (utility > 0) * 1.0)]
        found += verdicts(arm, "c", special.expit(2 * (utility + bias * (own - base) / 100)))
    return found


def asked(control: LengthControl = NO_CONTROL) -> Comparison:
    plain = comparison([(arm, "c") for arm in ARMS], seeds=range(RUNS), judges=(Gold(), Coin()))
    arms = (*plain.arms, Arm(name="d", method=Plain(beta=0.4), lora=None))
    evaluation = plain.evaluation.model_copy(update={"versus": "c", "length_control": control})
    return plain.model_copy(update={"arms": arms, "evaluation": evaluation})


def only(bias: float, control: LengthControl = NO_CONTROL) -> tuple[LengthRecovery, dict[str, Recovered]]:
    (found,) = length_recoveries(table(world(bias)), asked(control))
    names = {
        item.estimator if item.labels is None else f"{item.estimator} {item.labels}": item for item in found.estimates
    }
    return found, names


@pytest.fixture(scope="module")
def biased() -> tuple[LengthRecovery, dict[str, Recovered]]:
    return only(1.5)


def test_what_it_was_made_from(biased: tuple[LengthRecovery, dict[str, Recovered]]) -> None:
    found, _ = biased
    assert (found.judge, found.gold, found.versus, found.arms) == ("coin", "gold", "c", ("a", "b", "d"))
    assert (found.prompts, found.runs, found.verdicts) == (N, RUNS, 3 * RUNS)
    # Three arms and c: gold tells all six pairs apart.
    assert found.pairs == 6
    expected = [special.ndtr(quality) for quality, _ in ARMS.values()]
    assert found.truth == pytest.approx(expected, abs=0.06)
    assert found.longer == pytest.approx([longer for _, longer in ARMS.values()], abs=12)


def test_a_judge_that_likes_length_puts_the_verbose_arm_too_high(
    biased: tuple[LengthRecovery, dict[str, Recovered]],
) -> None:
    found, names = biased
    raw = names["raw"]
    assert raw.values[2] > found.truth[2] + 0.3
    assert raw.reversed >= 1
    assert raw.max_error == pytest.approx(max(abs(np.subtract(raw.values, found.truth))))
    assert raw.mean_error == pytest.approx(np.mean(np.abs(np.subtract(raw.values, found.truth))))
    for low, value, high in zip(raw.low, raw.values, raw.high, strict=True):
        assert low <= value <= high


def test_length_control_restores_the_ranking_here(biased: tuple[LengthRecovery, dict[str, Recovered]]) -> None:
    """Quality and length are independent within a pair here, so that the regression is right but for its link."""
    _, names = biased
    assert {"glm, no difficulty", "glm, difficulty estimated", "ratio", "log ratio", "length-matched"} <= set(names)
    for name in ("glm, no difficulty", "length-matched"):
        assert names[name].reversed == 0
        assert names[name].tau == pytest.approx(1.0)
        assert names[name].mean_error < 0.5 * names["raw"].mean_error


def test_labels_make_it_exact_with_their_number(biased: tuple[LengthRecovery, dict[str, Recovered]]) -> None:
    _, names = biased
    assert {"labels alone 25", "prediction-powered 100"} <= set(names)
    assert "labels alone 200" not in names
    for budget in (25, 50, 100):
        assert names[f"prediction-powered {budget}"].mean_error < names[f"labels alone {budget}"].mean_error
    assert names["prediction-powered 100"].mean_error < 0.02
    assert names["prediction-powered 100"].whole == 1.0
    # The labels' mean is unbiased: over 100 draws of 100 prompts its error is a tenth of one draw's.
    truth = biased[0].truth
    assert names["labels alone 100"].values == pytest.approx(truth, abs=0.01)
    assert names["prediction-powered 100"].values == pytest.approx(truth, abs=0.01)


def test_a_judge_without_bias_needs_nothing() -> None:
    _, names = only(0.0)
    assert names["raw"].reversed == 0
    assert names["raw"].tau == pytest.approx(1.0)


def test_calibration_and_difficulty_that_are_there_are_tried() -> None:
    _, names = only(1.5, LengthControl(model="glm", calibration_arms=("d",)))
    assert {"glm, no difficulty, calibrated", "glm, difficulty estimated, calibrated"} <= set(names)
    assert names["glm, no difficulty, calibrated"].values[0] != names["glm, no difficulty"].values[0]


def test_nothing_without_gold_or_with_few_arms() -> None:
    plain = asked()
    judges = (Named(label="coin", judge=Coin()),)
    without = plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update={"judges": judges})})
    assert length_recoveries(table(world(0.0)), without) == ()
    few = [row for row in world(0.0) if row["method"] != "d"]
    assert length_recoveries(table(few), plain) == ()


def test_equal_inputs_give_equal_values(biased: tuple[LengthRecovery, dict[str, Recovered]]) -> None:
    assert only(1.5)[0] == biased[0]


def test_an_arm_with_a_run_that_failed_stays_out() -> None:
    """Its verdicts at one seed are not there, so that no prompt of it is complete; the others are tried without it."""
    plain = asked(LengthControl(model="glm", calibration_arms=("d",)))
    fourth = [dict(row, method="b_twin") for row in world(1.5) if row["method"] == "b"]
    arms = (*plain.arms, Arm(name="b_twin", method=Plain(beta=0.5), lora=None))
    broken = [row for row in world(1.5) + fourth if not (row["method"] == "d" and row["run"] == 1)]
    (found,) = length_recoveries(table(broken), plain.model_copy(update={"arms": arms}))
    assert found.arms == ("a", "b", "b_twin")
    assert found.prompts == N
