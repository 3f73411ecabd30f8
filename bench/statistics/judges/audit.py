"""The judge audit: how far each judge of a run can be trusted, by task, for all pairs together and for each.

What is measured, and with which interval:

- unparsed, refused and error: shares of the verdicts asked for; ties: of the usable ones.
- first_shown: the mean preference for the response shown first, where both presentation orders were judged.
- consistent, flips: of pairs of responses with a usable verdict in both orders, the share judged alike (same winner, or
  both a tie) and the share in which the same position won twice. The flips' direction has the exact binomial test of
  one half and Clopper and Pearson's interval (1934, Biometrika 26:404); it takes flips as independent, which the
  interval of first_shown does not.
- retested: the share of pairs of responses with the same winner (orders averaged) on a second call with other noise.
- longer_wins and the slope: ``bench.statistics.length.preference``.
- against gold or a human: the share of pairs of responses with the same winner of three (a, b, a tie; orders averaged),
  and Cohen's kappa of these with a percentile interval, clusters of prompts drawn again.
- against the control judges: ``bench.statistics.judges.controls``.
- all judges together: Krippendorff's alpha of the winners on an ordinal scale, clusters drawn again.

Shares have the intervals of ``bench.statistics.tests.proportions``: clustered by prompt, crossed with the training
seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from bench.config.comparison import Comparison, Named
from bench.core.judge import reseeded
from bench.core.metrics import WIN_RATE
from bench.results.conclusions.judge_audit import (
    Explained,
    Imitations,
    JudgeAudit,
    JudgesTogether,
    Measure,
    Reference,
    Retest,
)
from bench.results.records import CLAIMS_IMITATION, CONTROL, IMITATION, LABELLED_IMITATION, RATED_IMITATION, RETEST
from bench.statistics.crossing.verdicts import ArmPair, CrossedDesign, Verdicts, design_of, verdicts_of
from bench.statistics.judges.agreement import against, complete, matched, same_verdict, same_winner, together, winner
from bench.statistics.judges.controls import split
from bench.statistics.length.preference import LengthPreference, length_preference
from bench.statistics.tests.proportions import share
from bench.statistics.tests.random_effects import codes_of

CHARACTERS = "response_characters"
# Judges that are nearer to the truth than others, by name.
REFERENCES = ("gold", "human")
# Judges that are shown a pair in one order, and whose answer stands in both.
SHOWN_ONCE = ("human",)
NOTHING = Measure(n=0)
NO_POSITION: dict[str, Measure | float | None] = {
    "consistent": NOTHING, "flips": NOTHING, "first_shown": NOTHING, "flips_to_first": NOTHING, "position_p": None,
}  # fmt: skip
# The length of every response, by arm, prompt, seed and draw.
Lengths = Mapping[tuple[str, str, int, int], float]


@dataclass(frozen=True)
class _Task:
    """All verdicts on one task: those of the judges, of the second calls and of the controls, each by name.

    ``imitations``: pairs of responses of which one imitates the question, by judge and arms.
    """

    name: str
    design: CrossedDesign
    pairs: tuple[ArmPair, ...]
    judges: dict[str, Verdicts]
    again: dict[str, Verdicts]
    controls: dict[str, Verdicts]
    lengths: Lengths
    imitations: Counter[tuple[str, str, str]]


def judge_audits(
    records: pa.Table, audit: pa.Table, comparison: Comparison
) -> tuple[tuple[JudgeAudit, ...], tuple[JudgesTogether, ...]]:
    """Return an audit per judge and task, over all pairs and per pair, and how the judges of a task agree.

    ``audit`` holds the verdicts of controls and second calls (``bench.results.conclusions.judge_audit``); without rows
    these parts stay empty. Raises DataError for a prompt in two clusters.
    """
    audits: list[JudgeAudit] = []
    agree: list[JudgesTogether] = []
    for task in comparison.evaluation.tasks:
        judged = _task(records, audit, task.NAME, comparison)
        for named in comparison.evaluation.judges:
            if named.label in judged.judges:
                audits += _audits(judged, named, comparison)
        alpha = together(task.NAME, judged.judges, comparison.statistics.level)
        agree += [alpha] if alpha is not None else []
    return tuple(audits), tuple(agree)


def imitations_beside(audit: pa.Table) -> tuple[Imitations, ...]:
    """Return how many rated responses, checked claims and labelled pairs imitate a question, by reader and task.

    Win rates have theirs in the audit of the judge.
    """
    counts: Counter[tuple[Literal["rated", "claim", "labelled"], str, str | None]] = Counter()
    names = zip(*(audit[name].to_pylist() for name in ("metric", "source", "task")), strict=True)
    for metric, source, task in names:
        if metric == RATED_IMITATION:
            counts["rated", source, task] += 1
        elif metric == CLAIMS_IMITATION:
            counts["claim", source, task] += 1
        elif metric == LABELLED_IMITATION:
            counts["labelled", source, None] += 1
    return tuple(Imitations(what=what, by=by, task=task, count=count) for (what, by, task), count in counts.items())


def _task(records: pa.Table, audit: pa.Table, task: str, comparison: Comparison) -> _Task:
    verdicts = _rows(records, task, WIN_RATE.name)
    design = design_of(verdicts, task, comparison.given.seeds)
    judged = sorted(set(zip(verdicts["method"].to_pylist(), verdicts["versus"].to_pylist(), strict=True)))
    declared = [pair for pair in comparison.evaluation.contrasts if pair in judged]
    pairs = tuple(dict.fromkeys([*declared, *judged]))
    lengths = _rows(records, task, CHARACTERS)
    imitating = _rows(audit, task, IMITATION)
    names = [lengths[name].to_pylist() for name in ("method", "prompt", "run", "draw")]
    return _Task(
        task,
        design,
        pairs,
        _by_source(verdicts, design, pairs),
        _by_source(_rows(audit, task, RETEST), design, pairs),
        _by_source(_rows(audit, task, CONTROL), design, pairs),
        dict(zip(zip(*names, strict=True), lengths["value"].to_pylist(), strict=True)),
        Counter(zip(*(imitating[name].to_pylist() for name in ("source", "method", "versus")), strict=True)),
    )


def _rows(table: pa.Table, task: str, metric: str) -> pa.Table:
    return table.filter(pc.and_(pc.equal(table["task"], task), pc.equal(table["metric"], metric)))


def _by_source(rows: pa.Table, design: CrossedDesign, pairs: Sequence[ArmPair]) -> dict[str, Verdicts]:
    return {
        source: verdicts_of(rows.filter(pc.equal(rows["source"], source)), design, pairs)
        for source in sorted(set(rows["source"].to_pylist()))
    }


def _audits(task: _Task, named: Named, comparison: Comparison) -> Iterator[JudgeAudit]:
    judged = task.judges[named.label]
    several = len(np.unique(judged.pair)) > 1
    if several:
        yield _audit(task, named, judged, None, comparison)
    for place, pair in enumerate(task.pairs):
        own = judged.of_pair(place)
        if len(own.pair):
            yield _audit(task, named, own, pair, comparison)


def _audit(
    task: _Task, named: Named, judged: Verdicts, pair: ArmPair | None, comparison: Comparison
) -> JudgeAudit:  # fmt: skip
    """Return the audit of one judge's verdicts, on all pairs or on one."""
    level, clusters = comparison.statistics.level, task.design.clusters
    calls = judged.total(judged.was_asked.sum(axis=0))

    def of_all(status: str) -> Measure:
        count = (judged.statuses == status).sum(axis=0)
        return share(judged.total(count), calls, clusters, level)

    usable = np.isfinite(np.stack([judged.first, judged.second]))
    ties = np.stack([judged.first, judged.second]) == 0.5
    longer = _lengths(task, judged, level)
    retest, retested = _retested(task, named, judged, level)
    return JudgeAudit(
        judge=named.label,
        task=task.name,
        a=None if pair is None else pair[0],
        b=None if pair is None else pair[1],
        level=level,
        asked=int(calls.sum()),
        unparsed=of_all("unparsed"),
        refused=of_all("refused"),
        error=of_all("error"),
        ties=share(judged.total(ties.sum(axis=0)), judged.total(usable.sum(axis=0)), clusters, level),
        **(NO_POSITION if named.judge.NAME in SHOWN_ONCE else _position(judged, level)),
        retest=retest,
        retested=retested,
        longer_wins=longer.longer_wins,
        length_status=longer.status,
        length_slope=longer.slope,
        imitations=sum(
            count
            for (judge, *arms), count in task.imitations.items()
            if judge == named.label and (pair is None or tuple(arms) == pair)
        ),
        references=tuple(_references(task, named, judged, comparison)),
        controls=() if pair is None else tuple(_controls(task, named, judged, comparison)),
    )


