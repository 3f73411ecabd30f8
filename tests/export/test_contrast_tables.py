"""The contrasts as CSV, LaTeX and JSON say what contrasts.json says."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from bench.export.contrast_tables import LATEX, as_csv, as_json, as_latex, escaped
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import SUMMARY, RunSummary
from bench.results.wording import estimate, interval
from tests.report.synthetic import SEEDS, build

HOSTILE = {"sft": "a_b & c%", "dpo": "{$x^2$} #1 \\input{secret}", "dpo_again": '~"<>|` \u2212\u0007'}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Contrast, ...], RunSummary]:
    folder = tmp_path_factory.mktemp("run")
    build(folder)
    return CONCLUSIONS.read(folder).contrasts, SUMMARY.read(folder)


def test_csv_holds_every_number_in_full(made: tuple[tuple[Contrast, ...], RunSummary]) -> None:
    contrasts, summary = made
    rows = list(csv.DictReader(io.StringIO(as_csv(contrasts, summary))))
    assert len(rows) == len(contrasts)
    for row, item in zip(rows, contrasts, strict=True):
        for name in ("estimate", "low", "high", "p", "p_adjusted", "standard_error", "smallest_detectable"):
            value = getattr(item, name)
            assert row[name] == "" if value is None else float(row[name]) == value
        assert (row["a"], row["b"], row["verdict"], row["metric"]) == (item.a, item.b, item.verdict, item.metric)
        assert row["judge"] == (item.judge or "")
        assert [float(row[f"seed_{seed}"]) for seed in SEEDS] == list(item.per_run)


def test_csv_gives_what_some_contrasts_have_a_column(made: tuple[tuple[Contrast, ...], RunSummary]) -> None:
    contrasts, summary = made
    one = contrasts[0].model_copy(update={"also": {"wilcoxon_p": 0.25, "sign_test_p": None}, "own_reward": ("dpo",)})
    rows = list(csv.DictReader(io.StringIO(as_csv([one, contrasts[1]], summary))))
    assert [row["also_wilcoxon_p"] for row in rows] == ["0.25", ""]
    assert [row["also_sign_test_p"] for row in rows] == ["", ""]
    assert [row["own_reward"] for row in rows] == ["dpo", ""]


def test_json_is_what_contrasts_json_holds(made: tuple[tuple[Contrast, ...], RunSummary]) -> None:
    contrasts, summary = made
    told = json.loads(as_json(contrasts, summary))
    assert tuple(Contrast.model_validate(item) for item in told["contrasts"]) == contrasts
    assert told["seeds"] == list(SEEDS)
    assert told["question"] == summary.question


def latex_rows(text: str) -> list[list[str]]:
    """The cells of all rows between midrule and bottomrule, split where LaTeX would split them."""
    found = []
    for body in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL):
        for line in body.strip().split("\n"):
            assert line.endswith(r" \\")
            found.append([cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\"))])
    return found


def test_latex_has_the_digits_of_the_report(made: tuple[tuple[Contrast, ...], RunSummary]) -> None:
    contrasts, summary = made
    text = as_latex(contrasts, summary)
    assert text.count(r"\begin{tabular}{llrrrl}") == text.count(r"\toprule") == 3
    rows = latex_rows(text)
    assert len(rows) == len(contrasts)
    by_pair = {(row[0], row[2], row[3]) for row in rows}
    for item in contrasts:
        assert (escaped(item.a), escaped(interval(item)), escaped(estimate(item))) in by_pair


def test_no_name_can_leave_its_cell(tmp_path: Path) -> None:
    build(tmp_path, HOSTILE)
    text = as_latex(CONCLUSIONS.read(tmp_path).contrasts, SUMMARY.read(tmp_path))
    for row in latex_rows(text):
        assert len(row) == 6
    for line in text.split("\n")[1:]:
        assert not re.search(r"(?<!\\)[%#]|(?<!\\)_|\^|~|\x07", line)
        # What is left after the escapes has braces that close in order, and commands of this table only.
        bare = re.sub(r"\\[{}$&#_%\\]", "", line)
        depth = 0
        for letter in bare:
            depth += (letter == "{") - (letter == "}")
            assert depth >= 0
        assert depth == 0
        assert bare.count("$") % 2 == 0
        own = {"begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule"}
        own |= {"uparrow", "downarrow"}
        printed = {value[1:-2] for value in LATEX.values() if value.endswith("{}")}
        assert set(re.findall(r"\\([A-Za-z]+)", bare)) <= own | printed
    assert "secret" in text
    assert r"\input" not in text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b", r"a\_b"),
        ("50% & more", r"50\% \& more"),
        ("\\", r"\textbackslash{}"),
        ("{x}", r"\{x\}"),
        ("[0.1, 0.2]", "{}[0.1, 0.2]"),
        ("two\nlines", "two lines"),
        ("\u22120.3", "$-$0.3"),
        ("", "--"),
    ],
)
def test_escaping(text: str, written: str) -> None:
    # An empty text is the dash of the tables, which is escaped with them.
    assert escaped(text).replace("\u2013", "--") == written
