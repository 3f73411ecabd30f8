import json
import re
from collections import Counter
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from bench.config.comparison import Criterion
from bench.core.errors import BenchError
from bench.gate.criteria_in_words import as_markdown, sentence
from bench.gate.decide import check, decide, evidence, evidence_between, exit_code, foregone
from bench.gate.outputs import as_json, as_junit
from bench.results.conclusions.contrast import Contrast
from tests.report.synthetic import comparison


def made(estimate: float | None, error: float | None, **changes: object) -> Contrast:
    fields: dict[str, object] = {
        "a": "dpo", "b": "sft", "task": "questions", "metric": "win_rate", "judge": "gold", "estimate": estimate,
        "low": None, "high": None, "level": 0.95, "null_value": 0.5, "p": None, "p_adjusted": None, "test": "t",
        "standard_error": error, "degrees_of_freedom": 8.0, "smallest_detectable": None, "mean_a": None, "mean_b": None,
        "n_prompts": 9, "n_runs": 3, "n_missing": 0, "speaks_about": "the training procedure", "verdict": "undecided",
        "family": "f", "higher_is_better": True,
    }  # fmt: skip
    return Contrast.model_validate({**fields, **changes})


def criterion(**margin: float | str) -> Criterion:
    return Criterion.model_validate({"metric": "win_rate", "method": "dpo", "versus": "sft", **margin})


def verdict(one: Criterion, contrast: Contrast) -> str:
    (result,) = check(comparison(gate=(one,)), [contrast])
    return result.verdict


@pytest.mark.parametrize(
    ("margin", "estimate", "wanted"),
    [
        ({"superior_by": 0.0}, 0.60, "pass"),
        ({"superior_by": 0.0}, 0.51, "undecided"),
        ({"superior_by": 0.0}, 0.40, "regression"),
        ({"superior_by": 0.1}, 0.60, "undecided"),
        ({"not_worse_by": 0.05}, 0.51, "pass"),
        ({"not_worse_by": 0.05}, 0.48, "undecided"),
        ({"not_worse_by": 0.05}, 0.46, "undecided"),
        ({"not_worse_by": 0.05}, 0.40, "regression"),
        ({"equivalent_within": 0.05}, 0.50, "pass"),
        ({"equivalent_within": 0.05}, 0.54, "undecided"),
        ({"equivalent_within": 0.05}, 0.60, "regression"),
        ({"equivalent_within": 0.05}, 0.40, "regression"),
    ],
)
def test_three_verdicts(margin: dict[str, float], estimate: float, wanted: str) -> None:
    assert verdict(criterion(**margin), made(estimate, 0.02)) == wanted


def test_direction_comes_from_the_metric_and_pairs_may_stand_the_other_way_round() -> None:
    errors = {"metric": "error_rate", "null_value": 0.0, "higher_is_better": False, "judge": None}
    one = Criterion(metric="error_rate", method="dpo", versus="sft", superior_by=0.0)
    assert verdict(one, made(-0.2, 0.02, **errors)) == "pass"
    assert verdict(one, made(0.2, 0.02, **errors)) == "regression"
    assert verdict(one, made(0.2, 0.02, a="sft", b="dpo", **errors)) == "pass"
    assert verdict(criterion(superior_by=0.0), made(0.3, 0.02, a="sft", b="dpo")) == "pass"


def test_bounds_and_p_values_are_students() -> None:
    (result,) = check(comparison(gate=(criterion(not_worse_by=0.03),)), [made(0.52, 0.02)])
    reach = stats.t.ppf(0.95, 8) * 0.02
    assert (result.lower, result.upper) == pytest.approx((0.02 - reach, 0.02 + reach))
    assert result.p == pytest.approx(stats.t.sf(0.05 / 0.02, 8))
    assert (result.verdict == "pass") == (result.p < 0.05)


def test_without_a_standard_error_the_interval_counts_and_without_both_nothing_is_decided() -> None:
    one = criterion(superior_by=0.0)
    assert verdict(one, made(1.0, None, low=0.6, high=1.0)) == "pass"
    assert verdict(one, made(1.0, 0.0, low=0.45, high=1.0)) == "undecided"
    (result,) = check(comparison(gate=(one,)), [made(None, None, note="no rows at seed 2")])
    assert (result.verdict, result.reason, result.p) == ("undecided", "no rows at seed 2", None)
    assert sentence(result) == "undecided: no rows at seed 2"


def test_exit_codes() -> None:
    lines = (criterion(superior_by=0.0), criterion(not_worse_by=0.3))
    codes = [exit_code(check(comparison(gate=lines), [made(e, 0.02)])) for e in (0.6, 0.4, 0.51)]
    assert codes == [0, 1, 3]
    assert exit_code([]) == 3