def _position(judged: Verdicts, level: float) -> dict[str, Measure | float | None]:
    """Return how the two presentation orders agree, by the names of the audit."""
    clusters, both = judged.design.clusters, judged.both
    first, second = winner(judged.first), winner(judged.second)
    flipped = both & (first * second < 0)
    flips, to_first = int(flipped.sum()), int((flipped & (first > 0)).sum())
    consistent = share(judged.total(both & (first == second)), judged.total(both), clusters, level)
    found = {
        **NO_POSITION,
        "consistent": consistent,
        "flips": share(judged.total(flipped), judged.total(both), clusters, level),
    }
    if judged.was_asked.all(axis=0).any():
        shown = np.stack([judged.first, 1 - judged.second])
        there = np.isfinite(shown)
        top, bottom = (
            judged.total(np.where(there, np.nan_to_num(shown), 0.0).sum(axis=0)),
            judged.total(there.sum(axis=0)),
        )
        lean = share(top, bottom, clusters, level)
        found["first_shown"] = lean if (top != bottom / 2).any() else _never_swayed(lean, consistent)
    if flips:
        test = stats.binomtest(to_first, flips, 0.5)
        exact = test.proportion_ci(level, method="exact")
        found["flips_to_first"] = Measure(
            n=flips, estimate=to_first / flips, low=float(exact.low), high=float(exact.high)
        )  # fmt: skip
        found["position_p"] = float(test.pvalue)
    return found


