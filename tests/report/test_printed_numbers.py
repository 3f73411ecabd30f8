"""Every number that report, page, gate and JUnit print about a contrast is the one in contrasts.json, rounded."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.gate.criteria_in_words import as_markdown
from bench.gate.decide import check
from bench.gate.outputs import as_junit
from bench.report.page.markdown import write_report
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast, shown_interval
from tests.report.printed import INTERVAL, agrees, known, page_as_markdown, tables, triples, with_intervals
from tests.report.synthetic import build
from tests.sketched import sketched

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted(path.parent for path in (ROOT / "results").glob("*/contrasts.json"))


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("printed")
    with sketched():
        write_report(folder, build(folder))
    return folder


def conclusions(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "contrasts.json").read_text(encoding="utf-8"))


def texts(folder: Path) -> dict[str, str]:
    """What is printed beside the conclusions, as text: Markdown, the page, and LaTeX where there is any."""
    found = {"report.md": (folder / "report.md").read_text(encoding="utf-8")}
    found["report.html"] = page_as_markdown((folder / "report.html").read_text(encoding="utf-8"))
    for file in folder.rglob("*.tex"):
        found[file.name] = re.sub(r"\$|\\,", "", file.read_text(encoding="utf-8"))
    return found


def check_numbers(folder: Path) -> int:
    """Compare every interval, and every row of a table of contrasts; how many rows were compared."""
    body = conclusions(folder)
    exact, rows = np.array(list(triples(body)), dtype=float), 0
    for name, text in texts(folder).items():
        gateless = re.sub(r".*one-sided .* bounds.*", "", text)
        for printed in with_intervals(gateless):
            assert known(printed, exact), f"{name}: {printed} is no conclusion"
        for table in tables(text):
            for row in table:
                if {"method", "versus", "adjusted interval", "adjusted p"} <= row.keys():
                    check_row(row, body["contrasts"], name)
                    rows += 1
    return rows


def check_row(row: dict[str, str], contrasts: list[dict[str, Any]], name: str) -> None:
    """Assert that a row is one of the contrasts of its pair, number by number."""
    estimate = row.get("estimate", row.get("difference", ""))
    found = INTERVAL.search(row["adjusted interval"])
    pair = [item for item in contrasts if (item["a"], item["b"]) == (row["method"], row["versus"])]
    # Contrasts are turned in no table, so the pair must be there as it is.
    matching = [
        item
        for item in pair
        if agrees(estimate, item["estimate"])
        and agrees_with(found, shown_interval(Contrast.model_validate(item)))
        and agrees(row["adjusted p"], item["p_adjusted"] if item["p_adjusted"] is not None else item["p"])
    ]
    assert matching, f"{name}: no contrast of {row['method']} and {row['versus']} has the numbers of {row}"


def agrees_with(found: re.Match[str] | None, interval: tuple[float, float] | None) -> bool:
    """Whether a printed interval is the one that is shown of a contrast."""
    if found is None or interval is None:
        return found is None and interval is None
    return agrees(found[1], interval[0]) and agrees(found[2], interval[1])


def test_the_report_of_synthetic_numbers(synthetic: Path) -> None:
    assert check_numbers(synthetic) >= 2 * len(conclusions(synthetic)["contrasts"])


@pytest.mark.parametrize("folder", RESULTS, ids=lambda path: path.name)
def test_the_committed_reports(folder: Path) -> None:
    assert check_numbers(folder) >= len(conclusions(folder)["contrasts"])


def test_a_changed_number_is_found(synthetic: Path, tmp_path: Path) -> None:
    for name in ("contrasts.json", "report.md", "report.html"):
        (tmp_path / name).write_bytes((synthetic / name).read_bytes())
    body = conclusions(tmp_path)
    body["contrasts"][0]["estimate"] += 0.1
    (tmp_path / "contrasts.json").write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(AssertionError, match="no conclusion|no contrast"):
        check_numbers(tmp_path)


def test_junit_and_the_summary_print_the_numbers_of_the_contrasts(synthetic: Path) -> None:
    comparison = build(synthetic)
    contrasts = CONCLUSIONS.read(synthetic).contrasts
    results = check(comparison, contrasts)
    junit, summary = as_junit(results), as_markdown(results)
    pattern = re.compile(r"(?:advantage|difference) (\S+), one-sided 95% bounds \[(\S+), (\S+)\], p ([=<] \d\.\d+)")

    cases = " ".join(part.text or "" for part in ET.fromstring(junit).iter())
    told = [found.groups() for found in pattern.finditer(cases)]
    table = next(iter(tables(summary)))
    assert len(table) == len(results) == len(comparison.gate)
    for result, row in zip(results, table, strict=True):
        contrast = next(
            item
            for item in contrasts
            if {item.a, item.b} == {result.criterion.method, result.criterion.versus}
            and item.metric == result.criterion.metric
        )
        sign = -1 if contrast.higher_is_better is False else 1
        sign *= 1 if contrast.a == result.criterion.method else -1
        assert contrast.estimate is not None
        assert result.advantage == pytest.approx(sign * (contrast.estimate - contrast.null_value))
        ends = INTERVAL.search(row["bounds (95%, one-sided)"])
        assert ends is not None
        assert agrees(row["advantage"], result.advantage)
        assert agrees(ends[1], result.lower)
        assert agrees(ends[2], result.upper)
        lost = result.verdict == "regression"
        assert agrees(row["p"].removeprefix("= "), result.p_regression if lost else result.p)
        p = result.p_regression if lost else result.p
        assert any(
            agrees(one[0], result.advantage) and agrees(one[1], result.lower) and agrees(one[2], result.upper)
            and agrees(one[3].removeprefix("= "), p)
            for one in told
        ), result.name  # fmt: skip
