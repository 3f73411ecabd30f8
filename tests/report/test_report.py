import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.core.contrast import Contrast, read_contrasts
from bench.core.errors import DataError
from bench.core.records import read_records
from bench.core.summary import read_summary
from bench.report import sentences
from bench.report.audit import audit_arms, audit_judges
from bench.report.markdown import write_report
from tests.report.synthetic import ARMS, PROMPTS, SEEDS, build, comparison

PLOTS = ("forest", "seed_spread", "learning_curves", "response_length", "cost", "quality_and_cost")
HOSTILE = {"sft": "<script>alert(1)</script>", "dpo": "dpo|`*$x$", "dpo_again": "[a](http://b)"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    assert write_report(path, build(path)) == path / "report.md"
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    write_report(path, build(path, HOSTILE, "# <script>alert(2)</script> | or [not](http://c)?"))
    return path


def rows_of(report: str, heading: str) -> list[dict[str, str]]:
    """The first table under a heading, as dictionaries."""
    lines = report.split(f"## {heading}\n", 1)[1].split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def parsed(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"[-+]?\d+\.?\d*", text.replace("\u2212", "-"))]


def same(text: str, values: list[float | None]) -> bool:
    """Whether the numbers written are the values, rounded to the digits written."""
    numbers = re.findall(r"[-+]?\d+\.?\d*", text.replace("\u2212", "-"))
    assert len(numbers) == len(values)
    return all(
        value is not None and float(written) == pytest.approx(round(value, len(written.partition(".")[2])), abs=1e-12)
        for written, value in zip(numbers, values, strict=True)
    )


def test_every_number_of_the_tables_is_a_number_of_contrasts_json(folder: Path) -> None:
    report = (folder / "report.md").read_text()
    contrasts = read_contrasts(folder / "contrasts.json")
    main = rows_of(report, "Win rate")
    wins = [item for item in contrasts if item.metric == "win_rate"]
    assert len(main) == len(wins) == 4
    for row, item in zip(main, wins, strict=True):
        check_row(row, item, "estimate", f"per seed ({', '.join(map(str, SEEDS))})")
    further = rows_of(report, "Further metrics")
    others = [item for item in contrasts if item.metric != "win_rate"]
    assert len(further) == len(others) == 4
    for row, item in zip(further, others, strict=True):
        check_row(row, item, "difference", "per seed")
        assert same(row["smallest detectable"], [item.smallest_detectable])
        assert same(row["mean of method"], [item.mean_a])


def check_row(row: dict[str, str], item: Contrast, estimate: str, seeds: str) -> None:
    assert (row["method"], row["versus"]) == (item.a, item.b)
    assert same(row["interval"], [item.low, item.high])
    assert same(row[estimate], [item.estimate])
    assert same(row[seeds], list(item.per_run))
    assert item.p_adjusted is not None
    assert row["adjusted p"] == "< 0.001" if item.p_adjusted < 0.001 else same(row["adjusted p"], [item.p_adjusted])
    assert row["verdict"].startswith("undecided") == (item.verdict == "undecided")


def test_costs_are_those_of_the_summary(folder: Path) -> None:
    summary = read_summary(folder / "run.json")
    for row in rows_of((folder / "report.md").read_text(), "Cost")[: len(ARMS)]:
        flops = sum(summary.cost_of(row["arm"], seed)["flops"] for seed in SEEDS) / len(SEEDS)
        assert row["training FLOPs"].endswith(" T")
        assert parsed(row["training FLOPs"])[0] == pytest.approx(flops / 1e12, rel=0.005)


def test_every_contrast_has_its_sentence(folder: Path) -> None:
    report = (folder / "report.md").read_text()
    for item in read_contrasts(folder / "contrasts.json"):
        if item.metric == "win_rate":
            said = sentences.control(item) if item.is_control else sentences.verdict(item)
            assert f"- **{said.headline}**: {said.numbers}" in report


def test_controls_on_further_metrics_are_counted(folder: Path) -> None:
    assert "On further metrics 2 of 2 controls find no difference." in (folder / "report.md").read_text()


