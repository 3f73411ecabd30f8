"""The alignment tax: verdicts at a margin from rows of benchmarks, and how often they are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.config.comparison import AlignmentTax, Comparison
from bench.core.benchmark import LmEvalTask
from bench.core.errors import IncompleteRecords
from bench.core.metrics import MetricInfo
from bench.results.conclusions.tax import Tax
from bench.results.summary import Missing
from bench.statistics.contrasts.tax import _tested, alignment_tax
from bench.statistics.crossing.crossing import Crossing
from tests.statistics.build import comparison, rows, table

METRICS = {
    "acc": MetricInfo(name="acc", unit="lm-eval's", higher_is_better=True, description="accuracy"),
    "loss": MetricInfo(name="loss", unit="lm-eval's", higher_is_better=False, description="loss"),
    "odd": MetricInfo(name="odd", unit="lm-eval's", higher_is_better=None, description="no direction"),
}


def asking(seeds: range = range(3), margin: float = 0.05, **settings: Any) -> Comparison:
    given = comparison(seeds=seeds, **settings)
    update = {"benchmarks": (LmEvalTask(name="facts", harness="0"),), "tax": AlignmentTax(versus="a", margin=margin)}
    return given.model_copy(update={"evaluation": given.evaluation.model_copy(update=update)})


def documents(arm: str, values: np.ndarray, metric: str = "acc") -> list[dict[str, Any]]:
    return rows(arm, values, metric, task="facts")


def all_arms(by_arm: dict[str, np.ndarray], metric: str = "acc") -> list[dict[str, Any]]:
    return [row for arm, values in by_arm.items() for row in documents(arm, values, metric)]


def taxed(records: list[dict[str, Any]], asked: Comparison, missing: tuple[Missing, ...] = ()) -> dict[str, Tax]:
    return {f"{item.arm} {item.metric}": item for item in alignment_tax(table(records), asked, METRICS, missing)}


def base(seed: int = 0, documents_: int = 400, runs: int = 3) -> tuple[np.random.Generator, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator, generator.normal(0.6, 0.3, (documents_, 1)) + generator.normal(0, 0.05, (documents_, runs))


def test_kept_lost_and_undecided() -> None:
    generator, start = base()
    arms = {
        "a": start,
        "b": start + generator.normal(0.0, 0.1, start.shape),
        "c": start - 0.15 + generator.normal(0.0, 0.1, start.shape),
        "a_again": start - 0.05 + generator.normal(0.0, 0.1, start.shape),
    }
    found = taxed(all_arms(arms), asking())
    assert [found[f"{arm} acc"].verdict for arm in ("b", "c", "a_again")] == ["kept", "lost", "undecided"]
    line = found["c acc"]
    assert line.advantage == pytest.approx(float((arms["c"] - start).mean()))
    assert line.mean_versus == pytest.approx(float(start.mean()))
    assert line.lower is not None and line.upper is not None and line.lower < line.upper < -0.05
    assert (line.versus, line.margin, line.n_prompts, line.n_runs) == ("a", 0.05, 400, 3)
    assert line.p is not None and line.p > 0.99


def test_lower_is_better_is_turned_and_no_direction_is_left_out() -> None:
    generator, start = base(1)
    worse = {arm: start + 0.2 * (arm == "b") for arm in ("a", "b", "c", "a_again")}
    worse = {arm: values + generator.normal(0, 0.1, start.shape) for arm, values in worse.items()}
    found = taxed(all_arms(worse, "loss") + all_arms(worse, "odd"), asking())
    assert found["b loss"].verdict == "lost"
    assert found["b loss"].advantage == pytest.approx(-float((worse["b"] - worse["a"]).mean()))
    assert "b odd" not in found


def test_one_run_of_right_and_wrong_has_score_bounds() -> None:
    right = np.ones((60, 1))
    found = taxed(all_arms({arm: right for arm in ("a", "b", "c", "a_again")}), asking(range(1)))
    line = found["b acc"]
    z2 = stats.norm.ppf(0.95) ** 2 / 60
    assert line.lower == pytest.approx(-z2 / (1 + z2))
    assert (line.verdict, line.note) == ("kept", "score bounds")
    few = taxed(all_arms({arm: right[:20] for arm in ("a", "b", "c", "a_again")}), asking(range(1)))
    assert few["b acc"].verdict == "undecided"  # twenty equal answers do not show that 5% are kept


def test_a_margin_of_two_percent_by_the_miss_of_mcnemar_data() -> None:
    """5 lost and 2 won of 500: the lower bound of Tango at one-sided 95% decides at 0.02."""
    start, other = np.ones((500, 1)), np.ones((500, 1))
    start[:2] = 0.0
    other[2:7] = 0.0
    arms = {"a": start, "b": other, "c": start, "a_again": start}
    line = taxed(all_arms(arms), asking(range(1), margin=0.02))["b acc"]
    assert line.advantage == pytest.approx(-3 / 500)
    assert line.lower is not None and line.p is not None
    assert (line.lower > -0.02) == (line.p < 0.05) == (line.verdict == "kept")


def test_nothing_to_test_is_undecided_with_a_reason() -> None:
    one = taxed(all_arms({arm: np.ones((1, 3)) for arm in ("a", "b", "c", "a_again")}), asking())
    assert (one["b acc"].verdict, one["b acc"].lower) == ("undecided", None)
    assert "fewer than two" in one["b acc"].note
    shifted = {arm: np.full((30, 3), 0.4 + 0.2 * (arm == "b")) for arm in ("a", "b", "c", "a_again")}
    flat = taxed(all_arms(shifted), asking())["b acc"]
    assert flat.verdict == "undecided" and "no variation" in flat.note


def test_missing_cells_are_left_out_and_missing_rows_refused() -> None:
    _, start = base(2)
    records = all_arms({"a": start, "b": start + 0.01, "c": start})
    lost = (Missing(arm="a_again", run=1, task="facts", reason="failed"),)
    noisy = all_arms({"a": start, "b": start[::-1], "c": start[::-1]})
    assert set(taxed(noisy, asking(), lost)) == {"b acc", "c acc"}
    assert taxed(noisy, asking(), (Missing(arm="a", run=0, task="facts", reason="failed"),)) == {}
    with pytest.raises(IncompleteRecords, match="alignment tax"):
        taxed(records[:-1], asking(), lost)


def test_not_asked_is_nothing() -> None:
    _, start = base(3)
    records = all_arms({arm: start for arm in ("a", "b", "c", "a_again")})
    assert alignment_tax(table(records), comparison(), METRICS, ()) == ()


@pytest.mark.parametrize("runs", [1, 3])
def test_an_arm_at_the_margin_is_kept_in_at_most_five_percent(runs: int) -> None:
    """600 arms that are worse by exactly the margin of 0.05, over documents and, with three, seeds that differ."""
    generator, kept, lost = np.random.default_rng(4), 0, 0
    for _ in range(600):
        difference = -0.05 + generator.normal(0, 0.3, (80, 1)) + generator.normal(0, 0.03 * (runs > 1), (1, runs))
        values = difference + generator.normal(0, 0.2, (80, runs))
        crossing = Crossing(tuple(map(str, range(80))), np.arange(80), values, values, np.zeros_like(values))
        found = _tested(crossing, 1.0, 0.05, 0.95)
        assert found.lower is not None and found.upper is not None
        kept += found.lower > -0.05
        lost += found.upper < -0.05
    allowed = 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    assert kept / 600 <= allowed and lost / 600 <= allowed


def test_right_and_wrong_at_the_margin_is_kept_in_about_five_percent() -> None:
    """Exact sum over the trinomial law of 200 documents with rates 0.02 and 0.07 of being right alone."""
    p, q, n, kept = 0.02, 0.07, 200, 0.0
    for b in range(25):
        for c in range(45):
            weight = float(stats.multinomial.pmf([b, c, n - b - c], n, [p, q, 1 - p - q]))
            if weight > 1e-5:
                a_values, b_values = np.zeros((n, 1)), np.zeros((n, 1))
                a_values[:b], b_values[b : b + c] = 1.0, 1.0
                crossing = Crossing(tuple(map(str, range(n))), np.arange(n), a_values - b_values, a_values, b_values)
                lower = _tested(crossing, 1.0, 0.05, 0.95).lower
                kept += weight * (lower is not None and lower > -0.05)
    assert 0.02 <= kept <= 0.06
