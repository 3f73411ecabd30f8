"""MT-bench pair files: one judge, two games per question, the second with the answers' places exchanged."""

from __future__ import annotations

from collections import Counter

import numpy as np

from bench.core.errors import DataError
from bench.scoring.method_score import Score
from bench.scoring.row_files import RowFile
from bench.statistics.contrasts.position import conservative_win_rate, order_agreement
from bench.statistics.tests.clusters import codes_of
from bench.statistics.tests.random_effects import crossed_effects

ERROR = "error"
# The candidate is model_2, as in FastChat; model_1 is shown first in game 1 and second in game 2.
VALUES = {"model_1": 0.0, "model_2": 1.0, "tie": 0.5}
LEVEL = 0.95
COLUMNS = (
    "conservative_win_rate",
    "conservative_win_rate_low",
    "conservative_win_rate_high",
    "order_consistency",
    "position_bias_p",
)


def scores(file: RowFile) -> list[Score]:
    """Return one score per pair of models in the file: model_2 against model_1, both games averaged.

    A question with an error in either game is left out and counted; a repeated question must repeat its verdicts.
    Errors are over questions: turns of one question are not independent. Raises DataError for unknown winners.
    """
    games: dict[tuple[str, str], dict[tuple[str, str], tuple[str, str]]] = {}
    noted: Counter[tuple[str, str]] = Counter()
    for number, row in enumerate(file.rows, start=1):
        found = (str(file.cell(number, "g1_winner")), str(file.cell(number, "g2_winner")))
        for winner in found:
            if winner not in VALUES and winner != ERROR:
                raise DataError(f"{file.path}, row {number}: winner {winner!r}, wanted {', '.join(VALUES)}, {ERROR}")
        pair = (file.label(number, "model_1"), file.label(number, "model_2"))
        if pair[0] == pair[1]:
            raise DataError(f"{file.path}, row {number}: {pair[0]!r} is held against itself")
        question = (str(row.get("question_id", number)), str(row.get("turn", "")))
        of_pair = games.setdefault(pair, {})
        noted[pair] += question in of_pair
        if of_pair.setdefault(question, found) != found:
            raise DataError(f"{file.path}, row {number}: a second, different verdict on question {question[0]}")
    return [_score(file, pair, of_pair, noted[pair]) for pair, of_pair in games.items()]


def _score(file: RowFile, pair: tuple[str, str], games: dict[tuple[str, str], tuple[str, str]], repeated: int) -> Score:
    kept = {question: winners for question, winners in games.items() if ERROR not in winners}
    if not kept:
        raise DataError(f"{file.path}: every verdict on {pair[1]} against {pair[0]} is an error")
    second, first = (np.array([VALUES[winners[game]] for winners in kept.values()]) for game in (0, 1))
    clusters = codes_of([question for question, _ in kept])
    agreement = order_agreement(first, second)
    careful = conservative_win_rate(first[:, None, None], second[:, None, None], clusters, LEVEL)
    averaged = 100 * (first + second) / 2
    several = int(clusters.max()) > 0
    error = float(crossed_effects(averaged[:, None], clusters).confidence.standard_error) if several else None
    return Score(
        name=pair[1],
        reference=pair[0],
        win_rate=float(averaged.mean()),
        standard_error=error,
        length_controlled_win_rate=None,
        length_controlled_standard_error=None,
        n=len(kept),
        n_missing=len(games) - len(kept),
        missing={"the judge gave no verdict in one game": len(games) - len(kept)} if len(kept) < len(games) else {},
        noted={"repeated verdicts": repeated} if repeated else {},
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
