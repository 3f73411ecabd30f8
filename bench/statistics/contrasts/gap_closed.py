"""The share of a gap that a method closes: a ratio of two means over the same prompts and seeds.

Proxy-tuning reports how much of the way from the untuned to the directly tuned model it comes (Liu et al. 2024,
arXiv 2401.08565). With, per prompt and seed, n = of - start and d = goal - start, the share is mean(n) / mean(d).

A ratio has no t interval. Fieller's (1954, J. R. Stat. Soc. B 16:175) is the set of all shares s for which "the mean
of n - s d is 0" is not rejected; here by the test of this project's contrasts (``random_effects``), so that with one
seed it is Fieller's textbook interval, and with several it speaks about the training procedure. The set is bounded
exactly where the mean of d itself differs from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bench.config.comparison import Comparison, GapClosed
from bench.core.errors import IncompleteRecords
from bench.core.metrics import WIN_RATE
from bench.results.conclusions.all import GapShare
from bench.statistics.contrasts.analysis import ROUNDING
from bench.statistics.crossing.crossing import Crossing, RecordIndex, Request, cells, codes
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.intervals import bootstrap_means
from bench.statistics.tests.random_effects import IntArray, crossed_effects
from bench.statistics.tests.resampling import affordable, design_seed
from bench.statistics.tests.roots import root

# A search outwards for the end of an interval doubles its step at most this often.
DOUBLINGS = 60


@dataclass(frozen=True)
class RatioOfMeans:
    """A share with its intervals; all None where the gap's own interval, ``gap_low`` to ``gap_high``, contains 0."""

    share: float | None
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None
    gain: float
    gap: float
    gap_low: float
    gap_high: float


def ratio_of_means(
    gains: FloatArray, gaps: FloatArray, clusters: IntArray, level: float, resamples: int
) -> RatioOfMeans:  # fmt: skip
    """Return mean(gains) / mean(gaps), both (prompts, seeds) and paired, with its intervals at ``level``.

    Raises ValueError for fewer than two clusters.
    """
    gain, gap = float(gains.mean()), float(gaps.mean())
    units = int(clusters.max()) + 1
    by_cluster = clusters if units < len(clusters) else None
    gap_low, gap_high = crossed_effects(gaps, by_cluster).confidence.interval(level)
    found = fieller(gains, gaps, by_cluster, level)
    if found is None:
        return RatioOfMeans(None, None, None, gain, gap, gap_low, gap_high)
    drawn = affordable(units, resamples)
    seed = design_seed("bootstrap", units, gains.shape[1], drawn)
    tops = bootstrap_means(gains, clusters, drawn, seed)
    bottoms = bootstrap_means(gaps, clusters, drawn, seed)
    usable = np.abs(bottoms) > ROUNDING
    tail = (1 - level) / 2
    low, high = np.quantile(tops[usable] / bottoms[usable], [tail, 1 - tail])
    ends = (found.low, found.high)
    return RatioOfMeans(found.share, ends, (float(low), float(high)), gain, gap, gap_low, gap_high)


@dataclass(frozen=True)
class Fieller:
    """A ratio of two paired means with Fieller's interval."""

    share: float
    low: float
    high: float


def fieller(gains: FloatArray, gaps: FloatArray, clusters: IntArray | None, level: float) -> Fieller | None:
    """Return mean(gains) / mean(gaps), both (prompts, seeds) and paired: every s whose interval of n - s d contains 0.

    None where the interval of the gap itself contains 0: no ratio is then excluded. ``clusters`` as for
    ``crossed_effects``, which raises ValueError for fewer than two.
    """
    gain, gap = float(gains.mean()), float(gaps.mean())
    low, high = crossed_effects(gaps, clusters).confidence.interval(level)
    if low <= 0 <= high:
        return None

    def excess(share: float) -> float:
        """Return how far the mean of n - s d lies outside its interval; negative within."""
        law = crossed_effects(gains - share * gaps, clusters).confidence
        return abs(gain - share * gap) - law.half_width(level)

    share = gain / gap
    return Fieller(share, _end(excess, share, -1.0), _end(excess, share, 1.0))


def gaps_closed(
    table: pa.Table, comparison: Comparison, own_rewards: Mapping[str, Sequence[str]]
) -> tuple[GapShare, ...]:  # fmt: skip
    """Return the shares that the comparison asks for, by question, then task and judge.

    Raises IncompleteRecords where a cell is missing, unless the comparison says ``missing: drop_prompts``.
    """
    index = RecordIndex(table)
    return tuple(
        share
        for question in comparison.evaluation.gap_closed
        for share in _gaps_closed(index, comparison, question, own_rewards)
    )


