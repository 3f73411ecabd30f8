"""Battle files (Arena-Hard, Chatbot Arena): Bradley-Terry strengths with errors over questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.scoring.markup import MarkupStyle, at_equal_style, style_details, style_of
from bench.scoring.method_score import Score
from bench.scoring.row_files import RowFile
from bench.statistics.ranking.bradley_terry import ELO_SCALE, bradley_terry, rank_intervals
from bench.statistics.ranking.separated import across_groups
from bench.statistics.ranking.style import StyledBattles
from bench.statistics.tests.clusters import codes_of

OUTCOMES = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
# Verdicts of Arena-Hard's judge on the answers A and B: A's score, and how often the battle counts.
SLIGHTLY, CLEARLY = 1.0, 3.0
VERDICTS = {
    "A>>B": (1.0, CLEARLY), "A>B": (1.0, SLIGHTLY), "A=B": (0.5, SLIGHTLY), "B>A": (0.0, SLIGHTLY),
    "B>>A": (0.0, CLEARLY), "B<<A": (1.0, CLEARLY), "B<A": (1.0, SLIGHTLY), "B=A": (0.5, SLIGHTLY),
    "A<B": (0.0, SLIGHTLY), "A<<B": (0.0, CLEARLY),
}  # fmt: skip
COLUMNS = ("elo", "elo_standard_error", "rank_low", "rank_high")
UNKNOWN = "battles without a known winner (of all methods)"
REPEATED = "repeated judgements, counted once"


@dataclass
class BattleColumns:
    """Battles as columns: who met whom, the first one's score, how often it counts, its question and its style."""

    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    outcome: list[float] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    question: list[str] = field(default_factory=list)
    style: list[MarkupStyle | None] = field(default_factory=list)
    noted: Counter[str] = field(default_factory=Counter)

    def add(
        self, sides: tuple[str, str], outcome: float, weight: float, question: str, style: MarkupStyle | None = None
    ) -> None:  # fmt: skip
        """Append one battle."""
        self.first.append(sides[0])
        self.second.append(sides[1])
        self.outcome.append(outcome)
        self.weight.append(weight)
        self.question.append(question)
        self.style.append(style)


def scores(files: Sequence[RowFile], baseline: str | None) -> list[Score]:
    """Return one score per method, best first: the chance to beat the baseline, its error, Elo, and ranks.

    The baseline is the named method, else the one with the most battles. Battles whose winner is not known are left
    out and counted. Battles of one question are one cluster; repeated rows, and clear wins, carry weight without
    counting as observations of their own. Raises DataError where nothing is left.
    """
    battles = BattleColumns()
    judges: set[str] = set()
    seen: dict[tuple[str, str, str], object] = {}
    for file in files:
        if file.kind == "games":
            _add_games(battles, file, baseline, seen)
            judges |= {str(row["judge"]) for row in file.rows if row.get("judge")}
        else:
            _add_battles(battles, file)
    if len(judges) > 1:
        raise DataError(f"judgements of several judges ({', '.join(sorted(judges))}): score each judge by itself")
    lost = battles.noted.pop(UNKNOWN, 0)
    if not battles.outcome:
        known = "games have a verdict" if files[0].kind == "games" else "battles has a winner"
        wanted = VERDICTS if files[0].kind == "games" else OUTCOMES
        raise DataError(f"none of {lost} {known} among {', '.join(wanted)}")
    return _scores(battles, baseline, lost)


def _add_battles(battles: BattleColumns, file: RowFile) -> None:
    for number, row in enumerate(file.rows, start=1):
        value = OUTCOMES.get(str(file.cell(number, "winner")))
        sides = file.label(number, "model_a"), file.label(number, "model_b")
        if value is None:
            battles.noted[UNKNOWN] += 1
            continue
        style = style_of(row, f"{file.path}, row {number}")
        battles.add(sides, value, 1.0, _question(file, number, row), style)


def _question(file: RowFile, number: int, row: Mapping[str, Any]) -> str:
    """Return the question of a row; one without stands alone, and the file's name keeps two files apart."""
    named = next((column for column in ("question_id", "uid") if row.get(column) is not None), None)
    return f"{file.path} {number}" if named is None else file.label(number, named)


