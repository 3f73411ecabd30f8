"""Two judges on the same pairs of responses, and all judges of a task together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.core.errors import DataError
from bench.results.conclusions.judge_audit import AnnotatorsTogether, JudgesTogether, Measure, Reference
from bench.statistics.crossing.crossing import codes
from bench.statistics.crossing.verdicts import BoolArray, Verdicts
from bench.statistics.tests.chance_agreement import Agreement, cohen_kappa, krippendorff_alpha
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.proportions import share
from bench.statistics.tests.random_effects import IntArray
from bench.statistics.tests.resampling import design_seed

RESAMPLES = 2000
# Draws of resamples from the same design are the same for every judge.
PURPOSE = "judge agreement"


def winner(preference: FloatArray) -> FloatArray:
    """Return 1 where a is preferred, 0 for a tie, -1 where b is; NaN where there is no verdict."""
    return np.sign(preference - 0.5)


def matched(one: Verdicts, other: Verdicts) -> tuple[Verdicts, Verdicts]:
    """Return the entries of both that are about the same pair of arms, prompt, seed and draw, in the same order."""
    draws = 1 + max((int(side.draw.max()) for side in (one, other) if len(side.draw)), default=0)
    _, mine, theirs = np.intersect1d(one.codes(draws), other.codes(draws), assume_unique=True, return_indices=True)
    order = np.argsort(mine)
    return one.where(mine[order]), other.where(theirs[order])


def same_winner(one: Verdicts, other: Verdicts, level: float) -> Measure:
    """Return the share of pairs of responses on which both name the same winner, orders averaged; a tie is a winner."""
    mine, theirs = matched(one, other)
    a, b = winner(mine.preference), winner(theirs.preference)
    there = np.isfinite(a) & np.isfinite(b)
    return share(mine.total(there & (a == b)), mine.total(there), mine.design.clusters, level)


def same_verdict(mine: Verdicts, theirs: Verdicts, level: float) -> Measure:
    """Return the share of single verdicts, order by order, on which both name the same winner; a tie is a winner.

    The entries of both are about the same responses, in the same order (``matched``).
    """
    top, bottom = np.zeros(mine.design.shape), np.zeros(mine.design.shape)
    for a, b in ((mine.first, theirs.first), (mine.second, theirs.second)):
        there = np.isfinite(a) & np.isfinite(b)
        top += mine.total(there & (winner(a) == winner(b)))
        bottom += mine.total(there)
    return share(top, bottom, mine.design.clusters, level)


def against(reference: str, judged: Verdicts, truth: Verdicts, level: float) -> Reference:
    """Return how a judge agrees with one that is nearer to the truth."""
    mine, theirs = matched(judged, truth)
    a, b = winner(mine.preference), winner(theirs.preference)
    there = np.isfinite(a) & np.isfinite(b)
    kappa = Measure(n=0)
    if there.any():
        clusters = mine.design.clusters[mine.prompt][there]
        seed = design_seed(PURPOSE, len(np.unique(clusters)), len(mine.design.seeds), RESAMPLES)
        kappa = _measure(cohen_kappa(a[there], b[there], level, RESAMPLES, seed, clusters))
    return Reference(judge=reference, agreement=same_winner(judged, truth, level), kappa=kappa)


def together(task: str, judges: Mapping[str, Verdicts], level: float) -> JudgesTogether | None:
    """Return Krippendorff's alpha of the winners of all judges of a task; None for fewer than two."""
    if len(judges) < 2:
        return None
    names = tuple(judges)
    places = {
        key: place for place, key in enumerate(dict.fromkeys(k for one in judges.values() for k in one.entries()))
    }
    ratings = np.full((len(names), len(places)), np.nan)
    clusters = np.zeros(len(places), dtype=np.int64)
    for row, judged in enumerate(judges.values()):
        at = [places[key] for key in judged.entries()]
        ratings[row, at] = winner(judged.preference)
        clusters[at] = judged.design.clusters[judged.prompt]
    return JudgesTogether(task=task, judges=names, level=level, alpha=_alpha(ratings, clusters, level))


def annotators_together(annotations: pa.Table, level: float) -> tuple[AnnotatorsTogether, ...]:
    """Return the same of the annotators behind each human judge, by judge and task; a row is one annotation."""
    found = []
    for judge, task in sorted(set(zip(annotations["judge"].to_pylist(), annotations["task"].to_pylist(), strict=True))):
        rows = annotations.filter(pc.and_(pc.equal(annotations["judge"], judge), pc.equal(annotations["task"], task)))
        names = [rows[name].to_pylist() for name in ("method", "versus", "prompt", "run", "draw")]
        units = list(zip(*names, strict=True))
        place = {unit: number for number, unit in enumerate(sorted(set(units)))}
        who = {name: number for number, name in enumerate(sorted(set(rows["annotator"].to_pylist())))}
        at = [place[unit] for unit in units]
        ratings = np.full((len(who), len(place)), np.nan)
        ratings[[who[name] for name in rows["annotator"].to_pylist()], at] = rows["value"].to_numpy()
        clusters = np.zeros(len(place), dtype=np.int64)
        clusters[at] = codes(rows["cluster"].to_pylist())
        alpha = _alpha(ratings, clusters, level)
        found.append(AnnotatorsTogether(task=task, judge=judge, annotators=len(who), level=level, alpha=alpha))
    return tuple(found)


def _alpha(ratings: FloatArray, clusters: IntArray, level: float) -> Measure:
    """Return alpha of (raters, units); nothing where no unit has two ratings."""
    seed = design_seed(PURPOSE, len(np.unique(clusters)), 1, RESAMPLES)
    try:
        return _measure(krippendorff_alpha(ratings, "ordinal", level, RESAMPLES, seed, clusters))
    except DataError:
        return Measure(n=0)


def complete(judged: Verdicts) -> tuple[FloatArray, BoolArray]:
    """Return the mean preference by prompt and seed, and which prompts have every verdict that was asked for.

    A prompt without a verdict in some seed is not complete, as in the contrasts.
    """
    preference = judged.preference
    there = np.isfinite(preference)
    total, count = judged.total(np.nan_to_num(preference)), judged.total(there)
    whole = (count > 0).all(axis=1) & (judged.total(~there) == 0).all(axis=1)
    return total / np.maximum(count, 1), whole


def _measure(found: Agreement) -> Measure:
    return Measure(n=found.units, estimate=found.estimate, low=found.low, high=found.high)