def _gaps_closed(
    index: RecordIndex, comparison: Comparison, question: GapClosed, own_rewards: Mapping[str, Sequence[str]]
) -> Iterator[GapShare]:
    seeds, settings = comparison.given.seeds, comparison.statistics
    for task in comparison.evaluation.tasks:
        for source in index.sources(task.NAME, question.metric):
            if question.judge not in (None, source):
                continue
            judge = None if source == "task" else source
            kind = Request(question.of, question.start, task.NAME, question.metric, source, seeds)
            gains, gaps, clusters = _paired(index, kind, question, comparison)
            common = {
                "of": question.of, "start": question.start, "goal": question.goal, "task": task.NAME,
                "metric": question.metric, "judge": judge, "level": settings.level, "n_prompts": len(gains),
                "n_runs": len(seeds), "own_reward": _own(question, own_rewards.get(source, ())),
                "speaks_about": "the training procedure" if len(seeds) > 1 else "these trained models",
            }  # fmt: skip
            if len(gains) < 2 or int(clusters.max()) < 1:
                empty = dict.fromkeys(("share", "low", "high", "bootstrap_low", "bootstrap_high"))
                empty |= dict.fromkeys(("gain", "gap", "gap_low", "gap_high"))
                note = "fewer than two independent prompts are complete"
                yield GapShare(status="undefined", note=note, **common, **empty)
                continue
            found = ratio_of_means(gains, gaps, clusters, settings.level, settings.resamples)
            low, high = found.interval or (None, None)
            bootstrap_low, bootstrap_high = found.bootstrap or (None, None)
            yield GapShare(
                **common, status="undefined" if found.share is None else "ok", share=found.share, low=low, high=high,
                bootstrap_low=bootstrap_low, bootstrap_high=bootstrap_high, gain=found.gain, gap=found.gap,
                gap_low=found.gap_low, gap_high=found.gap_high,
                note="the interval of the gap contains 0" if found.share is None else "",
            )  # fmt: skip


def _own(question: GapClosed, arms: Sequence[str]) -> tuple[str, ...]:
    return tuple(arm for arm in (question.of, question.start, question.goal) if arm in arms)


def _paired(
    index: RecordIndex, kind: Request, question: GapClosed, comparison: Comparison
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return n and d, (prompts, seeds), on the prompts that are complete for all, and the prompts' clusters."""
    if question.metric == WIN_RATE.name:
        reference = comparison.evaluation.versus or question.start
        known = {
            arm: _against(index, kind, arm, reference, comparison)
            for arm in (question.of, question.start, question.goal)
        }
    else:
        pairs = {arm: _crossing(index, kind, arm, question.start, comparison) for arm in (question.of, question.goal)}
        known = {question.start: None, **pairs}
    there = [crossing for crossing in known.values() if crossing is not None]
    shared = sorted(set.intersection(*(set(crossing.prompts) for crossing in there)))
    zero = np.full((len(shared), len(kind.seeds)), 0.5 if question.metric == WIN_RATE.name else 0.0)
    of, start, goal = (
        zero if (crossing := known[arm]) is None else crossing.values[_places(crossing, shared)]
        for arm in (question.of, question.start, question.goal)
    )
    first = there[0]
    clusters = codes(str(first.clusters[place]) for place in _places(first, shared))
    return of - start, goal - start, clusters


def _against(
    index: RecordIndex, kind: Request, arm: str, reference: str, comparison: Comparison
) -> Crossing | None:  # fmt: skip
    """Return the preferences for an arm over the reference, None for the reference itself: it ties with itself."""
    return None if arm == reference else _crossing(index, kind, arm, reference, comparison)


def _crossing(index: RecordIndex, kind: Request, a: str, b: str, comparison: Comparison) -> Crossing:
    request = Request(a, b, kind.task, kind.metric, kind.source, kind.seeds)
    try:
        return cells(index, request, comparison.statistics.missing)
    except IncompleteRecords as error:
        raise IncompleteRecords(
            f"The share of a gap cannot be computed: {error}\n  Run the comparison again to fill the "
            "gaps, or set statistics.missing to drop_prompts."
        ) from error


def _places(crossing: Crossing, prompts: Sequence[str]) -> list[int]:
    place = {prompt: number for number, prompt in enumerate(crossing.prompts)}
    return [place[prompt] for prompt in prompts]


def _end(excess: Callable[[float], float], share: float, direction: float) -> float:
    """Return where the interval around ``share`` ends in one direction."""
    if excess(share) >= 0:
        return share  # no variance at all: the share is exact
    step = max(abs(share), 1.0) * 1e-3
    for _ in range(DOUBLINGS):
        if excess(share + direction * step) > 0:
            return root(excess, share, share + direction * step, tolerance=1e-12)
        step *= 2
    return direction * float("inf")
