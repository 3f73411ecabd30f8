"""All methods of a run on one scale, from every pair that a judge saw.

The strengths are those of Davidson's model (``davidson``) where a judge's verdicts are wins, losses and ties, and of
Bradley and Terry's with preferences as shares of a win otherwise. Verdicts on one prompt are not independent, nor are
those of one training seed. So each cell of prompt and seed gets its pseudo-value, strength + (number of cells) x
(influence of the cell), and the difference of two methods' pseudo-values goes through the test of the contrasts
(``random_effects``): with one seed it is the sandwich error with scores summed by (cluster of) prompt, with several it
speaks about the training procedure. Few seeds distinguish few methods; so the ranks of these trained models, from the
prompts alone, stand beside those of the procedure. Where the few seeds lie closer together than the prompts' noise
allows, the variance is that of the prompts alone.

Which methods are distinguished: Holm's correction over all one-sided hypotheses "i is no better than j", K (K - 1) of
them, so that with probability ``level`` no order at all is claimed wrongly. A method's ranks are then 1 + how many are
significantly better, to K - how many are significantly worse (Mogstad, Romano, Shaikh and Wilhelm 2024, Rev. Econ.
Stud. 91).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.config.comparison import Comparison
from bench.core.errors import DataError
from bench.core.metrics import WIN_RATE
from bench.results.conclusions.ranking import RankedMethod, Ranking
from bench.statistics.contrasts.analysis import ROUNDING
from bench.statistics.crossing.crossing import codes
from bench.statistics.ranking.bradley_terry import Strengths, bradley_terry
from bench.statistics.ranking.davidson import TIE, davidson
from bench.statistics.ranking.separated import Across, across_groups
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.corrections import alpha_of, holm
from bench.statistics.tests.random_effects import IntArray, crossed_effects

# Two methods are a contrast; a ranking begins with three.
FEWEST_METHODS = 3
PairsOfMethods = NDArray[np.bool_]


@dataclass(frozen=True)
class Battles:
    """The verdicts on the prompts that have all of theirs, one line per call of the judge.

    ``cell`` is prompt * seeds + seed; ``clusters`` has a code per prompt. ``missing`` prompts were incomplete.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    outcome: FloatArray
    cell: IntArray
    clusters: IntArray
    missing: int


def rankings(
    table: pa.Table, comparison: Comparison, own_rewards: Mapping[str, Sequence[str]]
) -> tuple[Ranking, ...]:  # fmt: skip
    """Return one ranking per task and judge with verdicts on three methods or more, in the comparison's order."""
    found: list[Ranking] = []
    verdicts = table.filter(pc.equal(table["metric"], WIN_RATE.name))
    for task in comparison.evaluation.tasks:
        of_task = verdicts.filter(pc.equal(verdicts["task"], task.NAME))
        for judge in sorted(set(of_task["source"].to_pylist())):
            battles = battles_of(of_task.filter(pc.equal(of_task["source"], judge)), comparison)
            names = {*battles.first, *battles.second}
            if len(names) < FEWEST_METHODS or int(battles.clusters.max(initial=0)) < 1:
                continue
            versus = comparison.evaluation.versus
            strengths = fitted(battles, versus if versus in names else None)
            own = own_rewards.get(judge, ())
            found.append(_ranking(task.NAME, judge, battles, strengths, comparison, own))
    return tuple(found)


def battles_of(verdicts: pa.Table, comparison: Comparison) -> Battles:
    """Return the verdicts of one judge on one task as battles, for the pairs and seeds of the comparison.

    A prompt is complete when each pair has an ``ok`` row for every seed, draw and order that any prompt has.
    """
    pairs = {frozenset(pair) for pair in comparison.evaluation.contrasts}
    seeds = {seed: number for number, seed in enumerate(dict.fromkeys(comparison.given.seeds))}
    rows = [
        row
        for row in verdicts.to_pylist()
        if frozenset((row["method"], row["versus"])) in pairs and row["run"] in seeds
    ]
    there = Counter(row["prompt"] for row in rows if row["status"] == "ok")
    calls = {(row["draw"], row["order"]) for row in rows}
    judged = {frozenset((row["method"], row["versus"])) for row in rows}
    wanted = len(judged) * len(seeds) * len(calls)
    kept = sorted(prompt for prompt, count in there.items() if count == wanted)
    place = {prompt: number for number, prompt in enumerate(kept)}
    used = [row for row in rows if row["prompt"] in place]
    # In one order whatever the table's, because sums of floating-point numbers depend on it.
    used.sort(
        key=lambda row: (row["prompt"], row["run"], row["method"], row["versus"], row["draw"], row["order"] or "")
    )
    cluster = {row["prompt"]: row["cluster"] for row in used}
    return Battles(
        first=tuple(row["method"] for row in used),
        second=tuple(row["versus"] for row in used),
        outcome=np.array([row["value"] for row in used], dtype=float),
        cell=np.array([place[row["prompt"]] * len(seeds) + seeds[row["run"]] for row in used], dtype=np.int64),
        clusters=codes(cluster[prompt] for prompt in kept),
        missing=len({row["prompt"] for row in rows}) - len(kept),
    )


def fitted(battles: Battles, anchor: str | None) -> Strengths:
    """Return the strengths, errors by cell: with a parameter for ties where verdicts are wins, losses and ties."""
    tied = battles.outcome == TIE
    discrete = bool(np.isin(battles.outcome, (0.0, TIE, 1.0)).all())
    given = battles.first, battles.second, battles.outcome, battles.cell
    if discrete and tied.any() and not tied.all():
        try:
            return davidson(*given, anchor=anchor)
        except DataError:
            pass  # too few battles for a parameter of ties; half wins need no such parameter
    return bradley_terry(*given, anchor=anchor)


