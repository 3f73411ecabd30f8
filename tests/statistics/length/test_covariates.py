"""Difficulty and calibration inside a run: from rows and files to the note and the numbers of a contrast."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import special

from bench.config.comparison import Comparison, LengthControl, StatisticsTable
from bench.config.fields.length_tables import difficulty_of
from bench.core.errors import BenchError
from bench.core.task import Prompt, user
from bench.results.conclusions.contrast import Contrast
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.length.difficulty import estimated_difficulty
from bench.statistics.length.regression import length_controlled_win_rate, paired_difference
from tests.statistics.build import LENGTH, METRICS, Coin, Quiz, comparison, rows, table, verdicts

N = 300
PAIRS = (("a", "c"), ("b", "c"), ("a", "b"))


class Asked(Quiz):
    """The quiz with its prompts."""

    NAME: ClassVar[str] = "quiz"

    def prompts(self) -> Sequence[Prompt]:
        return [Prompt(id=f"p{i:03d}", chat=user(f"question {i}"), cluster=f"p{i:03d}") for i in range(N)]


def world(runs: int = 1, seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, np.ndarray], np.ndarray]:
    """Return rows of arms a and b against c, and of a against b, under a judge that likes length; hard prompts."""
    generator = np.random.default_rng(seed)
    hard = generator.normal(0, 1.2, N)
    lengths = {
        arm: np.exp(generator.normal(6 + shift, 0.4, (N, runs))) for arm, shift in (("a", 0.3), ("b", 0), ("c", 0))
    }
    found = [row for arm, own in lengths.items() for row in rows(arm, own, "response_characters")]
    for first, other in PAIRS:
        eta = 0.2 + hard[:, None] + (lengths[first] - lengths[other]) / 150
        found += verdicts(first, other, (generator.random((N, runs)) < special.expit(eta)) * 1.0)
    return found, lengths, hard


def asked(control: LengthControl, runs: int = 1) -> Comparison:
    plain = comparison(PAIRS, seeds=range(runs), judges=(Coin(),))
    update = {"length_control": control, "versus": "c", "tasks": (Asked(),)}
    return plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update=update)})


def controlled(records: list[dict[str, Any]], control: LengthControl, runs: int = 1) -> dict[str, Contrast]:
    found = compute_contrasts(table(records), asked(control, runs), {**METRICS, "response_characters": LENGTH})
    return {f"{item.a} {item.b}": item for item in found if item.metric == "length_controlled_win_rate"}


def preferences(records: list[dict[str, Any]], arm: str, versus: str) -> np.ndarray:
    wanted = [row for row in records if (row["method"], row["versus"]) == (arm, versus)]
    return np.array([row["value"] for row in sorted(wanted, key=lambda row: row["prompt"])])


def written(folder: Path, head: Sequence[str], lines: Sequence[Sequence[object]]) -> StatisticsTable:
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *lines])
    return StatisticsTable(path=str(path), digest="0" * 64)


def test_estimated_difficulty_is_that_of_the_other_methods() -> None:
    records, lengths, hard = world()
    found = controlled(records, LengthControl(model="glm", difficulty="estimated"))["a c"]
    own, other = preferences(records, "a", "c"), preferences(records, "b", "c")
    difficulty = estimated_difficulty(np.stack([own, other]), 0)
    known = length_controlled_win_rate(own, lengths["a"][:, 0], lengths["c"][:, 0], difficulty)
    assert found.estimate == pytest.approx(known.estimate / 100)
    assert found.standard_error == pytest.approx(known.standard_error / 100)  # type: ignore[operator]
    assert found.also["difficulty_coefficient"] == pytest.approx(known.coefficients["difficulty"])
    assert found.also["share_longer"] == pytest.approx(known.diagnostics.share_longer)
    assert "difficulty estimated from 1 other method; no calibration rows" in found.note
    assert np.corrcoef(difficulty, hard)[0, 1] > 0.3


def test_difficulty_is_left_out_where_nobody_else_met_that_opponent() -> None:
    records = [row for row in world()[0] if row["versus"] is None or row["method"] == "a"]
    control = LengthControl(model="glm", difficulty="estimated")
    plain = asked(control)
    alone = plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update={"contrasts": (("a", "b"),)})})
    metrics = {**METRICS, "response_characters": LENGTH}
    by_metric = {item.metric: item for item in compute_contrasts(table(records), alone, metrics)}
    found = by_metric["length_controlled_win_rate"]
    assert "difficulty left out: no other method was judged against b" in found.note
    assert "difficulty_coefficient" not in found.also


@pytest.mark.parametrize("key", ["text", "id"])
def test_difficulty_by_id_is_joined_whatever_the_order(tmp_path: Path, key: str) -> None:
    records, lengths, hard = world()
    order = np.random.default_rng(1).permutation(N)
    lines = [(f"question {i}" if key == "text" else f"p{i:03d}", hard[i]) for i in order]
    file = written(tmp_path, ("instruction", "instruction_difficulty"), lines)
    found = controlled(records, LengthControl(model="glm", difficulty="by_id", difficulty_file=file))["a c"]
    own = preferences(records, "a", "c")
    known = length_controlled_win_rate(own, lengths["a"][:, 0], lengths["c"][:, 0], hard)
    assert found.estimate == pytest.approx(known.estimate / 100)
    assert "difficulty by id" in found.note
    with pytest.raises(BenchError, match="299 of 300 prompts have no difficulty"):
        difficulty_of(Asked().prompts(), {"question 0": 1.0})


def test_calibration_by_methods_and_by_a_file_are_the_same_rows(tmp_path: Path) -> None:
    records, lengths, _ = world()
    by_arm = controlled(records, LengthControl(model="glm", calibration_arms=("b",)))
    delta = lengths["c"][:, 0] - lengths["b"][:, 0]
    lines = list(
        zip(np.tanh(delta / delta.std(ddof=1)), np.zeros(N), preferences(records, "b", "c"), strict=True)
    )  # fmt: skip
    file = written(tmp_path, ("tanh_std_delta_len", "instruction_difficulty", "preference"), lines)
    by_file = controlled(records, LengthControl(model="glm", calibration=file))
    plain = controlled(records, LengthControl(model="glm"))
    assert by_arm["a c"].estimate == pytest.approx(by_file["a c"].estimate, abs=1e-12)  # type: ignore[arg-type]
    assert by_arm["a c"].estimate != pytest.approx(plain["a c"].estimate, abs=1e-6)  # type: ignore[arg-type]
    assert "calibrated on b" in by_arm["a c"].note
    assert "300 calibration rows from a file" in by_file["a c"].note
    # An arm does not calibrate itself, and rows about another baseline say nothing here.
    assert by_arm["b c"].estimate == plain["b c"].estimate
    assert "no calibration rows" in by_arm["b c"].note


def test_rows_about_another_baseline_stay_out() -> None:
    records, *_ = world()
    found = controlled(records, LengthControl(model="glm", calibration_arms=("a", "a_again")))
    assert "those there are tell about c as the baseline" in found["a b"].note
    # a_again has no verdicts, as after a stage that failed.
    assert "calibrated on a" in found["b c"].note
    assert "no calibration rows" in found["a c"].note


def test_two_methods_through_the_one_that_both_met() -> None:
    records, lengths, _ = world()
    found = controlled(records, LengthControl(model="glm"))
    sides = [
        length_controlled_win_rate(preferences(records, arm, "c"), lengths[arm][:, 0], lengths["c"][:, 0])
        for arm in ("a", "b")
    ]
    law = paired_difference(*sides)
    low, high = law.interval(0.95)
    also = found["a b"].also
    assert also["difference_over_versus"] == pytest.approx(float(np.asarray(law.estimate)) / 100)
    assert also["difference_over_versus_low"] == pytest.approx(low / 100)
    assert also["difference_over_versus_high"] == pytest.approx(high / 100)
    assert also["difference_over_versus_p"] == pytest.approx(float(law.p_value(0)))
    assert "difference_over_versus" not in found["a c"].also


def test_turned_pairs_give_the_same_difference() -> None:
    records, *_ = world(runs=3)
    plain = asked(LengthControl(model="glm"), runs=3)
    turned = plain.model_copy(
        update={"evaluation": plain.evaluation.model_copy(update={"contrasts": (("c", "a"), ("b", "c"), ("a", "b"))})}
    )
    metrics = {**METRICS, "response_characters": LENGTH}
    there, back = (
        next(
            item.also["difference_over_versus"]
            for item in compute_contrasts(table(records), one, metrics)
            if (item.a, item.b, item.metric) == ("a", "b", "length_controlled_win_rate")
        )
        for one in (plain, turned)
    )
    assert there == pytest.approx(back, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["glm", "ratio", "log_ratio", "matched"])
@pytest.mark.parametrize("case", ["ties", "wins", "losses", "equal lengths", "one prompt"])
def test_edges_inside_a_run(case: str, model: str) -> None:
    """The edge cases of AlpacaEval's regression: each gives the plain win rate, and a sentence that says why."""
    n = 1 if case == "one prompt" else 150
    generator = np.random.default_rng(0)
    own, other = generator.integers(50, 500, (2, n, 1)).astype(float)
    other = own if case == "equal lengths" else other
    value = {"ties": np.full((n, 1), 0.5), "wins": np.ones((n, 1)), "losses": np.zeros((n, 1))}.get(case)
    first = (generator.random((n, 1)) < 0.4) * 1.0 if value is None else value
    records = rows("a", own, "response_characters") + rows("c", other, "response_characters")
    plain = comparison((("a", "c"),), seeds=(0,), judges=(Coin(),))
    update = {"length_control": LengthControl(model=model), "versus": "c"}  # type: ignore[arg-type]
    one = plain.model_copy(update={"evaluation": plain.evaluation.model_copy(update=update)})
    metrics = {**METRICS, "response_characters": LENGTH}
    found = {item.metric: item for item in compute_contrasts(table(records + verdicts("a", "c", first)), one, metrics)}
    item = found["length_controlled_win_rate"]
    assert item.estimate == pytest.approx(float(first.mean()))
    said = {
        "ties": ("every prompt is a tie", "separated", ""),
        "wins": ("separated", ""),
        "losses": ("separated", ""),
        "equal lengths": ("do not vary", ""),
        "one prompt": ("one prompt: no test is possible",),
    }[case]
    assert any(words in item.note for words in said[: 1 if model == "glm" else None])
    assert item.standard_error is None or item.standard_error >= 0
