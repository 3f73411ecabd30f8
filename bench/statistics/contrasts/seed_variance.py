"""Which law a contrast's seeds have: their own mean square, or one moderated over the contrasts that are alike.

Alike are the contrasts of one family (metric and judge) on one task: their mean squares have the same unit, the same
prompts and the same number of seeds. Other tasks have other numbers of prompts, whose noise is part of a seed's mean,
and rest on the same trained models, so they would add little that is independent. Controls are families of their own.

Beside it stands how far every arm's seeds lie apart on the primary metric, and whether one arm's are unlike others'.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.config.comparison import StatisticsSettings
from bench.core.metrics import PREFERENCES
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.variance import SeedSpread
from bench.results.records import TASK_SOURCE
from bench.statistics.tests.confidence import DUST, Confidence, FloatArray
from bench.statistics.tests.margin_tests import (
    OWN_VARIANCE,
    PRIOR_DF,
    PRIOR_VARIANCE,
    PROMPT_DF,
    SEED_DF,
    SEED_VARIANCE,
    law_of_contrast,
)
from bench.statistics.tests.moderation import (
    FEWEST_CONTRASTS,
    FEWEST_SEEDS,
    Moderated,
    effective_count,
    moderated,
    widest_p,
)

# Names among a contrast's components: the variances of seed effects and of a cell beyond seed and prompt, and how many
# independent units (clusters) of prompts there are.
SEED_COMPONENT, RESIDUAL, UNITS = "run", "residual", "units"


def with_seed_variance(contrasts: Sequence[Contrast], settings: StatisticsSettings) -> list[Contrast]:
    """Return the contrasts, in order, with the law of ``settings.seed_variance`` and the other one in ``also``.

    Moderated are contrasts with three seeds or more of which three or more are alike; all others keep their own law.
    """
    result = list(contrasts)
    alike: dict[tuple[str, str], list[int]] = {}
    for place, contrast in enumerate(contrasts):
        if can_be_moderated(contrast):
            alike.setdefault((contrast.family, contrast.task), []).append(place)
    for places in alike.values():
        if len(places) >= FEWEST_CONTRASTS:
            found = _moderated([contrasts[place] for place in places])
            for number, place in enumerate(places):
                result[place] = _with_both(contrasts[place], found, number, settings)
    return result


def can_be_moderated(contrast: Contrast) -> bool:
    """Return whether a contrast has several seeds that differ; arms that are not trained have the same at each."""
    parts = contrast.components
    return contrast.n_runs >= FEWEST_SEEDS and PROMPT_DF in parts and parts.get(SEED_VARIANCE, 0.0) > 0


def mean_square(contrast: Contrast) -> float:
    """Return the variance of the seeds' means of a contrast that has several, on the metric's scale squared."""
    parts = contrast.components
    return parts.get(OWN_VARIANCE, parts[SEED_VARIANCE]) * contrast.n_runs


def seed_component(contrast: Contrast) -> float:
    """Return the variance of seed effects that belongs to the seeds' part of the contrast's law, truncated at 0.

    Of a moderated contrast the moderated mean square less what the residual adds to it, so that the variance that is
    tested with and the one that is planned with are the same; else the component seen. 0 with one seed.
    """
    parts = contrast.components
    if PRIOR_DF not in parts:
        return parts.get(SEED_COMPONENT, 0.0)
    return max(0.0, parts[SEED_VARIANCE] * contrast.n_runs - parts[RESIDUAL] / parts[UNITS])


def _moderated(contrasts: Sequence[Contrast]) -> Moderated:
    squares = np.array([mean_square(contrast) for contrast in contrasts])
    return moderated(squares, contrasts[0].n_runs - 1, effective_count([(item.a, item.b) for item in contrasts]))


def _with_both(contrast: Contrast, found: Moderated, number: int, settings: StatisticsSettings) -> Contrast:
    own = law_of_contrast(contrast)
    if own is None:
        return contrast
    seeds, level = contrast.n_runs, settings.level
    law = dataclasses.replace(
        own, seed_variance=float(found.variance[number]) / seeds, seed_df=float(found.df[number])
    )  # fmt: skip
    if settings.seed_variance == "own":
        return contrast.model_copy(update={"also": {**contrast.also, **_numbers("moderated", contrast, law, level)}})
    low, high = clipped(contrast, law.interval(level))
    return contrast.model_copy(
        update={
            "low": low,
            "high": high,
            "p": float(law.p_value(contrast.null_value)),
            "standard_error": float(law.standard_error),
            "degrees_of_freedom": law.effective_df(level),
            "also": {**contrast.also, **_numbers("own", contrast, own, level)},
            "components": {
                **contrast.components,
                SEED_VARIANCE: float(np.asarray(law.seed_variance)),
                SEED_DF: float(law.seed_df),
                OWN_VARIANCE: contrast.components[SEED_VARIANCE],
                PRIOR_VARIANCE: float(found.prior_variance) / seeds,
                PRIOR_DF: float(found.prior_df),
            },
        }
    )


def _numbers(name: str, contrast: Contrast, law: Confidence, level: float) -> dict[str, float | None]:
    low, high = clipped(contrast, law.interval(level))
    return {f"{name}_p": float(law.p_value(contrast.null_value)), f"{name}_low": low, f"{name}_high": high}


def clipped(contrast: Contrast, interval: tuple[float, float]) -> tuple[float, float]:
    """Return an interval within what the contrast's mean can be: a preference lies in [0, 1]."""
    low, high = interval
    return (max(0.0, low), min(1.0, high)) if contrast.metric in PREFERENCES else (low, high)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a primary metric was measured."""

    task: str
    metric: str
    judge: str | None


def seed_spreads(records: pa.Table, primary: Sequence[Contrast], versus: str | None) -> tuple[SeedSpread, ...]:
    """Return the spread of every arm that is compared on the primary metric, by judge and task, in order.

    An arm's value at a seed is its mean over prompts; for a win rate its mean preference over the arm ``versus`` at
    that seed, whose own seeds are then in all of them. Of ``versus`` itself only what the others have in common is
    seen: the square root of the mean covariance of two of them, truncated at 0. Nothing with one seed, and for metrics
    that are no means of rows.

    ``unlike_p`` stands at the widest of several arms whose seeds differ: the p-value of Cochran's test (``widest_p``).
    """
    found: list[SeedSpread] = []
    places = dict.fromkeys(_Place(item.task, item.metric, item.judge) for item in primary if item.n_runs > 1)
    for place in places:
        arms = [
            arm for item in primary if _Place(item.task, item.metric, item.judge) == place for arm in (item.a, item.b)
        ]
        found += _at(records, place, list(dict.fromkeys(arms)), versus if place.metric in PREFERENCES else None)
    return tuple(found)


def _at(records: pa.Table, place: _Place, arms: Sequence[str], versus: str | None) -> list[SeedSpread]:
    means = _means(records, place, versus)
    seeds = sorted({seed for _, seed in means})
    by_arm = {
        arm: np.array([means[arm, seed] for seed in seeds])
        for arm in arms
        if all((arm, seed) in means for seed in seeds)
    }
    spreads = [_spread(place, arm, values, versus is not None) for arm, values in by_arm.items()]
    differ = [number for number, values in enumerate(by_arm.values()) if float(values.var()) > DUST]
    if len(differ) > 1:
        squares = np.array([spreads[number].sd ** 2 for number in differ])
        widest, p = widest_p(squares, len(seeds) - 1)
        spreads[differ[widest]] = spreads[differ[widest]].model_copy(update={"unlike_p": p})
    if versus is not None and versus in arms and versus not in by_arm and len(differ) > 1:
        spreads.append(_in_common(place, versus, np.array([list(by_arm.values())[number] for number in differ])))
    return spreads


def _means(records: pa.Table, place: _Place, versus: str | None) -> dict[tuple[str, int], float]:
    """Return the mean over prompts, draws and orders by arm and seed, of the values that there are."""
    wanted = {"task": place.task, "metric": place.metric, "source": place.judge or TASK_SOURCE}
    if versus is not None:
        wanted["versus"] = versus
    rows = records
    for column, value in wanted.items():
        rows = rows.filter(pc.equal(rows[column], value))
    grouped = rows.group_by(["method", "run"]).aggregate([("value", "mean")]).to_pylist()
    return {(row["method"], row["run"]): row["value_mean"] for row in grouped if row["value_mean"] is not None}


def _spread(place: _Place, arm: str, values: FloatArray, over_versus: bool) -> SeedSpread:
    return SeedSpread(
        arm=arm,
        task=place.task,
        metric=place.metric,
        judge=place.judge,
        per_run=tuple(float(value) for value in values),
        sd=float(values.std(ddof=1)),
        of="preference over versus" if over_versus else "own values",
    )


def _in_common(place: _Place, versus: str, values: FloatArray) -> SeedSpread:
    """Return what the others (arms, seeds) have in common."""
    covariance = np.cov(values)
    between = covariance[~np.eye(len(values), dtype=bool)].mean()
    return SeedSpread(
        arm=versus,
        task=place.task,
        metric=place.metric,
        judge=place.judge,
        per_run=(),
        sd=float(max(between, 0.0) ** 0.5),
        of="what the others have in common",
    )
