"""Questions with known answers, each under several names: any file of questions as a task.

Example, in a comparison file:

    tasks:
      - {task: qa_aliases, path: questions.jsonl, answers: aliases, max_new_tokens: 32}
    factuality: {tasks: [qa_aliases], extractor: task, verifier: exact}

A row of the file needs the question and its answers: a list of texts, or one text that ``separator`` divides. An
``id``, a ``cluster`` (questions that are not independent) and a ``kind`` are used when the row has them, a text or a
number; a null, empty or NaN cell is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from bench.core.cells import own_cluster, rows_in
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.metrics import SHARE, MetricInfo
from bench.core.policy import Decoding
from bench.core.task import NOT_SUPPORTED, SUPPORTED, Claim, Finding, Prompt, Task, user
from tasks._answer_matching import contains_any, declines, equals_any, overlap, whole_answer

BETWEEN = "\n"  # parts the answers among a prompt's facts
EXACT_MATCH = MetricInfo(
    name="exact_match",
    unit="share of questions",
    higher_is_better=True,
    description="the response is one of the answers, apart from case, punctuation and articles",
    bounds=SHARE,
)
CONTAINS = MetricInfo(
    name="contains_answer",
    unit="share of questions",
    higher_is_better=True,
    description="the words of one of the answers stand in the response",
    bounds=SHARE,
)
ANSWER_F1 = MetricInfo(
    name="answer_f1",
    unit="share of words",
    higher_is_better=True,
    description="F1 of the words shared with the nearest of the answers",
    bounds=SHARE,
)
ABSTAINED = MetricInfo(
    name="abstained",
    unit="share of questions",
    higher_is_better=None,
    description="the response is empty or says that it does not know",
    bounds=SHARE,
)


class QaAliases(Task):
    """Questions from a file of rows (JSON Lines, JSON, CSV or Parquet) with answers under several names.

    ``question`` and ``answers`` name the columns; ``separator`` divides answers in one text. ``right_when``: which
    match makes an answer right where claims are checked. An answer is one claim, an abstention none.
    """

    NAME: ClassVar[str] = "qa_aliases"
    VERSION: ClassVar[int] = 3
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (EXACT_MATCH, CONTAINS, ANSWER_F1, ABSTAINED)

    path: str
    digest: str
    question: str = "question"
    answers: str = "answers"
    separator: Annotated[str, Field(min_length=1)] = ";"
    right_when: Literal["exact_match", "contains_answer"] = "contains_answer"
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_new_tokens: PositiveInt = 64

    def prompts(self) -> Sequence[Prompt]:
        """Return the questions in the file's order, at most ``limit`` of them."""
        return read_questions(self.path, self.digest, (self.question, self.answers), self.separator)[: self.limit]

    def decoding(self) -> Decoding:
        """Return decoding at the temperature of the comparison file, greedy by default."""
        return Decoding(temperature=self.temperature, max_new_tokens=self.max_new_tokens)

    def score(self, prompt: Prompt, response: str) -> Mapping[str, float | None]:
        """Return the matches with the nearest answer; an abstention matches none."""
        answers = prompt.facts["answers"].split(BETWEEN)
        return {
            EXACT_MATCH.name: float(equals_any(response, answers)),
            CONTAINS.name: float(contains_any(response, answers)),
            ANSWER_F1.name: overlap(response, answers),
            ABSTAINED.name: float(declines(response)),
        }

    def gold(self, prompt: Prompt, response: str) -> float:
        """Return 1 for a right answer and 0 for any other."""
        return float(self._right(prompt, response))

    def claims(self, prompt: Prompt, response: str) -> Sequence[Claim]:
        """Return the response as one claim, none when it declines to answer."""
        return whole_answer(response)

    def support(self, prompt: Prompt, claim: str) -> Finding:
        """Return whether an answer is right."""
        evidence = "; ".join(prompt.facts["answers"].split(BETWEEN)[:3])
        return Finding(label=SUPPORTED if self._right(prompt, claim) else NOT_SUPPORTED, evidence=evidence)

    def _right(self, prompt: Prompt, response: str) -> bool:
        matches = equals_any if self.right_when == EXACT_MATCH.name else contains_any
        return matches(response, prompt.facts["answers"].split(BETWEEN))


@cache
def read_questions(path: str, digest: str, columns: tuple[str, str], separator: str) -> tuple[Prompt, ...]:
    """Return the questions of a file as prompts, their answers among the facts.

    Raises DataError for a missing or changed file, a row without a question or an answer, and an id that stands twice.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{path}: no questions there")
    if digest_of_file(file) != digest:
        raise DataError(f"{path}: the file has changed since the comparison was planned. Plan it again.")
    rows = list(rows_in(file, path))
    clusters = [row.label("cluster") for row in rows]
    named = {cluster for cluster in clusters if cluster is not None}
    found: dict[str, Prompt] = {}
    for row, cluster in zip(rows, clusters, strict=True):
        text, answers = row.stated(columns[0]), row.texts(columns[1], separator)
        name, kind = row.label("id"), row.label("kind")
        name = hashlib.sha256(text.encode()).hexdigest()[:12] if name is None else name
        if name in found:
            raise DataError(f"{row.where}: the id {name!r} stands twice")
        found[name] = Prompt(
            id=name,
            chat=user(text),
            cluster=own_cluster(name, named) if cluster is None else cluster,
            kind="question" if kind is None else kind,
            facts={"answers": BETWEEN.join(answers)},
        )
    return tuple(found.values())
