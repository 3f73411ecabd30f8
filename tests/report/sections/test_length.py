"""The section on equal length, its pictures, and the table of what is left of a judge's bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

from bench.config.comparison import Comparison, LengthControl
from bench.report.figures.length_control import length_control
from bench.report.figures.length_effect import length_effect
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Figure, Heading, Table, Text
from bench.report.sections.length import length_section
from bench.results.conclusions.all import Conclusions
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import estimate
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.length.recovery import length_recoveries
from tests.report.synthetic import summary
from tests.statistics.build import LENGTH, METRICS, table
from tests.statistics.length.test_recovery import ARMS, asked, world


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """A run with a gold judge and one that likes length, length-controlled by the regression."""
    comparison, records = asked(LengthControl(model="glm")), table(world(1.5))
    contrasts = compute_contrasts(records, comparison, {**METRICS, "response_characters": LENGTH})
    trials = length_recoveries(records, comparison)
    conclusions = Conclusions(contrasts=tuple(contrasts), length_recovery=trials)
    return Inputs(comparison, summary({}, "?"), conclusions, records)


def tables(blocks: Sequence[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def words(blocks: Sequence[Block]) -> str:
    texts = [block.text for block in blocks if isinstance(block, Heading | Text)]
    return "\n".join(texts + [item for block in blocks if isinstance(block, Bullets) for item in block.items])


def of(inputs: Inputs, arm: str, metric: str, judge: str) -> Contrast:
    found = inputs.conclusions.contrasts
    return next(item for item in found if (item.a, item.metric, item.judge) == (arm, metric, judge))


def test_every_controlled_win_rate_has_its_row(inputs: Inputs) -> None:
    first = tables(length_section(inputs, {}))[0]
    rows = [dict(zip(first.columns, row, strict=True)) for row in first.rows]
    assert {(row["method"], row["judge"]) for row in rows} == {
        (arm, judge) for arm in ARMS for judge in ("coin", "gold")
    }
    verbose = next(row for row in rows if (row["method"], row["judge"]) == ("d", "coin"))
    plain, equal = (of(inputs, "d", name, "coin") for name in ("win_rate", "length_controlled_win_rate"))
    assert float(verbose["plain win rate"]) == pytest.approx(plain.estimate, abs=0.005)
    assert float(verbose["at equal length"]) == pytest.approx(equal.estimate, abs=0.005)
    assert verbose["longer / shorter"].startswith(f"{100 * (equal.also['share_longer'] or 0):.0f}%")
    assert "difficulty not in the model" in verbose["rests on"]


def test_the_table_of_what_is_left_is_the_trial(inputs: Inputs) -> None:
    (trial,) = inputs.conclusions.length_recovery
    blocks = length_section(inputs, {})
    last = tables(blocks)[-1]
    assert last.columns[2:5] == trial.arms
    assert last.columns[-1] == f"reversed of {trial.pairs}"
    gold, longer, *rows = last.rows
    assert [float(cell) for cell in gold[2:5]] == pytest.approx(trial.truth, abs=5e-4)
    assert [float(cell.replace("\u2212", "-")) for cell in longer[2:5]] == pytest.approx(trial.longer, abs=0.5)
    assert [row[0] for row in rows] == [item.estimator for item in trial.estimates]
    for row, item in zip(rows, trial.estimates, strict=True):
        assert [float(cell.partition(" ")[0]) for cell in row[2:5]] == pytest.approx(item.values, abs=5e-3)
        assert float(row[5]) == pytest.approx(item.mean_error, abs=5e-4)
        assert float(row[6]) == pytest.approx(item.max_error, abs=5e-4)
        assert row[1] == ("\u2013" if item.labels is None else str(item.labels))


def test_the_words_are_those_of_the_numbers(inputs: Inputs) -> None:
    (trial,) = inputs.conclusions.length_recovery
    told = words(length_section(inputs, {}))
    raw = trial.estimates[0]
    assert f"The plain win rate errs by {raw.mean_error:.3f} on average, most on d" in told
    assert f"reverses {raw.reversed:.0f} of the {trial.pairs} pairs that gold tells apart" in told
    best = min(
        (item for item in trial.estimates[1:] if item.labels is None), key=lambda item: (item.reversed, item.mean_error)
    )
    assert f"{best.estimator} does best: {best.mean_error:.3f} on average" in told
    assert "With gold verdicts on 25 prompts the prediction-powered estimate" in told


def test_differences_over_the_common_baseline_are_shown(inputs: Inputs) -> None:
    item = of(inputs, "a", "length_controlled_win_rate", "coin")
    numbers = {"difference_over_versus": 0.1, "difference_over_versus_low": 0.02, "difference_over_versus_high": 0.18}
    asked_too = item.model_copy(update={"b": "b", "also": {**item.also, **numbers, "difference_over_versus_p": 0.0151}})
    blocks = length_section(replace(inputs, conclusions=Conclusions(contrasts=(asked_too,))), {})
    (row,) = tables(blocks)[1].rows
    assert row[:2] == ("a", "b")
    assert row[4].startswith("[+0.02")
    assert row[5].startswith("+0.10")
    assert row[6] == "0.015"


def test_nothing_is_said_where_nothing_was_asked(inputs: Inputs, tmp_path: Path) -> None:
    plain = tuple(item for item in inputs.conclusions.contrasts if item.metric == "win_rate")
    assert length_section(replace(inputs, conclusions=Conclusions(contrasts=plain)), {}) == []
    assert length_control(plain, (), tmp_path, "x") is None
    assert length_effect(inputs.records, plain, tmp_path, "x") is None
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_drawn_small_and_say_what_they_show(inputs: Inputs, tmp_path: Path) -> None:
    dots = length_control(inputs.conclusions.contrasts, inputs.conclusions.length_recovery, tmp_path, "dots")
    effect = length_effect(inputs.records, inputs.conclusions.contrasts, tmp_path, "effect")
    assert dots is not None
    assert effect is not None
    plain, equal = (of(inputs, "d", name, "coin") for name in ("win_rate", "length_controlled_win_rate"))
    assert f"coin d vs c from {estimate(plain)} to {estimate(equal)}" in dots.caption
    assert "gold d" not in dots.caption
    assert effect.title == "Preference over length, gold and coin judges", "the primary one, and the one moved most"
    assert "4,320 pairs of responses" in effect.caption
    assert "d is 12" in effect.caption
    assert (tmp_path / "effect.svg").stat().st_size < 300_000
    first = [(tmp_path / name).read_bytes() for name in ("dots.svg", "effect.svg", "effect.png")]
    length_control(inputs.conclusions.contrasts, inputs.conclusions.length_recovery, tmp_path, "dots")
    length_effect(inputs.records, inputs.conclusions.contrasts, tmp_path, "effect")
    assert [(tmp_path / name).read_bytes() for name in ("dots.svg", "effect.svg", "effect.png")] == first
    blocks = length_section(inputs, {"length_control": dots, "length_effect": effect})
    assert [block.picture.name for block in blocks if isinstance(block, Figure)] == ["dots", "effect"]


def test_another_model_has_no_curve(tmp_path: Path) -> None:
    comparison: Comparison = asked(LengthControl(model="matched"))
    records = table(world(1.5))
    contrasts = compute_contrasts(records, comparison, {**METRICS, "response_characters": LENGTH})
    assert length_effect(records, contrasts, tmp_path, "effect") is not None
    item = next(one for one in contrasts if one.metric == "length_controlled_win_rate")
    assert "length_coefficient" not in item.also
    matched: Any = item.also["share_matched"]
    blocks = length_section(Inputs(comparison, summary({}, "?"), Conclusions(contrasts=tuple(contrasts)), records), {})
    assert f"{100 * matched:.0f}% matched" in tables(blocks)[0].rows[0]


def test_the_planted_curve_is_the_judges(inputs: Inputs) -> None:
    """At 150 characters more the fitted preference for an arm of equal quality is near the judge's own."""
    also = of(inputs, "b", "length_controlled_win_rate", "coin").also
    slope, bias, scale = (also[name] or 0.0 for name in ("length_coefficient", "bias_coefficient", "length_scale"))
    fitted = special.expit(slope * np.tanh(-150 / scale) + bias)
    utility = np.random.default_rng(0).normal(0.5, 1, 20_000)
    assert fitted == pytest.approx(float(special.expit(2 * (utility + 1.5 * 1.5)).mean()), abs=0.08)
