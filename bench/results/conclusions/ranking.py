"""All methods of a run on one scale: strengths from every judged pair, and the ranks each may hold."""

from __future__ import annotations

from typing import Literal

from bench.core.frozen import Frozen
from bench.results.conclusions.contrast import SpeaksAbout

TieModel = Literal["davidson", "half wins"]


class RankedMethod(Frozen):
    """One method.

    ``strength`` is 0 for the anchor: the log of the odds of a win over the anchor against a loss. ``low`` and ``high``
    bound it at the ranking's level by itself; they and ``standard_error`` are None where one side won everything
    between the method and the anchor, so that the strength has no finite value and rests on a small penalty.
    ``rank_low`` (best) and ``rank_high`` are the ranks it may hold, for all
    methods together at that level. ``models_low`` and ``models_high`` are those of these trained models alone.
    """

    name: str
    strength: float
    standard_error: float | None
    low: float | None
    high: float | None
    rank_low: int
    rank_high: int
    models_low: int
    models_high: int
    own_reward: bool = False


class Ranking(Frozen):
    """The methods of one task and judge, best first.

    ``groups`` are the largest sets in which no two are distinguished, best first: a method may be in several, and two
    methods that share none are distinguished. ``models_groups`` are those of these trained models alone, which is
    another claim where there are several seeds. ``tie_strength`` is Davidson's nu, None where ties count as half wins.
    ``unconnected``: sets between which one side won everything, so that the strengths between them rest on a small
    penalty; empty where there is one set only. Methods of two sets are told apart by the battles that the better set
    won (``bench.statistics.ranking.separated``).
    """

    task: str
    judge: str
    anchor: str
    ties: TieModel
    tie_strength: float | None
    n_judgements: int
    n_prompts: int
    n_missing: int
    n_runs: int
    level: float
    speaks_about: SpeaksAbout
    places: tuple[RankedMethod, ...]
    groups: tuple[tuple[str, ...], ...]
    models_groups: tuple[tuple[str, ...], ...]
    unconnected: tuple[tuple[str, ...], ...] = ()

    @property
    def tells_procedures_apart(self) -> bool:
        """Whether any two training procedures are told apart; with few seeds often none are, whatever the models."""
        return any(place.rank_high < len(self.places) for place in self.places)
