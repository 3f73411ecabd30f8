"""What the question is about, and what all other verdicts count for."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from bench.config.comparison import Comparison, Named, Primary
from bench.core.metrics import MetricInfo
from bench.results.conclusions.contrast import Contrast, primary_of
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.contrasts.primary import after_primary, with_roles
from tests.statistics.build import ERRORS, LENGTH, METRICS, SCORE, Coin, Quiz, comparison, rows, table
from tests.statistics.contrasts.test_contrasts import verdicts


class Exam(Quiz):
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (LENGTH, ERRORS, SCORE)


def judged_by(*labels: str, primary: Primary | None = None, **settings: Any) -> Comparison:
    found = comparison(primary=primary, **settings)
    evaluation = found.evaluation.model_copy(
        update={"judges": tuple(Named(label=label, judge=Coin()) for label in labels), "tasks": (Exam(),)}
    )
    return found.model_copy(update={"evaluation": evaluation})


def two_judges() -> list[dict[str, Any]]:
    """A lenient judge, first in the alphabet, that prefers a; a strict one that prefers b; scores; and errors."""
    generator = np.random.default_rng(3)
    found: list[dict[str, Any]] = []
    for label, rate in (("biased", 0.9), ("strict", 0.1)):
        for row in verdicts("a", "b", *(generator.random((2, 40, 3)) < rate).astype(float)):
            found.append({**row, "source": label})
    for arm in ("a", "b"):
        for metric in ("score", "errors", "length"):
            found += rows(arm, generator.normal(0, 1, (40, 3)), metric)
    return found


def test_the_first_declared_judge_leads_and_not_the_first_in_the_alphabet() -> None:
    found = compute_contrasts(table(two_judges()), judged_by("strict", "biased"), METRICS)
    (lead,) = primary_of(found)
    assert (lead.metric, lead.judge, lead.verdict) == ("win_rate", "strict", "b better")
    assert {item.role for item in found if item is not lead} == {"secondary"}


@pytest.mark.parametrize(
    ("wanted", "led"),
    [(Primary(metric="win_rate", judge="biased"), ("win_rate", "biased")), (Primary(metric="score"), ("score", None))],
)
def test_what_the_file_declares_leads(wanted: Primary, led: tuple[str, str | None]) -> None:
    found = compute_contrasts(table(two_judges()), judged_by("strict", "biased", primary=wanted), METRICS)
    assert {(item.metric, item.judge) for item in primary_of(found)} == {led}


def test_without_judges_the_first_metric_with_a_better_side_leads() -> None:
    assert judged_by().primary == Primary(metric="errors")
    assert comparison().primary != Primary(metric="errors")


def test_where_nothing_is_declared_the_first_contrast_with_a_better_side_leads() -> None:
    some = [made("length", 0.5, higher_is_better=None), made("acc", 0.5), made("other", 0.5)]
    assert [item.role for item in with_roles(some, None)] == ["secondary", "primary", "secondary"]
    assert [item.role for item in with_roles(some[:1], None)] == ["primary"]


def made(metric: str, p: float | None, **changes: Any) -> Contrast:
    fields: dict[str, Any] = {
        "a": "a", "b": "b", "task": "quiz", "metric": metric, "judge": None, "estimate": 1.0, "low": None, "high": None,
        "level": 0.95, "null_value": 0.0, "p": p, "p_adjusted": p, "test": "t", "standard_error": None,
        "degrees_of_freedom": None, "smallest_detectable": None, "mean_a": None, "mean_b": None, "n_prompts": 9,
        "n_runs": 1, "n_missing": 0, "speaks_about": "these trained models", "verdict": "undecided", "family": metric,
        "higher_is_better": True,
    }  # fmt: skip
    return Contrast.model_validate({**fields, **changes})


def test_the_gatekeeper_opens_only_where_every_primary_contrast_is_decided() -> None:
    primary = [made("win_rate", 0.01, role="primary"), made("win_rate", 0.02, role="primary")]
    second = [made("score", 0.001, role="secondary"), made("errors", 0.03, role="secondary")]
    assert after_primary([*primary, *second]) == {2: 0.02, 3: 0.03}
    shut = after_primary([primary[0], made("win_rate", 0.4, role="primary"), *second])
    assert shut == {2: 0.4, 3: 0.4}
    untested = after_primary([primary[0], made("win_rate", None, role="primary"), *second])
    assert set(untested.values()) == {1.0}
    assert set(after_primary(second).values()) == {1.0}
    control = made("win_rate", 0.9, role="primary", is_control=True)
    assert after_primary([*primary, control, *second]) == {3: 0.02, 4: 0.03}


def test_behind_the_gatekeeper_the_error_over_everything_is_that_of_one_family() -> None:
    """Two primary and twelve secondary families of two: with all nulls true, and with the primary effects true."""
    generator = np.random.default_rng(15)
    errors = {"none": [0, 0], "primary": [0, 0]}
    trials = 1500
    for truth in errors:
        for _ in range(trials):
            p = generator.random(26)
            if truth == "primary":
                p[:2] = 1e-6
            first = np.minimum(1, np.sort(p[:2]) * [2, 1])
            first = np.maximum.accumulate(first)
            lead = [made("win_rate", float(q), role="primary") for q in first]
            rest = [made(f"m{place}", float(q), role="secondary") for place, q in enumerate(p[2:])]
            gated = after_primary([*lead, *rest])
            wrong = min(gated.values()) < 0.05 or (truth == "none" and first.min() < 0.05)
            errors[truth][0] += wrong
            beside = np.minimum(1, np.sort(p[2:].reshape(12, 2), axis=1) * [2, 1])
            errors[truth][1] += bool(beside.min() < 0.05)
    assert max(errors["none"][0], errors["primary"][0]) / trials < 0.065
    assert errors["primary"][1] / trials > 0.4  # what families that each count by themselves come to


def test_secondary_verdicts_wait_for_the_primary_ones() -> None:
    records = two_judges()
    generator = np.random.default_rng(4)
    records = [row for row in records if row["metric"] != "score"]
    records += rows("a", generator.normal(3, 1, (40, 3))) + rows("b", generator.normal(0, 1, (40, 3)))
    wanted = Primary(metric="errors")  # nothing is there to find
    for secondary, verdict in (("beside", "a better"), ("after_primary", "undecided")):
        given = judged_by("strict", "biased", primary=wanted, secondary=secondary)
        found = compute_contrasts(table(records), given, METRICS)
        assert {item.verdict for item in found if item.metric == "errors"} == {"undecided"}
        assert {item.verdict for item in found if item.metric == "score"} == {verdict}
