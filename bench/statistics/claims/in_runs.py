"""Error rates of claims over prompts and training seeds, each a ratio of sums, alone and paired between two arms.

With W wrong claims among M in each cell of a prompt and a seed, the rate is E = sum(W) / sum(M). Its error is that of a
ratio estimator: linearised (Cochran 1977, Sampling Techniques, ch. 6), cell (p, r) stands for the value

    E + (W[p, r] - E M[p, r]) / mean(M)

whose mean over all cells is E. These values go through the same crossed random effects of prompts and seeds as every
other metric, so seeds are an axis of the test; the difference of two arms is that of their values, cell by cell. A
response without claims is in no sum and still one of the cells: nothing is left out because an arm abstained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.config.comparison import Comparison
from bench.core.metrics import (
    ANSWERED,
    FACTSCORE,
    FACTUAL_ERROR_RATE,
    IRRELEVANT_CLAIMS,
    SUPPORTED_CLAIMS,
    UNSUPPORTED_CLAIMS,
    MetricInfo,
)
from bench.results.conclusions.factuality import ErrorReduction, Estimate, FactualRates
from bench.results.records import TASK_SOURCE
from bench.statistics.crossing.crossing import SETTLED, UNREAD, Crossing, RecordIndex, Request, cells, codes
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.intervals import wilson_interval
from bench.statistics.tests.random_effects import IntArray, crossed_effects

NO_CLAIM = "makes no claim on this task, so it has no error rate"


@dataclass(frozen=True)
class CrossedRatio:
    """A ratio of sums over (prompts, seeds): the linearised ``values``, whose mean it is, and its law.

    The law is None where all prompts are in one cluster.
    """

    estimate: float
    values: FloatArray
    law: Confidence | None


@dataclass(frozen=True)
class Counts:
    """One arm's claims on one task, means over draws of each (prompt, seed); ``score``: 0 where nothing is answered."""

    supported: FloatArray
    unsupported: FloatArray
    irrelevant: FloatArray
    answered: FloatArray
    score: FloatArray
    share: FloatArray
    clusters: IntArray
    draws: int

    @property
    def checked(self) -> FloatArray:
        """Claims that are supported or not."""
        return self.supported + self.unsupported

    @property
    def facts(self) -> FloatArray:
        """All claims."""
        return self.checked + self.irrelevant


def crossed_ratio(above: FloatArray, below: FloatArray, clusters: IntArray) -> CrossedRatio | None:
    """Return sum(above) / sum(below) over (prompts, seeds) with its law; None where the sum below is 0."""
    if not below.sum():
        return None
    estimate = float(above.sum() / below.sum())
    values = estimate + (above - estimate * below) / below.mean()
    return CrossedRatio(estimate, values, _law(values, clusters))


def contrasted(
    above: Crossing, below: tuple[FloatArray, FloatArray], arms: tuple[str, str]
) -> tuple[Crossing, tuple[str, ...]]:
    """Return two arms' ratios of sums as a paired crossing, and what to beware of.

    ``above`` holds both arms' numerators, ``below`` the denominators of each, on the same prompts and seeds. A crossing
    without prompts, and the reason, where an arm makes no claim.
    """
    a, b = (crossed_ratio(over, under, above.clusters) for over, under in zip(both_sides(above), below, strict=True))
    if a is None or b is None:
        silent = [arm for arm, ratio in zip(arms, (a, b), strict=True) if ratio is None]
        nothing = Crossing(prompts=(), clusters=above.clusters[:0], values=above.values[:0], dropped=above.dropped)
        return nothing, tuple(f"{arm} {NO_CLAIM}" for arm in silent)
    notes = tuple(
        f"{arm} has a rate of exactly 0, so its part of the error is 0"
        for arm, ratio in zip(arms, (a, b), strict=True)
        if ratio.estimate == 0
    )
    crossing = Crossing(
        prompts=above.prompts,
        clusters=above.clusters,
        values=a.values - b.values,
        a_values=a.values,
        b_values=b.values,
        dropped=above.dropped,
    )
    return crossing, notes


def ratio_contrasts(
    index: RecordIndex, request: Request, missing: Literal["refuse", "drop_prompts"]
) -> list[tuple[MetricInfo, Crossing, tuple[str, ...]]]:
    """Return the error rate and the FActScore of a pair, each a metric with its paired crossing and notes.

    ``request`` names the pair, task and seeds. FActScore is the mean over answered responses: the sum of scores over
    the number of responses with a claim.
    """
    right, wrong, answered, scores = (
        cells(index, dataclasses.replace(request, metric=metric.name), missing, "zero")
        for metric in (SUPPORTED_CLAIMS, UNSUPPORTED_CLAIMS, ANSWERED, FACTSCORE)
    )
    of_a, of_b = (of_right + of_wrong for of_right, of_wrong in zip(both_sides(right), both_sides(wrong), strict=True))
    arms = (request.a, request.b)
    return [
        (FACTUAL_ERROR_RATE, *contrasted(wrong, (of_a, of_b), arms)),
        (FACTSCORE, *contrasted(scores, both_sides(answered), arms)),
    ]


