"""FActScore label files: claims of each response that annotators labelled supported, not supported or irrelevant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.core.rows import kind_of
from bench.scoring.method_score import Score
from bench.scoring.paired import corrected, law_of
from bench.scoring.row_files import RowFile, shown
from bench.statistics.claims import in_files

FACTSCORE_LABELS = ("S", "NS", "IR")


@dataclass(frozen=True)
class Claims:
    """Claims of one response: by label, and the claims of sentences marked irrelevant as a whole."""

    supported: int
    unsupported: int
    irrelevant: int
    in_irrelevant_sentences: int

    @property
    def facts(self) -> int:
        """All claims; in the human FActScore those without a label of support count against the response."""
        return self.supported + self.unsupported + self.irrelevant + self.in_irrelevant_sentences


@dataclass(frozen=True)
class LabelledResponses:
    """One file of labels, by topic; None for a topic on which the model abstained.

    ``unlabelled`` topics have no labels because their rows failed; ``retried`` failed rows have another one.
    """

    name: str
    by_topic: Mapping[str, Claims | None]
    unlabelled: int = 0
    retried: int = 0

    def columns(self, topics: list[str]) -> np.ndarray:
        """Return (topics, 4): supported, unsupported, all facts, answered."""
        found = [self.by_topic[topic] for topic in topics]
        return np.array([[c.supported, c.unsupported, c.facts, 1] if c else [0, 0, 0, 0] for c in found], dtype=float)


def labelled_responses(file: RowFile) -> LabelledResponses:
    """Return the labels of a file; raises DataError for a repeated topic and for labels that are not known.

    A row without the column ``annotations`` has failed: it is no abstention, and is counted unless the topic has
    another row.
    """
    found: dict[str, Claims | None] = {}
    repeated: list[str] = []
    failed: list[str] = []
    for row in file.rows:
        topic = row.text("topic")
        if "annotations" not in row.cells:
            failed.append(topic)
            continue
        if topic in found:
            repeated.append(topic)
        sentences = row.cells["annotations"]
        if sentences is not None and not isinstance(sentences, list):
            raise DataError(f"{row.where}: annotations is {kind_of(sentences)}, wanted a list or null")
        found[topic] = None if sentences is None else _claims(sentences, row.where)
    if repeated:
        raise DataError(f"{file.path}: {len(repeated)} topics appear more than once ({shown(repeated)})")
    return LabelledResponses(
        file.stem.removeprefix("labeled_"),
        found,
        unlabelled=len({topic for topic in failed if topic not in found}),
        retried=sum(topic in found for topic in failed),
    )


def _claims(sentences: list[Any], where: str) -> Claims:
    counts = dict.fromkeys(FACTSCORE_LABELS, 0)
    beside = 0
    for sentence in sentences:
        if not isinstance(sentence, Mapping):
            raise DataError(f"{where}: a sentence is {kind_of(sentence)}, wanted its labels")
        relevant = sentence.get("is-relevant", True)
        if not isinstance(relevant, bool):
            raise DataError(f"{where}: is-relevant is {kind_of(relevant)}, wanted true or false")
        if not relevant:
            beside += len(_facts(sentence, "model-atomic-facts", where))
            continue
        for fact in _facts(sentence, "human-atomic-facts", where):
            label = fact.get("label") if isinstance(fact, Mapping) else None
            if not isinstance(label, str) or label not in counts:
                raise DataError(f"{where}: label {label!r}, wanted one of {', '.join(FACTSCORE_LABELS)}")
            counts[label] += 1
    return Claims(counts["S"], counts["NS"], counts["IR"], beside)


def _facts(sentence: Mapping[str, Any], column: str, where: str) -> list[Any]:
    """Return the facts of a sentence, none where the file has null."""
    facts = sentence.get(column)
    if facts is not None and not isinstance(facts, list):
        raise DataError(f"{where}: {column} is {kind_of(facts)}, wanted a list or null")
    return [] if facts is None else facts


def scores(files: Sequence[RowFile], reference: RowFile | None) -> list[Score]:
    """Return one score per file: error rate, claims per response, FActScore; paired with the reference where given.

    Topics that the reference does not have, or one side did not answer, are left out of the paired part only. Raises
    DataError for files that cannot be read.
    """
    base = None if reference is None else labelled_responses(reference)
    read = [labelled_responses(file) for file in files]
    paired = [{} if base is None else _paired(labels, base) for labels in read]
    corrected(paired)
    return [_score(labels, base, found) for labels, found in zip(read, paired, strict=True)]


def _score(labels: LabelledResponses, base: LabelledResponses | None, paired: dict[str, Any]) -> Score:
    columns = labels.columns(list(labels.by_topic))
    supported, unsupported, _, answered = columns.T
    there = columns[answered == 1]
    if len(there) == 0:
        raise DataError(f"{labels.name}: all {len(columns)} responses abstain, so there is no error rate")
    checked = there[:, 0] + there[:, 1]
    rate = in_files.error_rate(there[:, 1], checked) if checked.any() else None
    of_all = in_files.coverage(supported, unsupported, answered)
    precision = in_files.factscore(there[:, 0], there[:, 2])
    silent = len(columns) - len(there)
    missing = {"abstained": silent, "no labels: the row failed": labels.unlabelled}
    noted = {
        "responses make no claim; they are in no error rate and score 0": int((there[:, 2] == 0).sum()),
        "failed rows, left out beside another on the same topic": labels.retried,
    }
    return Score(
        name=labels.name,
        reference=None if base is None else base.name,
        win_rate=None,
        standard_error=None,
        length_controlled_win_rate=None,
        length_controlled_standard_error=None,
        n=len(there),
        n_missing=silent + labels.unlabelled,
        missing={reason: count for reason, count in missing.items() if count},
        noted={what: count for what, count in noted.items() if count},
        details={
            "error_rate": None if rate is None else rate.estimate,
            "error_rate_standard_error": None if rate is None else rate.standard_error,
            "correct_per_response": of_all.correct,
            "incorrect_per_response": of_all.incorrect,
            "respond_rate": of_all.responded,
            "factscore": 100 * precision.estimate,
            "factscore_standard_error": None if precision.standard_error is None else 100 * precision.standard_error,
            "factscore_without_penalty": 100 * precision.without_penalty,
            "facts_per_response": precision.facts_per_response,
            "paired": {} if base is None else {base.name: paired},
        },
        columns=("error_rate", "error_rate_standard_error", "incorrect_per_response", "respond_rate", "factscore"),
    )


def _paired(labels: LabelledResponses, base: LabelledResponses) -> dict[str, Any]:
    """Return the method against the reference on the topics that both answered; None for what cannot be had."""
    shared = [topic for topic, claims in labels.by_topic.items() if claims and base.by_topic.get(topic)]
    if len(shared) < 2:
        return {"n": len(shared), "error_rate": None, "relative_error_reduction": None}
    both = (labels.columns(shared), base.columns(shared))
    sides = [(columns[:, 1], columns[:, 0] + columns[:, 1]) for columns in both]
    if not all(checked.any() for _, checked in sides):
        return {"n": len(shared), "error_rate": None, "relative_error_reduction": None}
    a, b = (in_files.error_rate(wrong, checked) for wrong, checked in sides)
    found: dict[str, Any] = {
        "n": len(shared),
        "error_rate": law_of(in_files.paired_difference(a, b)),
        "relative_error_reduction": None,
    }
    if a.estimate > 0 and b.estimate > 0:
        reduction = in_files.relative_reduction(a, b)
        found["relative_error_reduction"] = {
            "estimate": reduction.estimate,
            "low": reduction.low,
            "high": reduction.high,
            "log_ratio_standard_error": float(reduction.log_ratio.standard_error),
        }
    return found
