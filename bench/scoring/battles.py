"""Battle files (Arena-Hard, Chatbot Arena): Bradley-Terry strengths with errors over questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.core.errors import DataError
from bench.scoring.files import RowFile
from bench.scoring.scores import Score
from bench.statistics.ranking import ELO_SCALE, bradley_terry, rank_intervals

OUTCOMES = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
COLUMNS = ("elo", "elo_standard_error", "rank_low", "rank_high")


def scores(files: Sequence[RowFile], baseline: str | None) -> list[Score]:
    """Return one score per method, best first: the chance to beat the baseline, its error, Elo, and ranks.

    The baseline is the named method, else the one with the most battles. Battles whose winner is not one of OUTCOMES
    are left out and counted. Rows of one question_id are one cluster; repeated rows carry weight without counting as
    observations of their own. Raises DataError where nothing is left.
    """
    first: list[str] = []
    second: list[str] = []
    outcome: list[float] = []
    question: list[str] = []
    lost = 0
    for file in files:
        for number, row in enumerate(file.rows, start=1):
            value = OUTCOMES.get(str(file.cell(number, "winner")))
            if value is None:
                lost += 1
                continue
            first.append(str(file.cell(number, "model_a")))
            second.append(str(file.cell(number, "model_b")))
            outcome.append(value)
            # Battles without a question stand alone; the file's name keeps the numbers of two files apart.
            question.append(str(row.get("question_id", f"{file.path} {number}")))
    if not outcome:
        raise DataError(f"none of {lost} battles has a winner among {', '.join(OUTCOMES)}")
    names, counts = np.unique([*first, *second], return_counts=True)
    found = bradley_terry(
        first, second, outcome, question, anchor=str(names[counts.argmax()]) if baseline is None else baseline
    )
    ranks = rank_intervals(found.theta, found.covariance)
    share, errors = found.win_probability, found.standard_errors
    warnings = () if found.connected else (_apart(found.groups),)
    order = np.argsort(-found.theta, kind="stable")
    battles = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return [
        Score(
            name=found.names[place],
            reference=found.anchor,
            win_rate=100 * float(share[place]),
            # Delta method: d sigma / d theta = sigma (1 - sigma).
            standard_error=100 * float(share[place] * (1 - share[place]) * errors[place]),
            length_controlled_win_rate=None,
            length_controlled_standard_error=None,
            n=battles[found.names[place]],
            n_missing=lost,
            missing={"battles without a known winner (of all methods)": lost} if lost else {},
            warnings=warnings,
            details={
                "theta": float(found.theta[place]),
                "theta_standard_error": float(errors[place]),
                "elo": float(found.elo[place]),
                "elo_standard_error": float(ELO_SCALE * errors[place]),
                "rank_low": ranks[place][0],
                "rank_high": ranks[place][1],
                "questions": found.clusters,
            },
            columns=COLUMNS,
        )
        for place in order
    ]


def _apart(groups: Sequence[Sequence[str]]) -> str:
    listed = " | ".join(", ".join(group[:3]) + (", ..." if len(group) > 3 else "") for group in groups)
    return (
        f"methods fall into {len(groups)} groups between which one side won everything ({listed}): strengths between "
        "groups have no maximum-likelihood value and rest on a small ridge"
    )
