"""Arena-Hard judgement files: a row per question and model, with two games against the baseline, as battles.

The baseline's answer is A in the first game and B in the second. Version 2 names the baseline in each row, and the
question ``uid``; version 0.1 does not. A question with a game that has no verdict is left out whole, as Arena-Hard's
version 2 does (``load_judgments`` in its show_result.py) and FastChat with pairs: one game alone carries the judge's
liking for a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.errors import DataError
from bench.scoring.battle_rows import RETRIED, UNKNOWN, Battle, Heading, JudgedBattles, category_of
from bench.scoring.row_files import RowFile, RowOfKind

# Verdicts of Arena-Hard's judge on the answers A and B: A's score, and how often the battle counts.
SLIGHTLY, CLEARLY = 1.0, 3.0
VERDICTS = {
    "A>>B": (1.0, CLEARLY), "A>B": (1.0, SLIGHTLY), "A=B": (0.5, SLIGHTLY), "B>A": (0.0, SLIGHTLY),
    "B>>A": (0.0, CLEARLY), "B<<A": (1.0, CLEARLY), "B<A": (1.0, SLIGHTLY), "B=A": (0.5, SLIGHTLY),
    "A<B": (0.0, SLIGHTLY), "A<<B": (0.0, CLEARLY),
}  # fmt: skip
REPEATED = "repeated judgements, counted once"
HALF = "games left out because the question's other game has no verdict"


@dataclass(frozen=True)
class _Judgement:
    """The verdicts on one question, in the order of the games; None for a game without one."""

    row: RowOfKind
    verdicts: tuple[str | None, ...]

    @property
    def given(self) -> list[str]:
        """The verdicts that there are."""
        return [verdict for verdict in self.verdicts if verdict is not None]

    def whole(self, games: int) -> bool:
        """Return whether all of so many games have a verdict."""
        return len(self.given) == games


def add_games(battles: JudgedBattles, files: Sequence[RowFile], reference: str | None) -> None:
    """Add the games of judgement files to battles.

    ``reference`` is the baseline of rows that name none. Of a question that was judged again after a failure the whole
    judgement counts. Raises DataError for two different judgements of one question, and for rows that are no games.
    """
    found: dict[tuple[Heading, str, str, str], list[_Judgement]] = {}
    for row in (row for file in files for row in file.rows):
        model, named = row.label("model"), row.label_or_none("baseline")
        other = reference if named is None else named
        if other is None:
            raise DataError(f"{row.where}: does not say what {model} was held against. Give --reference NAME.")
        if model == other:
            raise DataError(f"{row.where}: {model!r} is held against itself")
        unit = (category_of(row), named), row.unit("question_id", "uid"), model, other
        found.setdefault(unit, []).append(_Judgement(row, _verdicts(row)))
    games = max((len(one.verdicts) for judged in found.values() for one in judged), default=0)
    for (heading, question, model, other), judged in found.items():
        whole = [one for one in judged if one.whole(games)]
        if not whole:
            _lose(battles, heading, (model, other), judged, games)
            continue
        battles.noted[heading, RETRIED] += len(judged) - len(whole)
        battles.noted[heading, REPEATED] += len(whole) - 1
        for one in whole[1:]:
            if one.verdicts != whole[0].verdicts:
                raise DataError(f"{one.row.where}: a second, different judgement of {model} on question {question}")
        for sides, verdict in zip(((other, model), (model, other)), whole[0].given, strict=False):
            battles.rows.append(Battle(sides, *VERDICTS[verdict], question, heading))


def _lose(
    battles: JudgedBattles, heading: Heading, sides: tuple[str, str], judged: Sequence[_Judgement], games: int
) -> None:  # fmt: skip
    """Count the games of a question of which no judgement is whole, once however often it was tried."""
    there = max(len(one.given) for one in judged)
    battles.lose(heading, sides, UNKNOWN, max(games, 1) - there)
    battles.lose(heading, sides, HALF, there)


def _verdicts(row: RowOfKind) -> tuple[str | None, ...]:
    games = row.cells.get("games")
    # A row that holds an error instead of games has none; so has one of null.
    games = [] if games is None else games
    if not isinstance(games, list) or not all(game is None or isinstance(game, dict) for game in games):
        raise DataError(f"{row.where}: games is not a list of games")
    if len(games) > 2:
        raise DataError(f"{row.where}: {len(games)} games, wanted one, or two with the answers exchanged")
    return tuple(_verdict(game, row.where) for game in games)


def _verdict(game: dict[str, Any] | None, where: str) -> str | None:
    score = None if game is None else game.get("score")
    if score is not None and not isinstance(score, str | float):
        raise DataError(f"{where}: score is {score!r}, wanted one of {', '.join(VERDICTS)}, or null")
    return score if score in VERDICTS else None
