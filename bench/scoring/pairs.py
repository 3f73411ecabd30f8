"""MT-bench pair files: two games per question, the second with the answers' places exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import DataError
from bench.scoring.method_score import Score
from bench.scoring.paired import error_of
from bench.scoring.parts import JudgedPart
from bench.scoring.row_files import RowOfKind
from bench.statistics.contrasts.position import conservative_win_rate, order_agreement
from bench.statistics.tests.random_effects import codes_of, crossed_effects

ERROR = "error"
# The candidate is model_2, as in FastChat; model_1 is shown first in game 1 and second in game 2.
VALUES = {"model_1": 0.0, "model_2": 1.0, "tie": 0.5}
LEVEL = 0.95
MISSING = "the judge gave no verdict in one game"
RETRIED = "failed judgements, left out beside a later one"
REPEATED = "repeated verdicts"
COLUMNS = (
    "conservative_win_rate",
    "conservative_win_rate_low",
    "conservative_win_rate_high",
    "order_consistency",
    "position_bias_p",
)


@dataclass
class _Asked:
    """What a judge said of one question and turn: the winners of both games, and how often it was asked."""

    question: str
    winners: tuple[str, str] | None = None
    failed: int = 0
    repeated: int = 0


def scores(part: JudgedPart) -> list[Score]:
    """Return one score per pair of models: model_2 against model_1, both games averaged.

    A question without a verdict in either game is left out and counted, as FastChat does, unless it was asked again; a
    repeated question must repeat its verdicts. Errors are over questions: turns of one question are not independent.
    Raises DataError for unknown winners.
    """
    pairs: dict[tuple[str, str], dict[tuple[str, str | None], _Asked]] = {}
    for row in (row for file in part.files for row in file.rows):
        names = row.label("model_1"), row.label("model_2")
        if names[0] == names[1]:
            raise DataError(f"{row.where}: {names[0]!r} is held against itself")
        unit = row.unit("question_id"), row.label_or_none("turn")
        asked = pairs.setdefault(names, {}).setdefault(unit, _Asked(unit[0]))
        winners = _winners(row)
        if winners is None:
            asked.failed += 1
        elif asked.winners is None:
            asked.winners = winners
        elif asked.winners != winners:
            raise DataError(f"{row.where}: a second, different verdict on question {unit[0]}")
        else:
            asked.repeated += 1
    return [_score(part, names, list(pair.values())) for names, pair in pairs.items()]


def _winners(row: RowOfKind) -> tuple[str, str] | None:
    """Return the winners of both games, None where one is an error or missing; raises DataError for unknown words."""
    found = row.label_or_none("g1_winner"), row.label_or_none("g2_winner")
    for winner in found:
        if winner is not None and winner not in VALUES and winner != ERROR:
            raise DataError(f"{row.where}: winner {winner!r}, wanted {', '.join(VALUES)}, {ERROR}")
    first, second = found
    return None if first in (None, ERROR) or second in (None, ERROR) else (str(first), str(second))


def _score(part: JudgedPart, names: tuple[str, str], asked: Sequence[_Asked]) -> Score:
    kept = [one for one in asked if one.winners is not None]
    if not kept:
        raise DataError(f"{part.files[0].path}: every verdict on {names[1]} against {names[0]} is an error")
    second, first = (np.array([VALUES[one.winners[game]] for one in kept if one.winners]) for game in (0, 1))
    clusters = codes_of([one.question for one in kept])
    agreement = order_agreement(first, second)
    careful = conservative_win_rate(first[:, None, None], second[:, None, None], clusters, LEVEL)
    averaged = 100 * (first + second) / 2
    several = int(clusters.max()) > 0
    error = error_of(crossed_effects(averaged[:, None], clusters, (0.0, 100.0)).confidence) if several else None
    lost = len(asked) - len(kept)
    repaired = {REPEATED: sum(one.repeated for one in kept), RETRIED: sum(one.failed for one in kept), **part.noted}
    return Score(
        name=names[1],
        reference=names[0],
        judge=part.judge,
        win_rate=float(averaged.mean()),
        standard_error=error,
        length_controlled_win_rate=None,
        length_controlled_standard_error=None,
        n=len(kept),
        n_missing=lost,
        missing={MISSING: lost} if lost else {},
        noted={what: count for what, count in repaired.items() if count},
        details={
            "conservative_win_rate": 100 * agreement.conservative,
            "conservative_win_rate_low": None if careful.low is None else 100 * careful.low,
            "conservative_win_rate_high": None if careful.high is None else 100 * careful.high,
            "win_rate_shown_first": 100 * float(first.mean()),
            "win_rate_shown_second": 100 * float(second.mean()),
            "order_consistency": agreement.consistency,
            "position_bias_p": agreement.position_p,
        },
        columns=COLUMNS,
    )