def factual_rates(table: pa.Table, comparison: Comparison) -> tuple[FactualRates, ...]:
    """Return the rates of every arm on every task whose claims are checked, in the file's order.

    An arm whose rows are incomplete is left out, or with ``missing: drop_prompts`` its incomplete prompts are.
    """
    factuality = comparison.evaluation.factuality
    if factuality is None:
        return ()
    index = RecordIndex(table)
    found = (
        (arm.name, task, counts_of(index, comparison, arm.name, task))
        for task in factuality.tasks
        for arm in comparison.arms
    )
    return tuple(
        _rates(comparison, (arm, task), counts, factuality.gamma) for arm, task, counts in found if counts is not None
    )


def error_reductions(table: pa.Table, comparison: Comparison) -> tuple[ErrorReduction, ...]:
    """Return the relative reduction of the error rate for every declared pair, on every task with checked claims."""
    factuality = comparison.evaluation.factuality
    if factuality is None:
        return ()
    return tuple(_reductions(RecordIndex(table), comparison, factuality.tasks))


def counts_of(index: RecordIndex, comparison: Comparison, arm: str, task: str) -> Counts | None:
    """Return the claims of one arm on one task; None where cells are missing, or no prompt is complete."""
    seeds = tuple(dict.fromkeys(comparison.given.seeds))
    request = Request(arm, arm, task, SUPPORTED_CLAIMS.name, TASK_SOURCE, seeds)
    universe = index.universe(request)
    names = (SUPPORTED_CLAIMS, UNSUPPORTED_CLAIMS, IRRELEVANT_CLAIMS, ANSWERED, FACTSCORE)
    found = [index.cells(dataclasses.replace(request, metric=metric.name), arm, None) for metric in names]
    if not universe.prompts or any(part.values.shape != found[0].values.shape for part in found):
        return None
    states = np.concatenate([part.states for part in found], axis=2)
    settled = np.isin(states, SETTLED).all(axis=(1, 2))
    complete = settled & ~(states == UNREAD).any(axis=(1, 2))  # the claims of a response that could not be had
    if not complete.any() or (comparison.statistics.missing == "refuse" and not settled.all()):
        return None
    supported, unsupported, irrelevant, answered, score = (part.values[complete] for part in found)
    facts = supported + unsupported + irrelevant
    share = np.divide(supported, facts, out=np.zeros_like(facts), where=facts > 0)
    return Counts(
        supported=supported.mean(axis=2),
        unsupported=unsupported.mean(axis=2),
        irrelevant=irrelevant.mean(axis=2),
        answered=answered.mean(axis=2),
        score=score.mean(axis=2),
        share=share.mean(axis=2),
        clusters=codes(cluster for cluster, kept in zip(universe.prompts.values(), complete, strict=True) if kept),
        draws=supported.shape[2],
    )


def _rates(comparison: Comparison, where: tuple[str, str], counts: Counts, gamma: float) -> FactualRates:
    level = comparison.statistics.level
    prompts, seeds = counts.supported.shape
    responses = prompts * seeds * counts.draws
    everyone = np.ones_like(counts.supported)

    def estimated(above: FloatArray, below: FloatArray, bounds: tuple[float, float]) -> Estimate | None:
        ratio = crossed_ratio(above, below, counts.clusters)
        return None if ratio is None else _estimate(ratio, level, bounds, float((below > 0).sum()))

    share, count = (0.0, 1.0), (0.0, np.inf)
    error = estimated(counts.unsupported, counts.checked, share)
    beside = estimated(counts.unsupported + counts.irrelevant, counts.facts, share) if counts.irrelevant.any() else None
    correct, incorrect, answered = (
        estimated(part, everyone, bounds)
        for part, bounds in ((counts.supported, count), (counts.unsupported, count), (counts.answered, share))
    )
    if correct is None or incorrect is None or answered is None:
        raise ValueError("a mean over responses exists as soon as there is one")
    unpenalised = crossed_ratio(counts.share, counts.answered, counts.clusters)
    return FactualRates(
        arm=where[0],
        task=where[1],
        n_prompts=prompts,
        n_runs=seeds,
        n_responses=responses,
        n_claims=round(float(counts.facts.sum()) * counts.draws),
        error_rate=error,
        error_rate_with_irrelevant=beside,
        correct=correct,
        incorrect=incorrect,
        answered=answered,
        factscore=estimated(counts.score, counts.answered, share),
        factscore_without_penalty=None if unpenalised is None else unpenalised.estimate,
        gamma=gamma,
        level=level,
        per_run=tuple(
            float(wrong / of) if of else None
            for wrong, of in zip(counts.unsupported.sum(axis=0), counts.checked.sum(axis=0), strict=True)
        ),
        speaks_about="the training procedure" if seeds > 1 else "these trained models",
    )


