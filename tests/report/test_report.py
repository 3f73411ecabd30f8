import base64
import hashlib
import json
import re
import subprocess
import sys
import zlib
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.core.errors import DataError
from bench.report import sentences
from bench.report.page.inline_svg import STYLE_SHEET, inline_svg
from bench.report.page.markdown import write_report
from bench.report.samples.prompt_view import Tables
from bench.report.samples.sample import take_samples
from bench.report.sections.response_counts import count_responses
from bench.results.claims import CLAIMS
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.summary import SUMMARY
from bench.results.wording import estimate, interval, p_value
from tests.once import made_once
from tests.report.synthetic import ARMS, PROMPTS, SEEDS, build, comparison, write_synthetic
from tests.sketched import sketched

PLOTS = ("forest", "seed_spread", "judge_audit", "learning_curves", "response_length", "cost", "quality_and_cost")
HOSTILE = {"sft": "<script>alert(1)</script>", "dpo": "dpo|`*$x$", "dpo_again": "[a](http://b)"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "reported", write_synthetic)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    with sketched(drawn=("forest", "learning_curves")):  # names along an axis, and names in a legend
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
    contrasts = CONCLUSIONS.read(folder).contrasts
    main = rows_of(report, "Win rate")
    wins = [item for item in contrasts if item.metric == "win_rate"]
    assert len(main) == len(wins) == 4
    for row, item in zip(main, wins, strict=True):
        check_row(row, item, "estimate", f"per seed ({', '.join(map(str, SEEDS))})")
    others = [item for item in contrasts if item.metric != "win_rate"]
    overview = {row["metric"]: row for row in rows_of(report, "Further metrics")}
    names = {"factual_error_rate": "factual error rate (lower is better)", "response_tokens": "response tokens"}
    assert list(overview) == list(names.values())
    further = [
        row
        for name in names.values()
        for row in rows_of(report.replace(f"<summary>{name[0].upper() + name[1:]}:", f"## {name}\n"), name)
    ]
    assert len(further) == len(others) == 4
    for row, item in zip(further, others, strict=True):
        assert same(overview[names[item.metric]][f"{item.a} vs {item.b}"][2:], [item.estimate])
        check_row(row, item, "difference", "per seed")
        assert same(row["smallest detectable"], [item.smallest_detectable])
        assert same(row["mean of method"], [item.mean_a])


def check_row(row: dict[str, str], item: Contrast, estimate: str, seeds: str) -> None:
    assert (row["method"], row["versus"]) == (item.a, item.b)
    assert same(row["adjusted interval"], list(shown_interval(item) or ()))
    assert same(row[estimate], [item.estimate])
    assert same(row[seeds], list(item.per_run))
    assert item.p_adjusted is not None
    assert row["adjusted p"] == "< 0.001" if item.p_adjusted < 0.001 else same(row["adjusted p"], [item.p_adjusted])
    assert row["verdict"].startswith("undecided") == (item.verdict == "undecided")


def test_costs_are_those_of_the_summary(folder: Path) -> None:
    summary = SUMMARY.read(folder)
    for row in rows_of((folder / "report.md").read_text(), "Cost")[: len(ARMS)]:
        flops = sum(summary.cost_of(row["arm"], seed)["flops"] for seed in SEEDS) / len(SEEDS)
        assert row["training FLOPs"].endswith(" T")
        assert parsed(row["training FLOPs"])[0] == pytest.approx(flops / 1e12, rel=0.005)


def test_every_contrast_has_its_sentence(folder: Path) -> None:
    report = (folder / "report.md").read_text()
    contrasts = CONCLUSIONS.read(folder).contrasts
    wins = [item for item in contrasts if item.metric == "win_rate"]
    context = sentences.context_of(wins, contrasts)
    assert context.shared
    for item in wins:
        said = sentences.control(item, context) if item.is_control else sentences.verdict(item, context)
        assert f"- **{said.headline}**: {said.numbers}" in report
    undecided = sum(item.verdict == "undecided" for item in wins if not item.is_control)
    assert f"{3 - undecided} of 3 declared contrasts decided, {undecided} not." in report
    assert "All are about win rate by the gold judge on questions, and about the training procedure." in report


def test_controls_on_further_metrics_are_counted(folder: Path) -> None:
    count = "On further metrics 2 of 2 tested controls find no difference; chance alone gives 0.1 false alarms"
    assert count in (folder / "report.md").read_text()