def test_sentences_say_what_the_numbers_say(folder: Path) -> None:
    win = read_contrasts(folder / "contrasts.json")[0].model_copy(
        update={"estimate": 0.71, "low": 0.66, "high": 0.76, "p_adjusted": 0.0004, "n_missing": 0}
    )
    said = sentences.verdict(win)
    assert said.headline == "dpo beats sft on win rate (gold judge, questions)"
    assert said.numbers == (
        "0.71 [0.66, 0.76], adjusted p < 0.001, over 3 training seeds; speaks about the training procedure"
    )
    undecided = win.model_copy(update={"verdict": "undecided", "p_adjusted": 0.3, "smallest_detectable": 0.07})
    said = sentences.verdict(undecided)
    assert said.headline == "dpo against sft on win rate (gold judge, questions) is undecided"
    assert "the smallest difference it could detect is 0.07" in said.numbers
    one = win.model_copy(update={"n_runs": 1, "speaks_about": "these trained models", "verdict": "b better"})
    assert "loses to" in sentences.verdict(one).headline
    assert "over 1 training seed; speaks about these trained models" in sentences.verdict(one).numbers
    untested = undecided.model_copy(update={"p": None, "p_adjusted": None, "note": "one prompt only"})
    assert "no test possible" in sentences.verdict(untested).numbers
    assert sentences.verdict(untested).numbers.endswith("one prompt only")
    alarm = win.model_copy(update={"is_control": True})
    assert sentences.control(alarm).tone == "alarm"
    assert "false alarm" in sentences.control(alarm).headline


def test_equal_inputs_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    write_report(tmp_path, build(tmp_path))
    names = ["report.md", "report.html", *(f"plots/{name}.{kind}" for name in PLOTS for kind in ("svg", "png"))]
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_pictures_carry_no_date_and_no_software(folder: Path) -> None:
    for name in PLOTS:
        svg = (folder / "plots" / f"{name}.svg").read_text()
        assert "<dc:date>" not in svg
        assert "matplotlib.org" not in svg
        assert b"Software" not in (folder / "plots" / f"{name}.png").read_bytes()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_html_stands_alone_and_escapes_names(folder: Path, hostile: Path) -> None:
    for path in (folder, hostile):
        page = Tags()
        page.feed((path / "report.html").read_text())
        assert "script" not in page.tags
        assert page.tags.count("img") == len(list((path / "plots").glob("*.svg"))) >= len(PLOTS)
        assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in (hostile / "report.html").read_text()


def test_markdown_escapes_names(hostile: Path) -> None:
    report = (hostile / "report.md").read_text()
    assert "<script>" not in report
    assert "> \\# &lt;script>" in report
    assert not re.search(r"(?<!\\)\]\(http", report)
    for heading in ("Win rate", "Cost"):
        assert len({line.count(" | ") for line in report.split(f"## {heading}\n")[1].split("\n\n")[1].split("\n")}) == 1


def test_links_to_pictures_are_relative_and_lead_somewhere(folder: Path) -> None:
    links = re.findall(r"\((plots/[^)]+)\)", (folder / "report.md").read_text())
    assert len(links) == 2 * len(PLOTS)
    assert all((folder / link).is_file() for link in links)


def test_judging_and_responses_are_counted(folder: Path) -> None:
    table = read_records(folder / "records.parquet")
    audits = {(audit.method, audit.versus): audit for audit in audit_judges(table)}
    audit = audits["dpo", "sft"]
    assert (audit.asked, audit.usable, audit.unusable) == (2 * PROMPTS * 3, 2 * PROMPTS * 3 - 1, {"unparsed": 1})
    assert audit.both_orders == PROMPTS * 3 - 1
    assert audit.agree is not None and audit.first_shown is not None
    assert 0 < audit.agree < 1
    assert audit.first_shown > 0.5
    pairs: dict[tuple[str, int], list[float]] = {}
    for row in table.to_pylist():
        if (row["method"], row["versus"]) == ("dpo", "sft") and row["value"] is not None:
            pairs.setdefault((row["prompt"], row["run"]), []).append(row["value"])
    full = [values for values in pairs.values() if len(values) == 2]
    assert audit.agree == pytest.approx(sum(one == two for one, two in full) / len(full))
    base = audit_arms(table, ARMS)[0]
    assert (base.arm, base.responses, base.unscored) == ("base", PROMPTS * 3, {"undefined": 3})


def test_what_is_missing_is_told(folder: Path) -> None:
    report = (folder / "report.md").read_text()
    assert "base, seed 1, task questions: prompt q005 has no claim, so no error rate" in report
    assert "dpo against sft on win rate (gold judge, questions): 1 value missing" in report


def test_without_a_run_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bench run"):
        write_report(tmp_path, comparison())


def test_reporting_and_gating_never_load_torch() -> None:
    code = (
        "import sys, bench.gate, bench.report.markdown, bench.report.terminal;"
        "sys.exit(int('torch' in sys.modules or 'matplotlib' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
