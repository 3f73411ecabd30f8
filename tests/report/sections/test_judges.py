"""The judging section says what the audit found, and nothing that it did not find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.report.figures.judge_audit import judge_audit
from bench.report.inputs import Inputs, read_inputs
from bench.report.page.content import Block, Bullets, Heading, Table, Text
from bench.report.sections.judges import judges_section
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.judge_audit import Explained, JudgeAudit, Measure
from bench.results.records import RECORDS
from tests.report.synthetic import PROMPTS, build

NONE = Measure(n=0)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("run")
    return read_inputs(folder, build(folder))


def tables(blocks: list[Block]) -> dict[str, list[dict[str, str]]]:
    """The table below each heading, as dictionaries."""
    found: dict[str, list[dict[str, str]]] = {}
    title = ""
    for block in blocks:
        if isinstance(block, Heading):
            title = block.text
        if isinstance(block, Table):
            assert len(block.align) == len(block.columns)
            found[title] = [dict(zip(block.columns, row, strict=True)) for row in block.rows]
    return found


def test_every_number_is_one_of_the_audit(inputs: Inputs) -> None:
    shown = tables(judges_section(inputs, {}))
    positions = shown["Positions and noise"]
    assert [row["pair"] for row in positions][:2] == ["all pairs", "dpo vs sft"]
    assert len(positions) == len(inputs.conclusions.judges) == 5
    for row, audit in zip(positions, inputs.conclusions.judges, strict=True):
        assert row["verdicts"] == f"{audit.asked:,}"
        assert audit.flips.estimate is not None
        assert row["flips"].startswith(f"{100 * audit.flips.estimate:.1f}".rstrip("0").rstrip("."))
        assert row["same on a second call"] == "no noise"
        assert f"of {audit.flips_to_first.n:,}, p" in row["flips to the first"]
    assert len(shown["Length"]) == 5
    explained = shown["What simple rules explain"]
    assert [row["pair"] for row in explained] == [row["pair"] for row in positions[1:]]
    assert "longer_wins" in explained[0]
    assert "first_wins" not in explained[0]
    assert "same verdict" in explained[0]["longer_wins"]
    assert len(shown["Averaged and conservative win rates"]) == 4
    assert shown["Averaged and conservative win rates"][0]["orders agree"] == "80%"


def test_the_audit_counts_what_the_records_hold(inputs: Inputs, tmp_path: Path) -> None:
    build(tmp_path)
    table = RECORDS.read(tmp_path)
    audit = next(one for one in CONCLUSIONS.read(tmp_path).judges if (one.a, one.b) == ("dpo", "sft"))
    assert audit.asked == 2 * PROMPTS * 3
    assert audit.unparsed.estimate == pytest.approx(1 / audit.asked)
    pairs: dict[tuple[str, int], list[float]] = {}
    for row in table.to_pylist():
        if (row["method"], row["versus"]) == ("dpo", "sft") and row["value"] is not None:
            pairs.setdefault((row["prompt"], row["run"]), []).append(row["value"])
    full = [values for values in pairs.values() if len(values) == 2]
    assert audit.consistent.n == len(full) == PROMPTS * 3 - 1
    assert audit.consistent.estimate == pytest.approx(sum(one == two for one, two in full) / len(full))


def audit(**told: object) -> JudgeAudit:
    half = Measure(n=100, estimate=0.5, low=0.4, high=0.6)
    none = Measure(n=100, estimate=0.0, low=0.0, high=0.04)
    plain = JudgeAudit(
        judge="j", task="t", a="x", b="y", level=0.95, asked=200, unparsed=none, refused=none, error=none, ties=none,
        first_shown=half, consistent=Measure(n=100, estimate=1.0, low=0.96, high=1.0), flips=none, flips_to_first=NONE,
        position_p=None, retest="no noise", retested=NONE, longer_wins=half, length_status="ok",
        length_slope=Measure(n=100, estimate=0.0, low=-1.0, high=1.0),
    )  # fmt: skip
    return plain.model_copy(update=told)


def with_conclusions(inputs: Inputs, **found: object) -> Inputs:
    """The same inputs with some of their conclusions replaced."""
    return replace(inputs, conclusions=inputs.conclusions.model_copy(update=found))


def leanings(inputs: Inputs, *audits: JudgeAudit) -> tuple[str, ...]:
    blocks = judges_section(with_conclusions(inputs, judges=audits), {})
    return next(block.items for block in blocks if isinstance(block, Bullets))


def test_leanings_are_told_where_an_interval_shows_them(inputs: Inputs) -> None:
    assert leanings(inputs, audit()) == ("j on t shows no leaning to a position or a length.",)
    first = audit(
        first_shown=Measure(n=200, estimate=0.62, low=0.55, high=0.69),
        flips_to_first=Measure(n=18, estimate=16 / 18, low=0.65, high=0.99),
        position_p=0.00131,
    )
    (line,) = leanings(inputs, first)
    assert line.startswith("j on t leans to the response shown first: preference for the first 0.62 [0.55, 0.69]")
    assert "88.9% of 18 flips go to the first, p = 0.001" in line
    longer = audit(length_slope=Measure(n=100, estimate=2.0, low=1.0, high=3.0))
    assert "prefers the longer of two responses" in leanings(inputs, longer)[0]
    separated = audit(length_status="separated", longer_wins=Measure(n=100, estimate=0.0, low=0.0, high=0.04))
    assert "prefers the shorter of two responses" in leanings(inputs, separated)[0]
    part = Measure(n=100, estimate=0.8, low=0.6, high=1.1)
    minus = Measure(n=100, estimate=-0.2, low=-0.3, high=-0.1)
    half = Explained(
        control="word_overlap", agreement=part, when_a=part, when_tie=NONE, when_b=part, status="ok", excess=minus,
        explained=minus, share=part,
    )  # fmt: skip
    lost = leanings(inputs, audit(controls=(half,)))
    assert lost == ("j on t prefers y to x, and word_overlap explains 80% [60%, 110%] of it.",)


def test_what_never_wavers_is_told_in_short(inputs: Inputs) -> None:
    whole, one = audit(a=None, b=None), audit()
    steady = tuple(
        item.model_copy(update={"also": {**item.also, "order_consistency": 1.0}})
        for item in inputs.conclusions.contrasts
    )
    blocks = judges_section(with_conclusions(inputs, judges=(whole, one), contrasts=steady), {})
    assert [row["pair"] for row in tables(blocks)["Positions and noise"]] == ["all pairs"]
    assert "Averaged and conservative win rates" not in tables(blocks)
    assert any(isinstance(block, Text) and block.text.startswith("Both orders agree on every pair") for block in blocks)


def test_without_judges_there_is_neither_section_nor_picture(inputs: Inputs, tmp_path: Path) -> None:
    assert judges_section(with_conclusions(inputs, judges=()), {}) == []
    assert judge_audit((), tmp_path, "judge_audit") is None
    empty = audit(first_shown=NONE, flips=NONE, longer_wins=NONE)
    assert judge_audit((empty,), tmp_path, "judge_audit") is None
    assert not (tmp_path / "judge_audit.png").exists()
