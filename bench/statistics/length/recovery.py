"""Every length control on trial: how far it gives back gold's win rates and ranking.

Where gold and another judge judged the same pairs: gold charges nothing for length, so whatever separates the other's
win rates from gold's is its own, be it a liking for length, noise or other errors. Estimates without labels see the
judge's verdicts and the lengths only. Those with labels may read gold's verdicts on some prompts, drawn at random:
``labels alone`` and ``prediction-powered``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from scipy import stats

from bench.config.comparison import Comparison, LengthControl
from bench.core.metrics import WIN_RATE
from bench.results.conclusions.length_recovery import LengthRecovery, Recovered
from bench.statistics.crossing.crossing import Crossing, RecordIndex, Request, codes
from bench.statistics.length.covariates import CHARACTERS, TASK, Covariates
from bench.statistics.length.pseudo_values import Model, at_equal_length
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.prediction_powered import calibrated_predictions, prediction_powered_mean
from bench.statistics.tests.random_effects import IntArray, crossed_effects
from bench.statistics.tests.resampling import design_seed

GOLD = "gold"
# A ranking of fewer arms (beside the one they are held against) says little.
FEWEST_ARMS = 3
# How many prompts may have gold labels; those above half of the prompts are left out.
BUDGETS = (25, 50, 100, 200)
DRAWS = 100
TAIL = 0.05

RAW, LABELS_ALONE, POWERED = "raw", "labels alone", "prediction-powered"
PLAIN: tuple[tuple[str, Model], ...] = (("ratio", "ratio"), ("log ratio", "log_ratio"), ("length-matched", "matched"))


@dataclass(frozen=True)
class _Trial:
    """Gold's and the judge's preferences (arms, prompts, seeds) over ``versus``, and the lengths to match them."""

    requests: tuple[Request, ...]
    gold: FloatArray
    judged: tuple[Crossing, ...]
    lengths: tuple[Crossing, ...]
    clusters: IntArray
    level: float

    @property
    def truth(self) -> FloatArray:
        return np.asarray(self.gold.mean(axis=(1, 2)))

    @property
    def verdicts(self) -> FloatArray:
        return np.stack([crossing.values for crossing in self.judged])

    @property
    def longer(self) -> FloatArray:
        return np.stack([crossing.values for crossing in self.lengths])


def length_recoveries(table: pa.Table, comparison: Comparison) -> tuple[LengthRecovery, ...]:
    """Return one trial per task and judge beside the gold judge; nothing without a gold judge or with few arms.

    Arms that repeat another one stay out, and prompts on which any verdict is missing. Equal inputs give equal values.
    """
    evaluation = comparison.evaluation
    gold = next((named.label for named in evaluation.judges if named.judge.NAME == GOLD), None)
    others = [named.label for named in evaluation.judges if named.judge.NAME != GOLD]
    if gold is None or not others or evaluation.versus is None:
        return ()
    index = RecordIndex(table)
    found = (
        _recovery(
            index, comparison, Request("", evaluation.versus, task.NAME, WIN_RATE.name, judge, _seeds(comparison))
        )
        for task in evaluation.tasks
        for judge in others
        if {gold, judge} <= set(index.sources(task.NAME, WIN_RATE.name))
    )
    return tuple(one for one in found if one is not None)


def _seeds(comparison: Comparison) -> tuple[int, ...]:
    return tuple(dict.fromkeys(comparison.given.seeds))


def _gold(comparison: Comparison) -> str:
    return next(named.label for named in comparison.evaluation.judges if named.judge.NAME == GOLD)


def _recovery(index: RecordIndex, comparison: Comparison, judge: Request) -> LengthRecovery | None:
    trial = _trial(index, comparison, judge)
    if trial is None:
        return None
    apart = _distinguished(trial)
    estimates = [_without_labels(name, values, trial, apart) for name, values in _estimates(index, comparison, trial)]
    prompts, seeds = trial.gold.shape[1:]
    for budget in BUDGETS:
        if 2 * budget <= prompts:
            estimates += _with_labels(trial, budget, apart)
    return LengthRecovery(
        task=judge.task,
        judge=judge.source,
        gold=_gold(comparison),
        versus=judge.b,
        arms=tuple(request.a for request in trial.requests),
        truth=_floats(trial.truth),
        longer=_floats(trial.longer.mean(axis=(1, 2))),
        pairs=len(apart),
        prompts=prompts,
        runs=seeds,
        verdicts=len(trial.requests) * seeds,
        draws=DRAWS,
        level=trial.level,
        estimates=tuple(estimates),
    )


def _trial(index: RecordIndex, comparison: Comparison, judge: Request) -> _Trial | None:
    """Return the arms that both judges held against ``versus``, on the prompts that are complete for all."""
    reader = Covariates(index, comparison)
    arms = [arm.name for arm in comparison.arms if arm.replicate is None and arm.name != judge.b]
    wanted = [dataclasses.replace(judge, a=arm) for arm in arms]
    gold = _gold(comparison)
    requests = [one for one in wanted if reader.judged(one) and reader.judged(dataclasses.replace(one, source=gold))]
    if len(requests) < FEWEST_ARMS:
        return None
    by_gold = [reader.pair(dataclasses.replace(one, source=gold)) for one in requests]
    by_judge = [reader.pair(one) for one in requests]
    lengths = [reader.pair(dataclasses.replace(one, metric=CHARACTERS, source=TASK)) for one in requests]
    shared = sorted(set.intersection(*(set(one.prompts) for one in (*by_gold, *by_judge, *lengths))))
    clusters = _only(by_gold[0], shared).clusters
    if len(shared) < 2 or int(clusters.max()) < 1:
        return None
    return _Trial(
        tuple(requests),
        np.stack([_only(one, shared).values for one in by_gold]),
        tuple(_only(one, shared) for one in by_judge),
        tuple(_only(one, shared) for one in lengths),
        clusters,
        comparison.statistics.level,
    )


def _only(crossing: Crossing, prompts: Sequence[str]) -> Crossing:
    """Return a crossing over these of its prompts."""
    place = {prompt: number for number, prompt in enumerate(crossing.prompts)}
    rows = [place[prompt] for prompt in prompts]
    a, b = crossing.a_values, crossing.b_values
    return Crossing(
        tuple(prompts),
        codes(str(cluster) for cluster in crossing.clusters[rows]),
        crossing.values[rows],
        None if a is None else a[rows],
        None if b is None else b[rows],
    )


def _distinguished(trial: _Trial) -> list[tuple[int, int]]:
    """Return the pairs (better, worse) that gold distinguishes; the place behind the last arm is ``versus``."""
    values = np.concatenate([trial.gold, np.full((1, *trial.gold.shape[1:]), 0.5)])
    clusters = trial.clusters if int(trial.clusters.max()) + 1 < len(trial.clusters) else None
    found = []
    for one, other in combinations(range(len(values)), 2):
        difference = values[one] - values[other]
        if np.ptp(difference) > 0 and crossed_effects(difference, clusters).confidence.p_value(0.0) < 1 - trial.level:
            found.append((one, other) if difference.mean() > 0 else (other, one))
    return found


def _estimates(index: RecordIndex, comparison: Comparison, trial: _Trial) -> Iterator[tuple[str, FloatArray]]:
    """Yield every estimate that reads no labels: its name, and its values (arms, seeds)."""
    yield RAW, np.stack([crossing.values.mean(axis=0) for crossing in trial.judged])
    for name, control in _glms(comparison.evaluation.length_control):
        evaluation = comparison.evaluation.model_copy(update={"length_control": control})
        reader = Covariates(index, comparison.model_copy(update={"evaluation": evaluation}))
        yield name, _controlled(trial, "glm", reader)
    for name, model in PLAIN:
        yield name, _controlled(trial, model, None)


def _glms(settings: LengthControl) -> Iterator[tuple[str, LengthControl]]:
    """Yield the regression with each difficulty that there is, without and with the calibration that there is."""
    options: list[dict[str, object]] = [{"difficulty": "none"}, {"difficulty": "estimated"}]
    if settings.difficulty_file is not None:
        options.append({"difficulty": "by_id", "difficulty_file": settings.difficulty_file})
    names = {"none": "no difficulty", "estimated": "difficulty estimated", "by_id": "difficulty by id"}
    for option in options:
        name = f"glm, {names[str(option['difficulty'])]}"
        yield name, LengthControl(model="glm", **option)
        if settings.calibration_arms:
            yield (
                f"{name}, calibrated",
                LengthControl(model="glm", calibration_arms=settings.calibration_arms, **option),
            )
        elif settings.calibration is not None and option["difficulty"] != "estimated":
            yield f"{name}, calibrated", LengthControl(model="glm", calibration=settings.calibration, **option)


def _controlled(trial: _Trial, model: Model, reader: Covariates | None) -> FloatArray:
    """Return the win rates at equal length, (arms, seeds)."""
    found = []
    for request, verdicts, lengths in zip(trial.requests, trial.judged, trial.lengths, strict=True):
        beside = None if reader is None else reader.of(request, verdicts.prompts)
        found.append(at_equal_length(verdicts, lengths, model, beside).crossing.values.mean(axis=0))
    return np.stack(found)


def _without_labels(name: str, values: FloatArray, trial: _Trial, apart: Sequence[tuple[int, int]]) -> Recovered:
    means = values.mean(axis=1)
    scores = _scores(means, trial.truth, apart)
    low, high = values.min(axis=1), values.max(axis=1)
    return Recovered(estimator=name, values=_floats(means), low=_floats(low), high=_floats(high), **scores)


def _with_labels(trial: _Trial, budget: int, apart: Sequence[tuple[int, int]]) -> list[Recovered]:
    """Return the estimates from gold's verdicts on ``budget`` prompts, over draws of these prompts."""
    prompts = trial.gold.shape[1]
    generator = np.random.default_rng(design_seed(LABELS_ALONE, prompts, budget, DRAWS))
    judge, longer = trial.verdicts, trial.longer
    values: dict[str, list[FloatArray]] = {LABELS_ALONE: [], POWERED: []}
    for _ in range(DRAWS):
        known = np.zeros(prompts, dtype=bool)
        known[generator.permutation(prompts)[:budget]] = True
        labels = np.where(known[None, :, None], trial.gold, np.nan)
        predictions = calibrated_predictions(labels, judge, longer)
        found = [
            prediction_powered_mean(own.mean(axis=1), predicted.mean(axis=1))
            for own, predicted in zip(labels, predictions, strict=True)
        ]
        values[LABELS_ALONE].append(np.array([one.labels_only for one in found]))
        values[POWERED].append(np.array([one.estimate for one in found]))
    return [_over_draws(name, np.stack(drawn), trial, budget, apart) for name, drawn in values.items()]