def test_sentences_say_what_the_numbers_say(folder: Path) -> None:
    win = (
        CONCLUSIONS.read(folder)
        .contrasts[0]
        .model_copy(update={"estimate": 0.71, "low": 0.66, "high": 0.76, "p_adjusted": 0.0004, "n_missing": 0})
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
    equal = win.model_copy(
        update={"metric": "length_controlled_win_rate", "estimate": 0.68, "low": 0.62, "high": 0.74, "p": None}
    )
    said = sentences.verdict(win, sentences.context_of([win], [equal]))
    assert said.headline == "dpo beats sft on win rate"
    assert said.numbers == (
        "0.71 [0.66, 0.76], adjusted p < 0.001, over 3 training seeds; length-controlled 0.68 [0.62, 0.74]"
    )
    alarm = win.model_copy(update={"is_control": True})
    assert sentences.control(alarm).tone == "alarm"
    assert "false alarm" in sentences.control(alarm).headline


def test_equal_inputs_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    assert write_report(tmp_path, build(tmp_path)) == tmp_path / "report.md"
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
        # The page's own script and the packed responses; nothing of what the methods wrote or are called.
        assert page.tags.count("script") == 2
        assert page.tags.count("style") == 1
        assert page.tags.count("figure") == len(list((path / "plots").glob("*.svg"))) >= len(PLOTS)
        assert not {"img", "iframe", "link", "object", "foreignobject", "image"} & set(page.tags)
        assert all(source.startswith("#") for source in page.sources)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in (hostile / "report.html").read_text()


def test_the_policy_admits_only_the_pages_own_script_and_style(folder: Path) -> None:
    html = (folder / "report.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    admitted = unescape(policy.group(1))
    for tag, opening in (("script", '<script type="module">'), ("style", "<style>")):
        inside = html.split(opening)[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in admitted
    assert admitted.startswith("default-src 'none';")
    assert "unsafe" not in admitted
    assert " style=" not in html.split("</style>")[1]


def test_the_page_says_the_numbers_that_the_markdown_says(folder: Path) -> None:
    html = unescape((folder / "report.html").read_text())
    report = (folder / "report.md").read_text()
    for item in CONCLUSIONS.read(folder).contrasts:
        cells = [interval(item), estimate(item), p_value(item.p_adjusted, item.level)]
        assert f"| {' | '.join(cells)} |" in report
        assert re.search(r"</td>".join(rf"<td class=\"r \">{re.escape(cell)}" for cell in cells), html)
    wins = [item for item in CONCLUSIONS.read(folder).contrasts if item.metric == "win_rate"]
    context = sentences.context_of(wins, ())
    for item in wins:
        said = sentences.control(item, context) if item.is_control else sentences.verdict(item, context)
        line = f'<strong>{said.headline}</strong> <span class="numbers">{said.numbers}</span>'
        assert line in html


def test_a_drawing_keeps_its_shapes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()" '
        f'viewBox="0 0 9 9"><script>x()</script><style>{STYLE_SHEET}</style><!-- --><a href="http://a"><rect/></a>'
        '<g id="a" style="fill: #ffffff; behavior: url(x)"><path id="b" d="M 0 0 \nL 1 1" onclick="x()"/>'
        '<use xlink:href="#b" clip-path="url(#a)"/><use xlink:href="http://a/b"/></g></svg>'
    )
    drawn = inline_svg(path, 'a "title"')
    assert '<g id="one-a" fill="#ffffff"><path id="one-b" d="M 0 0 L 1 1" />' in drawn
    assert '<use clip-path="url(#one-a)" href="#one-b" />' in drawn
    assert 'aria-label="a &quot;title&quot;"' in drawn
    assert "<g><rect /></g>" in drawn, "what is in a link is drawn, without the link"
    for part in ("script", "style", "onload", "onclick", "http", "behavior", "<!--"):
        assert part not in drawn
    path.write_text("no svg")
    with pytest.raises(DataError, match="bench report"):
        inline_svg(path, "title")


def test_a_run_without_responses_has_a_page_that_says_how_to_get_them(tmp_path: Path) -> None:
    comparison = build(tmp_path)
    (tmp_path / "responses.parquet").unlink()
    with sketched():
        write_report(tmp_path, comparison)
    for name in ("report.md", "report.html"):
        assert "an earlier version ran this comparison" in (tmp_path / name).read_text()
    assert 'id="samples"' not in (tmp_path / "report.html").read_text()


def test_samples_that_do_not_fit_are_a_sample_of_every_kind(folder: Path) -> None:
    responses, verdicts = RESPONSES.find(folder), VERDICTS.find(folder)
    assert responses is not None
    assert verdicts is not None
    claims = CLAIMS.read(folder)
    tables = Tables(responses, RECORDS.read(folder), verdicts, claims)
    whole, part = take_samples(tables), take_samples(tables, most=6000)
    assert (whole.shown, whole.of) == (PROMPTS, PROMPTS)
    assert 0 < part.shown < PROMPTS
    assert len(part.packed) <= 4 * 6000 / 3 + 8
    lines = zlib.decompress(base64.b64decode(part.packed), -zlib.MAX_WBITS).decode().rstrip("\n").split("\n")
    kinds = [json.loads(line)["kind"] for line in lines]
    assert len(kinds) == part.shown
    assert kinds.count("question") == pytest.approx(2 * kinds.count("request"), abs=2)


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


def test_responses_are_counted(folder: Path) -> None:
    base = count_responses(RECORDS.read(folder), ARMS)[0]
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
        "import sys, bench.cli.gate, bench.gate.check, bench.gate.baseline, bench.pipeline.verify;"
        "import bench.report.page.markdown, bench.report.terminal.contrast_tables;"
        "sys.exit(int('torch' in sys.modules or 'matplotlib' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