def _never_swayed(lean: Measure, consistent: Measure) -> Measure:
    """Return a preference for the first shown of exactly one half in every cell, with what could be overlooked.

    It can differ from one half only where the orders disagree, and by half of how often they do.
    """
    most = (1 - (consistent.low or 0.0)) / 2
    return lean.model_copy(update={"low": 0.5 - most, "high": 0.5 + most})


def _lengths(task: _Task, judged: Verdicts, level: float) -> LengthPreference:
    """Return how the judge depends on the lengths of the responses."""
    sides = []
    for side in (0, 1):
        found = np.full(len(judged.pair), np.nan)
        for entry, (pair, prompt, seed, draw) in enumerate(judged.entries()):
            key = (task.pairs[pair][side], task.design.prompts[prompt], task.design.seeds[seed], draw)
            length = task.lengths.get(key)
            found[entry] = np.nan if length is None else length
        sides.append(found)
    return length_preference(judged, sides[0], sides[1], level)


def _retested(task: _Task, named: Named, judged: Verdicts, level: float) -> tuple[Retest, Measure]:
    """Return whether the judge was asked again, and the share of the same winners."""
    if reseeded(named.judge) is None:
        return "no noise", NOTHING
    again = task.again.get(named.label)
    found = NOTHING if again is None else same_winner(judged, again, level)
    return ("asked" if found.n else "not asked"), found


def _references(task: _Task, named: Named, judged: Verdicts, comparison: Comparison) -> Iterator[Reference]:
    """Yield how the judge agrees with each gold or human judge of the comparison."""
    for other in comparison.evaluation.judges:
        if other.judge.NAME in REFERENCES and other.label != named.label and other.label in task.judges:
            yield against(other.label, judged, task.judges[other.label], comparison.statistics.level)


def _controls(task: _Task, named: Named, judged: Verdicts, comparison: Comparison) -> Iterator[Explained]:
    """Yield what each control explains of the judge's win rate of one pair; a control does not explain itself."""
    level = comparison.statistics.level
    for control, verdicts in task.controls.items():
        mine, theirs = matched(judged, verdicts)
        if control == named.judge.NAME or not len(mine.pair):
            continue
        (values, whole), (known, there) = complete(mine), complete(theirs)
        kept = whole & there
        found = split(values[kept], known[kept], codes_of(task.design.clusters[kept]), level)
        yield Explained(control=control, agreement=same_verdict(mine, theirs, level), **vars(found))
