"""Battle files (Arena-Hard, Chatbot Arena): Bradley-Terry strengths with errors over questions, by category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import DataError
from bench.scoring.battle_rows import OUTCOMES, Battle, Heading, JudgedBattles, add_battles
from bench.scoring.games import VERDICTS, add_games
from bench.scoring.markup import at_equal_style, style_details
from bench.scoring.method_score import Score
from bench.scoring.parts import JudgedPart
from bench.statistics.ranking.bradley_terry import ELO_SCALE, bradley_terry, rank_intervals
from bench.statistics.ranking.separated import across_groups
from bench.statistics.ranking.style import StyledBattles
from bench.statistics.tests.random_effects import codes_of

COLUMNS = ("elo", "elo_standard_error", "rank_low", "rank_high")
FEWEST_QUESTIONS = 2
# The category of battles without one, beside others that have one; None is all categories together.
WITHOUT = "without category"


@dataclass(frozen=True)
class _Group:
    """The battles of some headings, which are scored together, and the method that stands at 0."""

    category: str | None
    headings: Collection[Heading]
    battles: Sequence[Battle]
    anchor: str


def scores(part: JudgedPart, reference: str | None) -> list[Score]:
    """Return one score per method, best first: the chance to beat the baseline, its error, Elo, and ranks.

    Questions with a category are scored by category, as Arena-Hard's leaderboard is; with one baseline for all, also
    together. The baseline is ``reference``, else the one that the rows name (several: each by itself), else the method
    with the most battles. Battles whose winner is not known are left out and counted. Battles of one question are one
    cluster; repeated rows, and clear wins, carry weight without counting as observations of their own. Raises
    DataError where nothing is left.
    """
    found = JudgedBattles()
    add_games(found, [file for file in part.files if file.kind == "games"], reference)
    for file in part.files:
        if file.kind != "games":
            add_battles(found, file)
    if not found.rows:
        known = "games have a verdict" if part.files[0].kind == "games" else "battles has a winner"
        wanted = VERDICTS if part.files[0].kind == "games" else OUTCOMES
        raise DataError(f"none of {found.missing.total() // 2} {known} among {', '.join(wanted)}")
    whole, by_heading = _whole(found, reference), _by_heading(found, reference)
    scored = [group for group in by_heading if len({one.question for one in group.battles}) >= FEWEST_QUESTIONS]
    if whole is None and not scored:
        raise DataError("no category has two questions with a verdict: no error can be estimated")
    thin = sorted({str(group.category) for group in by_heading if group not in scored})
    noted = {
        **part.noted,
        f"categories with fewer than two judged questions, not scored ({', '.join(thin)})": len(thin),
    }
    told: list[Score] = []
    for group in [*([] if whole is None else [whole]), *scored]:
        told += _scores(found, group, part.judge, {} if told else noted)
    return told


def _whole(found: JudgedBattles, reference: str | None) -> _Group | None:
    """Return all battles as one group.

    None where they have several baselines and nobody said which counts, or all are of one category.
    """
    headings = _headings(found)
    named = sorted({baseline for _, baseline in headings if baseline is not None})
    categories = {category for category, _ in headings}
    if (reference is None and len(named) > 1) or (len(categories) == 1 and None not in categories):
        return None
    return _Group(None, headings, found.rows, _anchor(found.rows, reference, named))


def _by_heading(found: JudgedBattles, reference: str | None) -> list[_Group]:
    """Return the battles by category, and by the baseline that they name where nobody said which counts.

    None where all belong together: no category, and no second baseline.
    """
    headings = _headings(found)
    keys = [(category, baseline if reference is None else None) for category, baseline in headings]
    if all(category is None for category, _ in keys) and len({baseline for _, baseline in keys} - {None}) < 2:
        return []
    groups = []
    for key in dict.fromkeys(keys):
        of_key = [heading for heading, other in zip(headings, keys, strict=True) if other == key]
        battles = [battle for battle in found.rows if battle.heading in of_key]
        named = [] if key[1] is None else [key[1]]
        category = WITHOUT if key[0] is None and any(name is not None for name, _ in keys) else key[0]
        groups.append(_Group(category, of_key, battles, _anchor(battles, reference, named)))
    return groups


def _headings(found: JudgedBattles) -> list[Heading]:
    """Return every heading, of lost battles too, in alphabetical order, none first."""
    there = {battle.heading for battle in found.rows} | {heading for heading, _, _ in found.missing}
    return sorted(there, key=lambda heading: [(name is not None, str(name)) for name in heading])


def _anchor(battles: Sequence[Battle], reference: str | None, named: Sequence[str]) -> str:
    if reference is not None:
        return reference
    if named:
        return named[0]
    counts = Counter(side for battle in battles for side in battle.sides)
    return max(sorted(counts), key=lambda name: counts[name], default="")


def _scores(found: JudgedBattles, group: _Group, judge: str | None, noted: Mapping[str, int]) -> list[Score]:
    of = group.battles
    sides = [battle.sides[0] for battle in of], [battle.sides[1] for battle in of]
    outcome, weight = [battle.outcome for battle in of], [battle.weight for battle in of]
    fit = bradley_terry(*sides, outcome, [battle.question for battle in of], weight, group.anchor)
    styled = at_equal_style(
        StyledBattles(*sides, outcome, {}, [battle.question for battle in of], weight),
        [battle.style for battle in of],
        group.anchor,
    )
    units = codes_of([battle.question for battle in of])
    across = across_groups(fit.groups, fit.names, sides, np.asarray(outcome, dtype=float), units, seeds=1)
    ranks = rank_intervals(fit.theta, fit.covariance, across=across)
    finite = across.comparable[fit.names.index(fit.anchor)]
    share, errors = fit.win_probability, fit.standard_errors
    warnings = () if fit.connected else (_apart(fit.groups),)
    order = np.argsort(-fit.theta, kind="stable")
    battled = Counter(side for battle in of for side in battle.sides)
    repaired = Counter(noted)
    for (heading, what), count in found.noted.items():
        repaired[what] += count if heading in group.headings else 0
    if styled is not None and styled.left_out:
        repaired["battles without style counts, left out at equal style (of all methods)"] += styled.left_out
    told = []
    for place in order:
        name = fit.names[place]
        # Delta method: d sigma / d theta = sigma (1 - sigma).
        error = float(share[place] * (1 - share[place]) * errors[place])
        missing = _missing(found, group, name)
        told.append(
            Score(
                name=name,
                reference=fit.anchor,
                judge=judge,
                category=group.category,
                win_rate=100 * float(share[place]),
                standard_error=100 * error if finite[place] else None,
                length_controlled_win_rate=None,
                length_controlled_standard_error=None,
                n=battled[name],
                n_missing=sum(missing.values()),
                missing=missing,
                noted=dict(+repaired) if place == order[0] else {},
                warnings=warnings,
                details={
                    "theta": float(fit.theta[place]),
                    "theta_standard_error": float(errors[place]) if finite[place] else None,
                    "elo": float(fit.elo[place]),
                    "elo_standard_error": float(ELO_SCALE * errors[place]) if finite[place] else None,
                    "rank_low": ranks[place][0],
                    "rank_high": ranks[place][1],
                    "questions": fit.clusters,
                    **style_details(styled, name),
                },
                columns=COLUMNS if styled is None else (*COLUMNS, "style_controlled_win_rate"),
            )
        )
    return told


def _missing(found: JudgedBattles, group: _Group, name: str) -> dict[str, int]:
    """Return how many battles of a method were left out, by reason."""
    counts: Counter[str] = Counter()
    for (heading, of_name, reason), count in found.missing.items():
        if of_name == name and heading in group.headings:
            counts[reason] += count
    return dict(+counts)


def _apart(groups: Sequence[Sequence[str]]) -> str:
    listed = " | ".join(", ".join(group[:3]) + (", ..." if len(group) > 3 else "") for group in groups)
    return (
        f"methods fall into {len(groups)} groups between which one side won everything ({listed}): strengths between "
        "groups have no maximum-likelihood value and no error, and rest on a small ridge"
    )
