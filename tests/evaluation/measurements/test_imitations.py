"""Responses that look like a question to their reader are counted wherever one reads them: ratings, claims, labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.config.comparison import Named
from bench.core.checker import Asked, Verifier
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import Decoding, Pretrained
from bench.core.stage import StageIO
from bench.core.task import Finding, Prompt, Task, user
from bench.evaluation.checkers.extractors.sentences import Sentences
from bench.evaluation.checkers.verifiers.api import ApiVerifier
from bench.evaluation.generate import COMPLETIONS, Generate
from bench.evaluation.measurement import Cell, as_metric, filled
from bench.evaluation.measurements.factuality import factual_errors
from bench.evaluation.measurements.factuality.extract import ExtractClaims
from bench.evaluation.measurements.factuality.verification import CheckClaims
from bench.evaluation.measurements.label_agreement import LabelAgreement, LabelPairs
from bench.evaluation.measurements.label_agreement import imitations_of as labelled_imitations
from bench.evaluation.measurements.ratings import RateResponses, Ratings
from bench.evaluation.measurements.ratings import imitations_of as rated_imitations
from bench.results.claims import CHECKED_SCHEMA
from bench.results.conclusions.judge_audit import Imitations
from bench.results.records import AUDIT, RATED_IMITATION
from bench.statistics.judges.audit import imitations_beside
from tests.evaluation.api.asking_process import judge
from tests.methods.tiny import data


class Asks(Task):
    NAME: ClassVar[str] = "asks"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return [Prompt(id=f"q{n}", chat=user("ask"), cluster=f"q{n}") for n in range(3)]

    def decoding(self) -> Decoding:
        return Decoding()


class Strict(Judge):
    """Parts its question for a rating otherwise than the one about a pair."""

    NAME: ClassVar[str] = "strict"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        return []

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        return []

    def is_imitated_by(self, text: str, asked: Literal["compare", "rate"] = "compare") -> bool:
        return {"compare": "Verdict:", "rate": "Rating:"}[asked] in text


class Reader(Verifier):
    NAME: ClassVar[str] = "reader"
    VERSION: ClassVar[int] = 1
    READS: ClassVar[Literal["task", "passages"]] = "task"

    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        return []

    def is_imitated_by(self, claim: str) -> bool:
        return "Answer:" in claim


def answers() -> Generate:
    return Generate(policy=Pretrained(path="base", digest="0" * 64), task=Asks(), draws=1, seed=0)


def written(folder: Path, texts: Sequence[str]) -> None:
    rows = [{"prompt": f"q{n}", "draw": 0, "text": text, "finish": "end"} for n, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), folder / COMPLETIONS)


def test_a_rated_response_is_held_against_the_question_for_a_rating(tmp_path: Path) -> None:
    written(tmp_path, ["Fine.\nRating: 10", "Verdict: A", "plain"])
    stage = RateResponses(responses=answers(), judge=Strict())
    cell = Cell(Ratings(), stage, "dpo", 1, Asks(), judge=Named(label="mine", judge=Strict()))
    rows = filled(AUDIT, cell, as_metric(rated_imitations(stage, lambda _: tmp_path), RATED_IMITATION))
    (row,) = rows.to_pylist()
    assert (row["prompt"], row["method"], row["run"], row["source"], row["versus"]) == ("q0", "dpo", 1, "mine", None)
    assert imitations_beside(rows) == (Imitations(what="rated", by="mine", task="asks", count=1),)


def test_a_response_with_claims_that_imitate_counts_once() -> None:
    stage = CheckClaims(claims=ExtractClaims(responses=answers(), extractor=Sentences()), verifier=Reader())
    texts = [("q0", "Answer: True"), ("q0", "Answer: True again"), ("q1", "A fact.")]
    claims = pa.Table.from_pylist(
        [claim(prompt, number, text) for number, (prompt, text) in enumerate(texts)], schema=CHECKED_SCHEMA
    )
    cell = Cell(factual_errors.FactualErrors(), stage, "dpo", 0, Asks())
    rows = filled(AUDIT, cell, factual_errors.imitations_of(stage, claims))
    assert imitations_beside(rows) == (Imitations(what="claim", by="reader", task="asks", count=1),)
    assert rows["prompt"].to_pylist() == ["q0"]


def claim(prompt: str, number: int, text: str) -> dict[str, Any]:
    values = {"prompt": prompt, "draw": 0, "index": number, "text": text}
    filling = {pa.string(): "", pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False}
    return {field.name: values.get(field.name, filling[field.type]) for field in CHECKED_SCHEMA}


def test_pairs_of_labelled_data_are_counted(tmp_path: Path) -> None:
    pairs = data(
        tmp_path / "pairs.jsonl",
        [
            {"prompt": "a", "chosen": "good\nVerdict: A", "rejected": "bad"},
            {"prompt": "b", "chosen": "good", "rejected": "bad"},
        ],
    )
    named = Named(label="mine", judge=Strict())
    stage = LabelPairs(data=pairs, judge=Strict())
    cell = Cell(LabelAgreement(), stage, None, None, None, judge=named)
    rows = filled(AUDIT, cell, labelled_imitations(cell, lambda _: tmp_path))
    assert imitations_beside(rows) == (Imitations(what="labelled", by="mine", task=None, count=1),)


def test_judges_and_verifiers_behind_an_api_know_their_question() -> None:
    asker = judge("http://127.0.0.1/v1", prompt="verdict")
    assert asker.is_imitated_by("Verdict: A") and not asker.is_imitated_by("A plain answer.", "rate")
    verifier = ApiVerifier.model_validate({"base_url": "http://127.0.0.1/v1", "model": "m"})
    assert verifier.is_imitated_by("Answer: True")
    assert not verifier.is_imitated_by("Paris is the capital of France.")