def pseudo_values(strengths: Strengths, n_prompts: int) -> FloatArray:
    """Return (methods, prompts, seeds): per cell, the strength plus the number of cells times the cell's influence."""
    influence = strengths.influence - strengths.influence.mean(axis=0)
    values = strengths.theta + len(influence) * influence
    return values.T.reshape(len(strengths.names), n_prompts, -1)


def significantly_better(values: FloatArray, clusters: IntArray, across: Across, level: float) -> PairsOfMethods:
    """Return (methods, methods): whether the first is significantly better than the second, all at once at ``level``.

    ``values`` (methods, prompts, seeds) are pseudo-values; ``across`` says who is better where they cannot be compared.
    """
    count = len(values)
    ordered = [(i, j) for i in range(count) for j in range(count) if i != j]
    by_cluster = clusters if int(clusters.max()) + 1 < len(clusters) else None
    worse: dict[tuple[int, int], float] = {}
    for i, j in ordered:
        if i < j:
            law = _law(values[i] - values[j], by_cluster)
            certain = across.comparable[i, j] and float(law.standard_error) > ROUNDING
            worse[i, j] = float(law.below(0.0)) if certain else float(across.p[i, j])
            worse[j, i] = float(law.above(0.0)) if certain else float(across.p[j, i])
    result = np.zeros((count, count), dtype=bool)
    for (i, j), p in zip(ordered, holm([worse[pair] for pair in ordered]), strict=True):
        result[i, j] = p < alpha_of(level)
    return result


def _law(values: FloatArray, clusters: IntArray | None) -> Confidence:
    """Return the law of the mean of pseudo-values (prompts, seeds), from both sources: the prompts and the seeds.

    Two or three seeds may lie close together by chance. What the prompts say is then the least: the seeds' part of the
    variance is not below the residual's.
    """
    effects = crossed_effects(values, clusters)
    return dataclasses.replace(effects.confidence, seed_floor=effects.residual_term)


def groups_of(better: PairsOfMethods) -> list[tuple[int, ...]]:
    """Return the largest sets of methods in which no two are distinguished, so that two without a common set are.

    These are the maximal cliques of "not distinguished" (Bron and Kerbosch 1973, Commun. ACM 16:575), in order of their
    first members.
    """
    alike = ~(better | better.T)
    neighbours = [{int(j) for j in np.flatnonzero(row)} - {i} for i, row in enumerate(alike)]
    found: list[tuple[int, ...]] = []

    def extend(group: set[int], candidates: set[int], seen: set[int]) -> None:
        if not candidates and not seen:
            found.append(tuple(sorted(group)))
            return
        pivot = max(sorted(candidates | seen), key=lambda one: len(candidates & neighbours[one]))
        for one in sorted(candidates - neighbours[pivot]):
            extend(group | {one}, candidates & neighbours[one], seen & neighbours[one])
            candidates, seen = candidates - {one}, seen | {one}

    extend(set(), set(range(len(better))), set())
    return sorted(found)


def _ranking(
    task: str, judge: str, battles: Battles, strengths: Strengths, comparison: Comparison, own: Sequence[str]
) -> Ranking:
    level, n_prompts = comparison.statistics.level, len(battles.clusters)
    order = sorted(range(len(strengths.names)), key=lambda place: (-strengths.theta[place], strengths.names[place]))
    names = [strengths.names[place] for place in order]
    values = pseudo_values(strengths, n_prompts)[order]
    n_runs = values.shape[2]
    units = battles.clusters[battles.cell // n_runs]
    met = (strengths.groups, names, (battles.first, battles.second), battles.outcome, units)
    across = across_groups(*met, n_runs)
    better = significantly_better(values, battles.clusters, across, level)
    models = values.mean(axis=2, keepdims=True)
    of_models = significantly_better(models, battles.clusters, across_groups(*met, 1), level)
    by_cluster = battles.clusters if int(battles.clusters.max()) + 1 < n_prompts else None
    finite = across.comparable[names.index(strengths.anchor)]
    places = []
    for number, name in enumerate(names):
        law = _law(values[number], by_cluster)
        low, high = law.interval(level)
        places.append(
            RankedMethod(
                name=name,
                strength=float(np.asarray(law.estimate)),
                standard_error=float(law.standard_error) if finite[number] else None,
                low=low if finite[number] else None,
                high=high if finite[number] else None,
                rank_low=1 + int(better[:, number].sum()),
                rank_high=len(names) - int(better[number].sum()),
                models_low=1 + int(of_models[:, number].sum()),
                models_high=len(names) - int(of_models[number].sum()),
                own_reward=name in own,
            )
        )
    return Ranking(
        task=task,
        judge=judge,
        anchor=strengths.anchor,
        ties="half wins" if strengths.tie_strength is None else "davidson",
        tie_strength=strengths.tie_strength,
        n_judgements=strengths.battles,
        n_prompts=n_prompts,
        n_missing=battles.missing,
        n_runs=n_runs,
        level=level,
        speaks_about="the training procedure" if n_runs > 1 else "these trained models",
        places=tuple(places),
        groups=tuple(tuple(names[place] for place in group) for group in groups_of(better)),
        models_groups=tuple(tuple(names[place] for place in group) for group in groups_of(of_models)),
        unconnected=() if strengths.connected else strengths.groups,
    )
