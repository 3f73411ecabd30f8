"""Battles: who met whom on which question, and who won (Chatbot Arena; Arena-Hard's are made by ``games``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.scoring.markup import MarkupStyle, style_of
from bench.scoring.row_files import RowFile, RowOfKind

OUTCOMES = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5, "both_bad": 0.5}
# What battles are scored under: the category of their question and the baseline that their rows name, None for none.
Heading = tuple[str | None, str | None]
UNKNOWN = "battles without a known winner"
RETRIED = "failed judgements, left out beside a later one"


@dataclass(frozen=True)
class Battle:
    """One battle: the first side's score, and how often it counts."""

    sides: tuple[str, str]
    outcome: float
    weight: float
    question: str
    heading: Heading
    style: MarkupStyle | None = None


@dataclass
class JudgedBattles:
    """All battles of one judge. ``missing`` by heading, method and reason; ``noted`` by heading and what."""

    rows: list[Battle] = field(default_factory=list)
    missing: Counter[tuple[Heading, str, str]] = field(default_factory=Counter)
    noted: Counter[tuple[Heading, str]] = field(default_factory=Counter)

    def lose(self, heading: Heading, sides: Sequence[str], reason: str, count: int) -> None:
        """Count battles that both sides lack."""
        for name in sides:
            self.missing[heading, name, reason] += count


def add_battles(battles: JudgedBattles, file: RowFile) -> None:
    """Add the battles of a file; one without a known winner is counted, unless the same was asked again."""
    known = {_asked(row) for row in file.rows if _outcome(row) is not None}
    for row in file.rows:
        sides, value, heading = (row.label("model_a"), row.label("model_b")), _outcome(row), (category_of(row), None)
        if value is None and _asked(row) in known:
            battles.noted[heading, RETRIED] += 1
        elif value is None:
            battles.lose(heading, sides, UNKNOWN, 1)
        else:
            style = style_of(row.cells, row.where)
            battles.rows.append(Battle(sides, value, 1.0, row.unit("question_id", "uid"), heading, style))


def category_of(row: RowOfKind) -> str | None:
    """Return the category of a row's question, None for none."""
    return row.label_or_none("category")


def _outcome(row: RowOfKind) -> float | None:
    winner = row.label_or_none("winner")
    return None if winner is None else OUTCOMES.get(winner.lower())


def _asked(row: RowOfKind) -> tuple[str | None, ...]:
    """Return what was asked: two rows of one question, one order of the sides and one turn are two tries."""
    return (row.unit("question_id", "uid"), row.label("model_a"), row.label("model_b"), row.label_or_none("turn"))
