"""Text that a spreadsheet would compute is guarded in CSV, and every text comes back as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.core.formats.formulas import guarded, unguarded
from bench.evaluation.judges._annotators import Annotation, read_annotations, write_annotations
from bench.export.contrast_tables import as_csv
from tests.gate.test_criteria import made
from tests.report.synthetic import summary

FORMULAS = [
    "=HYPERLINK(\"http://x\",A1)", "+1", "-2+3", "@SUM(A1)", "=cmd|' /C calc'!A0", "\uff1d1+1", "'=1", "''@x", "=", "-",
]  # fmt: skip
TEXTS = ["", "plain", "'quoted'", "'", "a=b", "1", "it's", " =1"]


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS, "\t=1", "\r=1", "\n=1"])
def test_every_text_comes_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")


def test_what_people_wrote_is_no_formula_in_the_file_and_as_they_wrote_it_when_read(tmp_path: Path) -> None:
    wrote = [Annotation(f"q{number}", text, "1", text) for number, text in enumerate(FORMULAS)]
    file = tmp_path / "human.csv"
    for _ in range(3):  # read and written again it stays the same
        write_annotations(wrote, file)
        with file.open(encoding="utf-8", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\uff1d"))]
        read = read_annotations(file)
        assert {(one.question, one.annotator, one.comment) for one in read} == {
            (one.question, one.annotator, one.comment) for one in wrote
        }
        wrote = read
    # What a spreadsheet has written without a guard is the same text.
    file.write_text('question,annotator,answer,comment\nq,=A1,2,"+1 for it"\n', encoding="utf-8")
    (one,) = read_annotations(file)
    assert (one.annotator, one.comment) == ("=A1", "+1 for it")


def test_names_in_a_table_are_no_formulas_and_numbers_are_numbers() -> None:
    text = as_csv([made(-0.25, 0.02, judge="=1+1", a="-x")], summary({}, "q"))
    (row,) = csv.DictReader(text.splitlines())
    assert (row["judge"], row["a"], row["estimate"]) == ("'=1+1", "'-x", "-0.25")
