"""MT-bench single-answer grades (FastChat's main mode): a judge's score of each answer, over questions and turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.scoring.method_score import Score
from bench.scoring.paired import all_pairs, error_of, law_of
from bench.scoring.parts import JudgedPart
from bench.scoring.row_files import RowOfKind
from bench.statistics.tests.random_effects import codes_of, crossed_effects

# FastChat's sign of a verdict without a score, which its averages leave out (show_result.py).
FAILED = -1.0
LOWEST, HIGHEST = 0.0, 10.0
MISSING = "the judge gave no score"
COLUMNS = ("score", "score_standard_error", "first_turn", "second_turn")
Unit = tuple[str, str | None]


@dataclass
class _Graded:
    """The scores of one model by question and turn, None where no try gave one."""

    scores: dict[Unit, float | None] = field(default_factory=dict)
    noted: Counter[str] = field(default_factory=Counter)

    @property
    def given(self) -> dict[Unit, float]:
        """The scores that there are."""
        return {unit: score for unit, score in self.scores.items() if score is not None}


def scores(part: JudgedPart) -> list[Score]:
    """Return one score per model, best first: the mean over questions and turns, by turn, and paired differences.

    The mean is FastChat's: over all scores, without the failed ones (-1, null, or none). Errors are over questions:
    turns of one question are not independent. Raises DataError for scores outside 0 to 10, for two different scores of
    one answer, and for a model without any.
    """
    models: dict[str, _Graded] = {}
    for row in (row for file in part.files for row in file.rows):
        _add(models.setdefault(row.label("model"), _Graded()), row)
    for name, graded in models.items():
        if not graded.given:
            raise DataError(f"{part.files[0].path}: {MISSING} for any answer of {name}")
    names = sorted(models, key=lambda name: -float(np.mean(list(models[name].given.values()))))
    paired = all_pairs(names, lambda i, j: _difference(models[names[i]], models[names[j]]))
    return [_score(part, name, models[name], found) for name, found in zip(names, paired, strict=True)]


def _add(graded: _Graded, row: RowOfKind) -> None:
    unit = row.unit("question_id"), row.label_or_none("turn")
    score, known = _grade(row), graded.scores.get(unit)
    if unit in graded.scores and (score is None or known is None):
        graded.noted["failed judgements, left out beside a later one"] += (score is None) != (known is None)
    elif known is not None and score != known:
        raise DataError(f"{row.where}: a second, different score of {row.label('model')} on question {unit[0]}")
    elif known is not None:
        graded.noted["repeated scores"] += 1
    graded.scores[unit] = score if known is None else known


def _grade(row: RowOfKind) -> float | None:
    value = row.number("score")
    if value is None or value == FAILED:
        return None
    if not LOWEST <= value <= HIGHEST:
        raise DataError(f"{row.where}: score {value:g}, wanted {LOWEST:g} to {HIGHEST:g} (MT-bench), or -1 for none")
    return value


def _difference(one: _Graded, other: _Graded) -> dict[str, Any]:
    """Return one minus the other on the answers that both have a score for."""
    shared = [unit for unit in one.given if unit in other.given]
    clusters = codes_of([question for question, _ in shared]) if shared else np.zeros(0, dtype=np.int64)
    if len(set(clusters.tolist())) < 2:
        return {"n": len(shared), "score": None}
    apart = np.array([one.given[unit] - other.given[unit] for unit in shared])
    return {
        "n": len(shared),
        "score": law_of(crossed_effects(apart[:, None], clusters, (LOWEST - HIGHEST, HIGHEST - LOWEST)).confidence),
    }


def _score(part: JudgedPart, name: str, graded: _Graded, paired: Mapping[str, Any]) -> Score:
    given = graded.given
    values = np.array(list(given.values()))
    clusters = codes_of([question for question, _ in given])
    several = int(clusters.max()) > 0
    error = error_of(crossed_effects(values[:, None], clusters, (LOWEST, HIGHEST)).confidence) if several else None
    lost = len(graded.scores) - len(given)
    return Score(
        name=name,
        reference=None,
        judge=part.judge,
        win_rate=None,
        standard_error=None,
        length_controlled_win_rate=None,
        length_controlled_standard_error=None,
        n=len(given),
        n_missing=lost,
        missing={MISSING: lost} if lost else {},
        noted={**+graded.noted, **part.noted},
        details={
            "score": float(values.mean()),
            "score_standard_error": error,
            "first_turn": _of_turn(given, "1"),
            "second_turn": _of_turn(given, "2"),
            "questions": int(clusters.max()) + 1,
            "paired": dict(paired),
        },
        columns=COLUMNS,
    )


def _of_turn(given: Mapping[Unit, float], turn: str) -> float | None:
    found = [score for (_, of_turn), score in given.items() if of_turn == turn]
    return float(np.mean(found)) if found else None