def _reductions(index: RecordIndex, comparison: Comparison, tasks: Sequence[str]) -> Iterator[ErrorReduction]:
    seeds = tuple(dict.fromkeys(comparison.given.seeds))
    for a, b in comparison.evaluation.contrasts:
        for task in tasks:
            request = Request(a, b, task, UNSUPPORTED_CLAIMS.name, TASK_SOURCE, seeds)
            others = [dataclasses.replace(request, metric=metric.name) for metric in (SUPPORTED_CLAIMS, ANSWERED)]
            yield _reduction(
                [cells(index, one, comparison.statistics.missing) for one in (request, *others)], request, comparison
            )


def _reduction(parts: Sequence[Crossing], request: Request, comparison: Comparison) -> ErrorReduction:
    wrong, right, answered = parts
    level, notes = comparison.statistics.level, list[str]()
    a, b = (
        crossed_ratio(of_wrong, of_wrong + of_right, wrong.clusters)
        for of_wrong, of_right in zip(both_sides(wrong), both_sides(right), strict=True)
    )
    reduction = low = high = error = None
    for arm, rate in ((request.a, a), (request.b, b)):
        if rate is None:
            notes.append(f"{arm} {NO_CLAIM}")
        elif rate.estimate == 0:
            notes.append(f"{arm} makes no unsupported claim, and a ratio to 0 has no logarithm")
    if a is not None and b is not None and a.estimate > 0 and b.estimate > 0:
        reduction = 1 - a.estimate / b.estimate
        logs = np.log(a.estimate / b.estimate) + (a.values / a.estimate - 1) - (b.values / b.estimate - 1)
        law = _law(logs, wrong.clusters)
        if law is not None and float(law.standard_error) > 0:
            below, above = law.interval(level)
            low, high, error = float(1 - np.exp(above)), float(1 - np.exp(below)), float(law.standard_error)
    of_a, of_b = both_sides(answered)
    both = np.asarray((of_a == 1).all(axis=1) & (of_b == 1).all(axis=1))
    return ErrorReduction(
        a=request.a,
        b=request.b,
        task=request.task,
        reduction=reduction,
        low=low,
        high=high,
        log_ratio_standard_error=error,
        both_answered=_on_shared(wrong, right, both, level),
        n_both_answered=int(both.sum()),
        n_prompts=len(wrong.prompts),
        n_runs=len(request.seeds),
        level=level,
        speaks_about="the training procedure" if len(request.seeds) > 1 else "these trained models",
        is_control=comparison.repeats(request.a, request.b),
        note="; ".join(notes),
    )


def _on_shared(wrong: Crossing, right: Crossing, both: NDArray[np.bool_], level: float) -> Estimate | None:
    """Return the difference of the error rates on the prompts marked in ``both``; None where there are no claims."""
    if not both.any():
        return None
    clusters = codes(str(code) for code in wrong.clusters[both])
    a, b = (
        crossed_ratio(of_wrong[both], (of_wrong + of_right)[both], clusters)
        for of_wrong, of_right in zip(both_sides(wrong), both_sides(right), strict=True)
    )
    if a is None or b is None:
        return None
    values = a.values - b.values
    return _estimate(CrossedRatio(a.estimate - b.estimate, values, _law(values, clusters)), level, (-1.0, 1.0), None)


def both_sides(crossing: Crossing) -> tuple[FloatArray, FloatArray]:
    """Return the values of both arms of a crossing; raises ValueError for verdicts, which have none."""
    if crossing.a_values is None or crossing.b_values is None:
        raise ValueError("counts of claims have a value on each side")
    return crossing.a_values, crossing.b_values


def _law(values: FloatArray, clusters: IntArray) -> Confidence | None:
    return crossed_effects(values, clusters).confidence if len(values) and int(clusters.max()) > 0 else None


def _estimate(ratio: CrossedRatio, level: float, bounds: tuple[float, float], trials: float | None) -> Estimate:
    """Return a ratio with its interval, cut at ``bounds``.

    A share of 0 or 1 has no spread to build an interval from; each of ``trials`` cells is then one trial of Wilson's.
    """
    if ratio.law is None:
        return Estimate(value=ratio.estimate, standard_error=None, low=None, high=None)
    if trials and bounds == (0.0, 1.0) and ratio.estimate in bounds:
        low, high = wilson_interval(ratio.estimate * trials, trials, level)
    else:
        low, high = ratio.law.interval(level)
    return Estimate(
        value=ratio.estimate,
        standard_error=float(ratio.law.standard_error),
        low=max(bounds[0], low),
        high=min(bounds[1], high),
    )
