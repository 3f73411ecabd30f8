"""People as judges: questions without names, answers back, and a comparison that does not wait for them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.cli.app import main
from bench.core.errors import BenchError, DataError, StageError
from bench.core.frozen import digest_of_file
from bench.evaluation.judges._annotators import (
    Annotation,
    Annotations,
    question_id,
    read_annotations,
    turned,
    write_annotations,
)
from bench.evaluation.judges.human import EQUAL, NOBODY, Human
from bench.human.exchange import export_questions, import_answers, write_csv, write_page
from bench.human.questions import AnnotatorQuestion
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY
from tests.evaluation.judges.scripted import io_in, pair
from tests.once import take_stages
from tests.sketched import sketched
from tests.whole import COMPARISON, write_whole

WITH_PEOPLE = COMPARISON.replace("judges: [{", "judges: [human, {")


def human(folder: Path, answers: list[Annotation]) -> Human:
    file = folder / "human.csv"
    write_annotations(answers, file)
    return Human(path=str(file), digest=digest_of_file(file))


def test_a_verdict_is_the_mean_over_people_in_whichever_order_they_saw_the_pair(tmp_path: Path) -> None:
    shown = pair("good", "bad")
    judge = human(
        tmp_path,
        [
            Annotation(question_id(shown), "ana", "1"),
            Annotation(question_id(turned(shown)), "ben", "1"),
            Annotation(question_id(shown), "cyd", "tie"),
            Annotation(question_id(shown), "dan", "both_bad"),
            Annotation(question_id(shown), "eve", "1"),
        ],
    )
    here, there, equal, unknown = judge.compare(
        None, [shown, turned(shown), pair("same", "same"), pair("good", "other")], io_in(tmp_path)
    )
    assert here.value == pytest.approx((1 + 0.5 + 0.5 + 1 + 0) / 5)
    assert there.value == pytest.approx(1 - here.value)
    assert here.text == "ana: first; cyd: tie; dan: both bad; eve: first; ben: second"
    assert (equal.value, equal.text) == (0.5, EQUAL)
    assert (unknown.value, unknown.status, unknown.text) == (None, "undefined", NOBODY)


def test_people_rate_nothing_and_changed_answers_are_noticed(tmp_path: Path) -> None:
    judge = human(tmp_path, [Annotation("q", "ana", "1")])
    with pytest.raises(StageError, match="rates none"):
        judge.rate(None, [], io_in(tmp_path))
    (tmp_path / "human.csv").write_text("question,annotator,answer\n", encoding="utf-8")
    with pytest.raises(DataError, match="have changed since"):
        judge.compare(None, [pair("a", "b")], io_in(tmp_path))
    assert Human().waits_for() is not None
    assert judge.waits_for() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("question,annotator,answer\nq1,ana,1\nq2,ana,3\n", r"row 3: the answer '3' is none of 1, 2, tie, both_bad"),
        ("question,annotator,answer\nq1,,1\n", "row 2: no annotator"),
        ("question,annotator,answer\n,ana,1\n", "row 2: no question"),
        ("question;annotator;answer\nq1;ana;1\nq1;ana;2\n", "row 3: ana answered 1 to q1 in row 2, here 2"),
        ("question,answer\nq1,1\n", "row 1: no column annotator"),
        ("", "row 1: no column question, annotator, answer"),
    ],
)
def test_a_wrong_file_of_answers_is_told_row_by_row(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_annotations(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ('{"a": 1}', "must be a list"), ('[{"question": "q"}]', "no column annotator, answer")],
)
def test_a_wrong_json_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "answers.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_annotations(file)


def test_every_wrong_row_is_told_and_rows_without_an_answer_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    rows = "".join(f"q{number},ana,x\n" for number in range(14))
    file.write_text(f"question,annotator,answer\n{rows}", encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_annotations(file)
    assert str(error.value).count("row ") == 10
    assert "and 4 more" in str(error.value)
    file.write_text('\ufeffquestion,annotator,answer,comment\nq1,,,\nq2,ana,tie,"two\nlines"\n', encoding="utf-8")
    assert read_annotations(file) == [Annotation("q2", "ana", "tie", "two\nlines", 3)]
    with pytest.raises(DataError, match="no such file"):
        read_annotations(tmp_path / "nowhere.csv")


def test_nothing_in_a_text_escapes_from_the_page_or_becomes_a_formula(tmp_path: Path) -> None:
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;'
    questions = [AnnotatorQuestion("id1", evil, "=1+1", '@"quoted"\n- a list')]
    write_page(questions, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2
    assert "alert(1)</script>" not in page
    assert "<img" not in page
    data = re.search(r'id="questions">(.*?)</script>', page)
    assert data is not None
    assert json.loads(data[1]) == [{"id": "id1", "prompt": evil, "first": "=1+1", "second": '@"quoted"\n- a list'}]
    assert "http" not in page.replace("http-equiv", "")
    write_csv(questions, tmp_path / "page.csv")
    with (tmp_path / "page.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["response_1"], row["response_2"]) == ("'=1+1", '\'@"quoted"\n- a list')


def run(folder: Path, *arguments: str) -> int:
    """Run a command in this process, without real pictures."""
    try:
        with sketched():
            main([*arguments[:1], str(folder), *arguments[1:]])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.mark.slow
def test_a_comparison_runs_without_answers_and_takes_them_in(
    tmp_path: Path, computed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_whole(tmp_path, WITH_PEOPLE)
    with pytest.raises(BenchError, match="Run the comparison first"):
        export_questions(folder, (), tmp_path / "q.csv", None, None, 0)
    take_stages(computed, tmp_path)
    assert run(folder, "run", "--engine", "inline") == 0
    assert "missing: verdicts of human: nobody has answered yet" in capsys.readouterr().out
    assert "bench human export" in (folder / "report.md").read_text(encoding="utf-8")
    records = RECORDS.read(folder)
    assert "human" not in records["source"].to_pylist()
    assert "lexicon" in {one["judge"] for one in json.loads((folder / "contrasts.json").read_text())["contrasts"]}
    assert {cell.judge for cell in SUMMARY.read(folder).missing} == {"human"}
    assert run(folder, "report") == 0

    told = export_questions(folder, (), tmp_path / "q.csv", None, None, 0)
    with (tmp_path / "q.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert f"wrote {len(rows)} questions" in told
    names = {"base", "sft", "dpo", "dpo_again", "dpo_lora"}
    assert not names & set(re.findall(r"\w+", (tmp_path / "q.csv").read_text(encoding="utf-8-sig")))
    assert len({row["question"] for row in rows}) == len(rows)
    assert all(row["response_1"] != row["response_2"] for row in rows)
    # The same seed draws the same questions on the same sides, and fewer of them are the first ones.
    export_questions(folder, (), tmp_path / "few.csv", None, 5, 0)
    with (tmp_path / "few.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.DictReader(file)) == rows[:5]

    for annotator, choose in (("ana", lambda one: "1"), ("ben", lambda one: "2" if "no" in one["response_1"] else "1")):
        answered = [{**row, "annotator": annotator, "answer": choose(row)} for row in rows]
        write(tmp_path / f"{annotator}.csv", answered)
    told = import_answers(folder, (), [tmp_path / "ana.csv", tmp_path / "ben.csv"], None, print)
    assert f"{2 * len(rows)} new answers" in told
    assert "by 2 people" in told
    assert "0 new answers" in import_answers(folder, (), [tmp_path / "ana.csv"], None, print)
    write(tmp_path / "ana2.csv", [{**rows[0], "annotator": "ana", "answer": "both_bad"}])
    with pytest.raises(DataError, match="has answered 1 before"):
        import_answers(folder, (), [tmp_path / "ana2.csv"], None, print)
    write(tmp_path / "odd.csv", [{**rows[0], "question": "0" * 16, "annotator": "ana", "answer": "1"}])
    with pytest.raises(DataError, match=r"rows 2 \(0000000000000000\) answer no question"):
        import_answers(folder, (), [tmp_path / "odd.csv"], None, print)
    write(tmp_path / "blank.csv", rows)
    with pytest.raises(DataError, match="no row has an answer"):
        import_answers(folder, (), [tmp_path / "blank.csv"], None, print)

    assert run(folder, "run", "--engine", "inline") == 0
    assert "missing" not in capsys.readouterr().out
    records = RECORDS.read(folder)
    verdicts = [row for row in records.to_pylist() if row["source"] == "human"]
    assert {row["status"] for row in verdicts} == {"ok"}
    assert not SUMMARY.read(folder).missing
    people = pq.read_table(folder / "annotations.parquet").to_pylist()
    assert {row["annotator"] for row in people} == {"ana", "ben"}
    check_means(people, verdicts)


def check_means(people: list[dict[str, Any]], verdicts: list[dict[str, Any]]) -> None:
    """Every verdict is the mean of the people's values for it, or a tie of equal responses."""
    by_cell: dict[tuple[Any, ...], list[float]] = {}
    for row in people:
        cell = tuple(row[name] for name in ("task", "prompt", "method", "versus", "run", "draw"))
        by_cell.setdefault(cell, []).append(row["value"])
    for row in verdicts:
        found = by_cell.get(tuple(row[name] for name in ("task", "prompt", "method", "versus", "run", "draw")), [0.5])
        assert row["value"] == pytest.approx(sum(found) / len(found))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_answers_are_found_in_both_orders() -> None:
    shown = pair("a", "b")
    answers = Annotations([Annotation(question_id(shown), "ana", "2")])
    assert [one.preference for one in answers.on(shown)] == [0.0]
    assert [one.preference for one in answers.on(turned(shown))] == [1.0]
    assert question_id(shown) != question_id(turned(shown))