def _add_games(
    battles: BattleColumns, file: RowFile, baseline: str | None, seen: dict[tuple[str, str, str], object]
) -> None:  # fmt: skip
    """Add an Arena-Hard judgement file: a row per question and model, with two games against the baseline.

    The baseline's answer is A in the first game and B in the second. Version 2 names the baseline in each row (and the
    question ``uid``), version 0.1 does not.
    """
    for number, row in enumerate(file.rows, start=1):
        where = f"{file.path}, row {number}"
        model, games = file.label(number, "model"), file.cell(number, "games")
        other = file.label(number, "baseline") if row.get("baseline") is not None else baseline
        if not other:
            raise DataError(f"{where}: does not say what {model} was held against. Give --reference NAME.")
        if not isinstance(games, list) or not all(game is None or isinstance(game, dict) for game in games):
            raise DataError(f"{where}: games is not a list of games")
        if len(games) > 2:
            raise DataError(f"{where}: {len(games)} games, wanted one, or two with the answers exchanged")
        if model == other:
            raise DataError(f"{where}: {model!r} is held against itself")
        question = _question(file, number, row)
        given = [game.get("score") if game else None for game in games]
        pair = (question, model, other)
        if pair in seen:
            if seen[pair] != given:
                raise DataError(f"{where}: a second, different judgement of {model} on question {question}")
            battles.noted[REPEATED] += 1
            continue
        seen[pair] = given
        for place, verdict in enumerate(given):
            found = VERDICTS.get(str(verdict))
            if found is None:
                battles.noted[UNKNOWN] += 1
                continue
            battles.add((other, model) if place == 0 else (model, other), *found, question)


def _scores(battles: BattleColumns, baseline: str | None, lost: int) -> list[Score]:
    names, counts = np.unique([*battles.first, *battles.second], return_counts=True)
    anchor = str(names[counts.argmax()]) if baseline is None else baseline
    columns = battles.first, battles.second, battles.outcome
    found = bradley_terry(*columns, battles.question, battles.weight, anchor)
    styled = at_equal_style(StyledBattles(*columns, {}, battles.question, battles.weight), battles.style, anchor)
    met = (battles.first, battles.second), np.asarray(battles.outcome, dtype=float), codes_of(battles.question)
    across = across_groups(found.groups, found.names, *met, seeds=1)
    ranks = rank_intervals(found.theta, found.covariance, across=across)
    finite = across.comparable[found.names.index(anchor)]
    share, errors = found.win_probability, found.standard_errors
    warnings = () if found.connected else (_apart(found.groups),)
    order = np.argsort(-found.theta, kind="stable")
    of_method = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return [
        Score(
            name=found.names[place],
            reference=found.anchor,
            win_rate=100 * float(share[place]),
            # Delta method: d sigma / d theta = sigma (1 - sigma).
            standard_error=100 * float(share[place] * (1 - share[place]) * errors[place]) if finite[place] else None,
            length_controlled_win_rate=None,
            length_controlled_standard_error=None,
            n=of_method[found.names[place]],
            n_missing=lost,
            missing={UNKNOWN: lost} if lost else {},
            noted=dict(battles.noted) if place == order[0] else {},
            warnings=warnings,
            details={
                "theta": float(found.theta[place]),
                "theta_standard_error": float(errors[place]) if finite[place] else None,
                "elo": float(found.elo[place]),
                "elo_standard_error": float(ELO_SCALE * errors[place]) if finite[place] else None,
                "rank_low": ranks[place][0],
                "rank_high": ranks[place][1],
                "questions": found.clusters,
                **style_details(styled, int(place)),
            },
            columns=COLUMNS if styled is None else (*COLUMNS, "style_controlled_win_rate"),
        )
        for place in order
    ]


def _apart(groups: Sequence[Sequence[str]]) -> str:
    listed = " | ".join(", ".join(group[:3]) + (", ..." if len(group) > 3 else "") for group in groups)
    return (
        f"methods fall into {len(groups)} groups between which one side won everything ({listed}): strengths between "
        "groups have no maximum-likelihood value and no error, and rest on a small ridge"
    )