def test_one_criterion_asks_for_every_task_and_judge_it_does_not_name() -> None:
    both = [made(0.6, 0.02), made(0.6, 0.02, judge="likelihood")]
    assert len(check(comparison(gate=(criterion(superior_by=0.0),)), both)) == 2
    assert len(check(comparison(gate=(criterion(superior_by=0.0, judge="gold"),)), both)) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"versus": "ppo"}, "no contrast compares these two"),
        ({"metric": "win_rat"}, "Did you mean 'win_rate'"),
        ({"judge": "golden"}, "nothing was measured by golden on any task"),
    ],
)
def test_a_criterion_that_nothing_answers_is_wrong_usage(change: dict[str, str], told: str) -> None:
    with pytest.raises(BenchError, match=told):
        check(comparison(gate=(criterion(superior_by=0.0, **change),)), [made(0.6, 0.02)])


def test_wrong_usage() -> None:
    with pytest.raises(BenchError, match="no gate"):
        check(comparison(), [])
    with pytest.raises(BenchError, match="exactly one"):
        check(comparison(gate=(criterion(),)), [made(0.6, 0.02)])
    with pytest.raises(BenchError, match="no better side"):
        check(comparison(gate=(criterion(superior_by=0.0),)), [made(0.6, 0.02, higher_is_better=None)])


@pytest.mark.parametrize(
    ("margin", "told"),
    [
        ({"not_worse_by": 5.0}, "never fail: an advantage on this metric lies between -0.5 and 0.5; give .* below 0.5"),
        ({"not_worse_by": 0.5}, "never fail"),
        ({"equivalent_within": 0.5}, "never fail"),
        ({"superior_by": 0.5}, "never pass"),
        ({"not_worse_by": 0.4}, None),
        ({"superior_by": 0.0}, None),
    ],
)
def test_a_margin_that_the_bounds_decide_is_told(margin: dict[str, float], told: str | None) -> None:
    bounded = made(0.6, 0.02, support=((0.0, 0.4), (1.0, 0.6)), components={"independent_prompts": 9.0})
    (found,) = evidence_between(comparison(gate=(criterion(**margin),)), [bounded])
    words = foregone(found)
    assert words is None if told is None else words is not None and re.search(told, words)


def shares(margin: dict[str, float], truth: float) -> dict[str, float]:
    """Shares of verdicts in 2,000 simulated comparisons (9 differences each, sd 0.06)."""
    rng = np.random.default_rng(5)
    draws = 0.5 + truth + rng.normal(0, 0.06, (2000, 9))
    estimates, errors = draws.mean(axis=1), draws.std(axis=1, ddof=1) / 3
    one = criterion(**margin)
    verdicts = Counter(
        decide([evidence(one, made(float(e), float(s)), 0.95, "sft")], "holm")[0].verdict
        for e, s in zip(estimates, errors, strict=True)
    )
    return {verdict: verdicts[verdict] / 2000 for verdict in ("pass", "regression", "undecided")}


def test_error_rates_by_simulation() -> None:
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    superior = shares({"superior_by": 0.0}, 0.0)
    assert 0.03 < superior["pass"] < limit
    assert superior["regression"] < limit
    not_worse = shares({"not_worse_by": 0.04}, -0.04)
    assert 0.03 < not_worse["pass"] < limit
    assert not_worse["regression"] < limit
    equivalent = shares({"equivalent_within": 0.06}, 0.06)
    assert equivalent["pass"] < limit
    assert equivalent["regression"] < limit


def test_the_advantage_called_detectable_passes_about_four_times_in_five() -> None:
    (result,) = check(comparison(gate=(criterion(superior_by=0.01),)), [made(0.5, 0.02)])
    assert result.smallest_detectable is not None
    assert 0.75 < shares({"superior_by": 0.01}, result.smallest_detectable)["pass"] < 0.85


def test_outputs() -> None:
    lines = (
        criterion(superior_by=0.0),
        criterion(not_worse_by=0.2, judge="<b>\x00&"),
        criterion(superior_by=0.3, judge="third"),
    )
    contrasts = [made(0.6, 0.02), made(0.2, 0.02, judge="<b>\x00&"), made(0.81, 0.02, judge="third")]
    results = check(comparison(gate=(lines[0].model_copy(update={"judge": "gold"}), *lines[1:])), contrasts)
    assert [result.verdict for result in results] == ["pass", "regression", "undecided"]

    suite = ET.fromstring(as_junit(results)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"], ["error"]]

    body = json.loads(as_json(results))
    assert (body["verdict"], body["exit_code"], len(body["criteria"])) == ("regression", 1, 3)
    assert body["criteria"][0]["lower"] == results[0].lower

    text = as_markdown(results)
    assert text.startswith("### Gate: regression")
    assert "<b>" not in text
    assert "80% power at a true advantage of" in text