def _over_draws(
    name: str, drawn: FloatArray, trial: _Trial, budget: int, apart: Sequence[tuple[int, int]]
) -> Recovered:  # fmt: skip
    scores = [_scores(values, trial.truth, apart) for values in drawn]
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=0)
    return Recovered(
        estimator=name,
        labels=budget,
        values=_floats(drawn.mean(axis=0)),
        low=_floats(low),
        high=_floats(high),
        whole=float(np.mean([score["reversed"] == 0 for score in scores])),
        **{key: float(np.mean([score[key] for score in scores])) for key in scores[0]},
    )


def _scores(values: FloatArray, truth: FloatArray, apart: Sequence[tuple[int, int]]) -> dict[str, float]:
    errors = np.abs(values - truth)
    here, there = np.append(values, 0.5), np.append(truth, 0.5)
    return {
        "mean_error": float(errors.mean()),
        "max_error": float(errors.max()),
        "tau": _tau(here, there),
        "reversed": float(sum(here[better] <= here[worse] for better, worse in apart)),
    }


def _tau(values: FloatArray, truth: FloatArray) -> float:
    """Return Kendall's tau-b; 0 where either side has no order at all."""
    if np.ptp(values) == 0 or np.ptp(truth) == 0:
        return 0.0
    return float(stats.kendalltau(values, truth).statistic)


def _floats(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
