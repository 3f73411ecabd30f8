"""Annotations: a file with one answer of one annotator per question, in the order that was shown.

A question is identified by a digest of what is shown (the prompt, and both responses in their order), so an annotation
belongs to these texts wherever they come from, and says nothing of who wrote them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from bench.core.cells import label_of
from bench.core.errors import DataError, some_of
from bench.core.files import replacing, text_in
from bench.core.formats.csv_rows import check_head
from bench.core.formats.formulas import guarded, unguarded
from bench.core.formats.json_rows import Strict
from bench.core.formats.unpacked import MOST_ROW
from bench.core.judge import Pair

AnnotatorChoice: TypeAlias = Literal["1", "2", "tie", "both_bad"]
CHOICES: tuple[str, ...] = get_args(AnnotatorChoice)
QUESTION, ANNOTATOR, ANSWER, COMMENT = COLUMNS = ("question", "annotator", "answer", "comment")
_NEEDED = (QUESTION, ANNOTATOR, ANSWER)
_PREFERENCES = {"1": 1.0, "2": 0.0, "tie": 0.5, "both_bad": 0.5}
_DESCRIBED = {"1": "first", "2": "second", "tie": "tie", "both_bad": "both bad"}
_TURNED = {"1": "2", "2": "1"}
_SHOWN_ERRORS, _MOST_ERRORS = 10, 1_000
_MOST_BYTES = 100_000_000  # a hundred thousand answers with what was shown
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Annotation:
    """The answer of one annotator to one question: the response shown first, the second, a tie, or both are bad.

    ``row`` is the line of the file it stood in, for error messages.
    """

    question: str
    annotator: str
    answer: str
    comment: str = ""
    row: int = 0

    @property
    def preference(self) -> float:
        """The preference for the response shown first: 1, 0, or 0.5 for a tie and where both are bad."""
        return _PREFERENCES[self.answer]

    @property
    def described(self) -> str:
        """The annotator and the answer, as text."""
        return f"{self.annotator}: {_DESCRIBED[self.answer]}"

    def turned(self) -> Annotation:
        """Return the same annotation for the responses in the other order."""
        answer = _TURNED.get(self.answer, self.answer)
        return Annotation(self.question, self.annotator, answer, self.comment, self.row)


class Annotations:
    """Annotations by question."""

    def __init__(self, annotations: Iterable[Annotation]) -> None:
        self._by_question: dict[str, list[Annotation]] = {}
        for one in annotations:
            self._by_question.setdefault(one.question, []).append(one)

    def on(self, pair: Pair) -> list[Annotation]:
        """Return all annotations of a pair, in whichever order it was shown, as if shown in this one."""
        here = self._by_question.get(question_id(pair), [])
        there = self._by_question.get(question_id(turned(pair)), []) if pair.first != pair.second else []
        return [*here, *(one.turned() for one in there)]


def question_id(pair: Pair) -> str:
    """Return 16 hexadecimal digits of the sha256 over what is shown: the chat, and both responses in their order."""
    turns = [[turn.role, turn.content] for turn in pair.prompt.chat]
    shown = json.dumps([turns, pair.first, pair.second], separators=(",", ":"))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def turned(pair: Pair) -> Pair:
    """Return the pair with its responses in the other order."""
    return Pair(
        prompt=pair.prompt,
        first=pair.second,
        second=pair.first,
        first_ended=pair.second_ended,
        second_ended=pair.first_ended,
    )


def read_annotations(path: Path) -> list[Annotation]:
    """Return the annotations in a CSV or JSON file; rows without an answer are left out.

    Raises DataError that names every row that is wrong: an unknown answer, a lacking question or name, two answers of
    one annotator to one question that differ.
    """
    try:
        text = text_in(path, _MOST_BYTES)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    rows = _json_rows(path, text) if path.suffix == ".json" else _csv_rows(path, text)
    problems: list[str] = []
    first: dict[tuple[str, str], Annotation] = {}
    for number, row in rows:
        if not row[ANSWER]:
            continue
        problem = _problem(row)
        one = Annotation(row[QUESTION], row[ANNOTATOR], row[ANSWER], row.get(COMMENT, ""), number)
        before = first.setdefault((one.question, one.annotator), one)
        if problem is None and before.answer != one.answer:
            problem = (
                f"{one.annotator} answered {before.answer} to {one.question} in row {before.row}, here {one.answer}"
            )
        if problem is not None:
            problems.append(f"row {number}: {problem}")
        if len(problems) >= _MOST_ERRORS:
            break  # this is no file of answers
    if problems:
        count = len(problems) - _SHOWN_ERRORS
        more = [f"and {'at least ' if len(problems) >= _MOST_ERRORS else ''}{count} more"] if count > 0 else []
        raise DataError("\n    ".join([f"{path}: cannot be used:", *problems[:_SHOWN_ERRORS], *more]))
    return list(first.values())


def write_annotations(annotations: Sequence[Annotation], path: Path) -> None:
    """Write annotations as CSV, sorted by question and annotator, in one rename; no cell of it is a formula."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in sorted(annotations, key=lambda one: (one.question, one.annotator)):
            writer.writerow(map(guarded, (one.question, one.annotator, one.answer, one.comment)))


def _problem(row: dict[str, str]) -> str | None:
    if not row[QUESTION]:
        return "no question. Copy the first column of the exported file."
    if not row[ANNOTATOR]:
        return "no annotator. Write a name or initials into every row that has an answer."
    long = next((name for name in (QUESTION, ANNOTATOR) if len(row[name]) > _LONGEST_NAME), None)
    if long is not None:
        return f"the {long} has {len(row[long]):,} characters, and may have {_LONGEST_NAME}"
    if row[ANSWER] not in CHOICES:
        return f"the answer {row[ANSWER][:40]!r} is none of {', '.join(CHOICES)}"
    return None


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)  # spreadsheets of some countries write semicolons
    csv.field_size_limit(MOST_ROW)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        _check_columns(path, reader.fieldnames or ())
        # The header is row 1, as a spreadsheet counts.
        for number, row in enumerate(reader, 2):
            yield (
                number,
                {name: unguarded(_cell(row.get(name), f"{path}, row {number}: {name}")) for name in COLUMNS},
            )
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error


def _json_rows(path: Path, text: str) -> list[tuple[int, dict[str, str]]]:
    try:
        found = Strict().value(text)
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError(f"{path}: must be a list of answers, each {{question, annotator, answer}}")
    for row in found[:1]:
        _check_columns(path, [str(name) for name in row])
    return [
        (number, {name: _cell(row.get(name), f"{path}, row {number}: {name}") for name in COLUMNS})
        for number, row in enumerate(found, 1)
    ]


def _cell(cell: Any, what: str) -> str:
    """Return what a cell names or says, empty where it is missing; an annotator may be a number, 0 too."""
    found = label_of(cell, what)
    return "" if found is None else found.strip()


def _check_columns(path: Path, there: Sequence[str]) -> None:
    check_head([name for name in there if name in COLUMNS], f"{path}: row 1")
    lacking = [name for name in _NEEDED if name not in there]
    if lacking:
        has = some_of(there) or "none"
        raise DataError(f"{path}: row 1: no column {', '.join(lacking)} (it has {has}). Keep the exported header.")
