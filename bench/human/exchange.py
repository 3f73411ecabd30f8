"""``bench human export`` and ``bench human import``: files of questions, and of annotations."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from bench.core.errors import BenchError, DataError
from bench.core.files import replace_text, replacing
from bench.core.formats.formulas import guarded
from bench.evaluation.judges._annotators import (
    CHOICES,
    Annotation,
    question_id,
    read_annotations,
    turned,
    write_annotations,
)
from bench.human.questions import (
    AnnotatorQuestion,
    human_judge,
    pairs_of,
    questions_for_annotators,
    run_before_asking,
)
from bench.results.writing import writing

COLUMNS = ("question", "prompt", "response_1", "response_2", "answer", "annotator", "comment")
PAGE, DATA_PLACE = "page.html", "__QUESTIONS__"
_SHOWN = 5


def export_questions(
    path: Path, overrides: Sequence[str], to: Path, judge: str | None, at_most: int | None, seed: int
) -> str:
    """Return what was written: the questions of a comparison for annotators, as CSV or as a page for a browser.

    ``at_most``: so many questions, drawn by ``seed``, which also draws their order and their sides.
    """
    run = run_before_asking(path, overrides)
    human_judge(run, judge)
    questions = questions_for_annotators(pairs_of(run), seed)
    questions = questions if at_most is None else questions[:at_most]
    if not questions:
        raise BenchError("there is nothing to ask: all responses that are to be compared are the same")
    writers = {".csv": write_csv, ".html": write_page}
    if to.suffix not in writers:
        raise BenchError(f"{to}: the name must end in .csv (for a spreadsheet) or .html (for a browser)")
    writers[to.suffix](questions, to)
    how = "open it in a browser" if to.suffix == ".html" else f"write one of {', '.join(CHOICES)} into `answer`"
    return f"wrote {len(questions)} questions to {to}: {how}, then `bench human import {path} FILE`"


def write_csv(questions: Sequence[AnnotatorQuestion], to: Path) -> None:
    """Write questions as a table with a column to answer in; a question is known by its id, so guards do no harm."""
    with replacing(to) as partial, partial.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in questions:
            writer.writerow([one.id, *map(guarded, (one.prompt, one.first, one.second)), "", "", ""])


def write_page(questions: Sequence[AnnotatorQuestion], to: Path) -> None:
    """Write questions as one page that works from a file, without a server and without the network."""
    rows = [{"id": one.id, "prompt": one.prompt, "first": one.first, "second": one.second} for one in questions]
    # Nothing in a text may end the script element that holds the data.
    data = json.dumps(rows).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    page = resources.files("bench.human").joinpath(PAGE).read_text(encoding="utf-8")
    replace_text(to, page.replace(DATA_PLACE, data))


def import_answers(
    path: Path, overrides: Sequence[str], files: Sequence[Path], judge: str | None, told: Callable[[str], None]
) -> str:  # fmt: skip
    """Return what was taken in: annotations from files, added to those beside the comparison.

    ``told`` is given a line where another command writes there, which is waited for. Raises DataError for a wrong row,
    for a question that is none of this comparison's, and for two different answers of one annotator to one question;
    then nothing is written.
    """
    new = [(file, read_annotations(file)) for file in files]
    run = run_before_asking(path, overrides)
    human = human_judge(run, judge)
    if human.path is None:
        raise BenchError("this human judge has no file. Name one by `path:` in the comparison file.")
    target = Path(human.path)
    known = {name for pair in pairs_of(run) for name in (question_id(pair), question_id(turned(pair)))}
    for file, answers in new:
        _check_known(file, answers, known)
    target.parent.mkdir(parents=True, exist_ok=True)
    with writing(target.parent, told):  # read and written by one at a time, so that no answer of another is lost
        there = human.annotations() if target.is_file() else []
        found = {(one.question, one.annotator): one for one in there}
        before = len(found)
        for file, answers in new:
            for one in answers:
                _add(found, one, file)
        if len(found) > before or not target.is_file():
            write_annotations(list(found.values()), target)
    annotators = len({annotator for _, annotator in found})
    asked = len({question for question, _ in found})
    return (
        f"{len(found) - before} new answers in {target}: now {len(found)} by {annotators} people on {asked} questions. "
        f"Next: bench run {path}"
    )


def _check_known(file: Path, annotations: Sequence[Annotation], known: set[str]) -> None:
    strange = [one for one in annotations if one.question not in known]
    if strange:
        rows = ", ".join(f"{one.row} ({one.question[:20]})" for one in strange[:_SHOWN])
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        raise DataError(
            f"{file}: rows {rows}{more} answer no question of this comparison. Was the file exported from another one, "
            "or were responses made anew since?"
        )
    if not annotations:
        raise DataError(f"{file}: no row has an answer. Write one of {', '.join(CHOICES)} into the column `answer`.")


def _add(found: dict[tuple[str, str], Annotation], one: Annotation, file: Path) -> None:
    before = found.setdefault((one.question, one.annotator), one)
    if before.answer != one.answer:
        raise DataError(
            f"{file}: row {one.row}: {one.annotator} answers {one.answer} to {one.question}, and has answered "
            f"{before.answer} before. Use another name for a second opinion, or correct one of them."
        )
