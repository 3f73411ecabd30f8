"""Sections that show conclusions beside the contrasts: what each says is what ``contrasts.json`` holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.page.markdown import write_report
from bench.report.sections.spending import SPENT
from bench.results.conclusions.all import CONCLUSIONS, Conclusions
from bench.results.conclusions.contrast import primary_of
from bench.results.conclusions.tax import Tax, TaxVerdict
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY
from bench.results.wording import NONE
from bench.statistics.contrasts.contrasts import compute_contrasts
from bench.statistics.power.decomposition import decompositions
from bench.statistics.ranking.tournament import rankings
from tests.report.synthetic import build
from tests.report.test_report import parsed, rows_of
from tests.sketched import sketched


def line(arm: str, metric: str, advantage: float, half: float, verdict: TaxVerdict) -> Tax:
    return Tax(
        arm=arm, versus="sft", task="facts", metric=metric, margin=0.02, level=0.95, advantage=advantage,
        lower=advantage - half, upper=advantage + half, p=0.0123, mean_arm=0.5 + advantage, mean_versus=0.5,
        verdict=verdict, n_prompts=300, n_runs=3, n_missing=0, speaks_about="the training procedure",
    )  # fmt: skip


TAX = (
    line("base", "acc", 0.004, 0.011, "kept"),
    line("dpo", "acc", -0.061, 0.017, "lost"),
    line("dpo", "acc_norm", -0.018, 0.021, "undecided"),
    line("dpo_again", "acc", 0.0, 0.0, "undecided").model_copy(
        update={"lower": None, "upper": None, "p": None, "note": "all differences are equal"}
    ),
)


@pytest.fixture(scope="module")
def concluded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Conclusions]:
    """A report whose variances and ranking are those of its records, and its conclusions."""
    folder = tmp_path_factory.mktemp("run")
    comparison = build(folder)
    settings = comparison.statistics.model_copy(update={"missing": "drop_prompts", "resamples": 200})
    lenient = comparison.model_copy(update={"statistics": settings})
    records = RECORDS.read(folder)
    found = tuple(compute_contrasts(records, lenient, {}))
    conclusions = CONCLUSIONS.read(folder).model_copy(
        update={
            "variance": decompositions(primary_of(found), 0.1),
            "rankings": rankings(records, lenient, {"gold": ("dpo",)}),
            "tax": TAX,
        }
    )
    CONCLUSIONS.write(conclusions, folder)
    with sketched():
        report = write_report(folder, comparison)
    return report.read_text(encoding="utf-8"), CONCLUSIONS.read(folder)


def test_variances_are_those_of_the_conclusions(concluded: tuple[str, Conclusions]) -> None:
    report, conclusions = concluded
    shown = rows_of(report, "Where the uncertainty comes from")
    assert len(shown) == len(conclusions.variance) == 4
    for row, item in zip(shown, conclusions.variance, strict=True):
        assert row["contrast"].startswith(f"{item.a} vs {item.b}")
        parts = {part.source: part for part in item.parts}
        sd, share = parsed(row["judge"])
        assert sd == pytest.approx(parts["judge"].sd, abs=0.005)
        assert share == pytest.approx(100 * (parts["judge"].share or 0), abs=0.051)
        assert row["draws"] == "in prompts \u00d7 seeds"
    designs = rows_of(
        report.split("Where the uncertainty", 1)[1].replace("###", "##"), "What more seeds or prompts would buy"
    )
    for row, item in zip(designs, conclusions.variance, strict=True):
        assert parsed(row["now"])[0] == pytest.approx(item.designs[0].smallest_detectable, abs=0.005)
        assert parsed(row["2 \u00d7 seeds"])[0] == pytest.approx(item.designs[3].smallest_detectable, abs=0.005)


def test_what_an_effect_needs_is_said(concluded: tuple[str, Conclusions]) -> None:
    report, conclusions = concluded
    item = conclusions.variance[0]
    assert item.needed[0].effect == 0.1
    assert f"to find a difference of 0.100 with 80% power takes {item.needed[0].n_runs} seeds" in report


def test_ranks_are_those_of_the_conclusions(concluded: tuple[str, Conclusions]) -> None:
    report, conclusions = concluded
    (found,) = conclusions.rankings
    shown = rows_of(report, "All methods on one scale")
    assert [row["method"].removesuffix(" (own reward)") for row in shown] == [place.name for place in found.places]
    assert [row["method"].endswith("(own reward)") for row in shown] == [place.own_reward for place in found.places]
    for row, place in zip(shown, found.places, strict=True):
        for column, ends in (
            ("ranks of these models", (place.models_low, place.models_high)),
            ("ranks of the procedure", (place.rank_low, place.rank_high)),
        ):
            assert parsed(row[column].replace("\u2013", " ")) == sorted(set(ends))
        if place.name != found.anchor:
            assert parsed(row["strength"])[0] == pytest.approx(place.strength, abs=0.051)
    assert "plots/ranking.png" in report


def test_the_tax_is_that_of_the_conclusions(concluded: tuple[str, Conclusions]) -> None:
    report, conclusions = concluded
    assert conclusions.tax == TAX
    shown = rows_of(report, "Alignment tax")
    for row, item in zip(shown, TAX, strict=True):
        assert (row["arm"], row["metric"], row["verdict"]) == (item.arm, item.metric, item.verdict)
        assert parsed(row["advantage"])[0] == pytest.approx(item.advantage, abs=6e-4)
        if item.lower is not None:
            assert parsed(row["one-sided 95% bounds"]) == pytest.approx([item.lower, item.upper], abs=6e-4)
    assert "- dpo: lost: facts (acc); undecided: facts (acc_norm)" in report
    assert "all differences are equal" in report
    assert "1 kept, 1 lost, 1 undecided of 3 lines" in report


def test_what_was_paid_is_the_sum_of_the_manifests(tmp_path: Path) -> None:
    comparison = build(tmp_path)
    summary = SUMMARY.read(tmp_path)
    spent = [(120.0, 36_000.0, 0.125), (30.0, 9_000.0, 0.03125), (7.0, 800.0, 0.0)]
    stages = dict(summary.stages)
    for (key, stage), kind, costs in zip(list(stages.items())[:3], ("judge", "judge", "check"), spent, strict=True):
        cost = {**stage.cost, **dict(zip(SPENT, costs, strict=True))}
        stages[key] = stage.model_copy(update={"kind": kind, "cost": cost})
    SUMMARY.write(summary.model_copy(update={"stages": stages}), tmp_path)
    report = write_report(tmp_path, comparison).read_text(encoding="utf-8")
    assert rows_of(report.replace("### ", "## "), "Models behind an API") == [
        {"stages": "check", "requests": "7", "tokens": "800", "USD": NONE},
        {"stages": "judge", "requests": "150", "tokens": "45,000", "USD": "0.16"},
        {"stages": "together", "requests": "157", "tokens": "45,800", "USD": "0.16"},
    ]


def test_nothing_is_said_where_nothing_was_concluded(tmp_path: Path) -> None:
    with sketched():
        report = write_report(tmp_path, build(tmp_path)).read_text(encoding="utf-8")
    assert "All methods on one scale" not in report
    assert "Where the uncertainty comes from" not in report
    assert "Alignment tax" not in report
    assert "Models behind an API" not in report
    assert not (tmp_path / "plots" / "ranking.png").exists()
