"""One method now against itself in a baseline, as a contrast: paired by prompt, two samples of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.config.comparison import BASELINE, Comparison
from bench.core.errors import DataError
from bench.core.metrics import SHARE
from bench.results.baseline import Baseline, Column
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import RunSummary
from bench.results.wording import counted
from bench.statistics.contrasts.earlier import EarlierEffects, earlier_effects
from bench.statistics.contrasts.seed_variance import SEED_COMPONENT
from bench.statistics.crossing.crossing import codes
from bench.statistics.power.detectable import POWER
from bench.statistics.power.sample_size import EARLIER_SEED_COMPONENT, detectable
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.margin_tests import (
    EARLIER_DF,
    EARLIER_SHARE,
    EARLIER_VARIANCE,
    PROMPT_DF,
    PROMPT_VARIANCE,
    SEED_DF,
    SEED_SHARE,
    SEED_VARIANCE,
    TRIALS,
)
from bench.statistics.tests.support import difference_bounds, zero_or_one

NOT_THERE = "Run `bench run` again to fill the gaps, or set statistics.missing to drop_prompts."
# With `drop_prompts`, more lost prompts than this share are refused: those that are left are no longer the prompt set.
MOST_LOST = 0.05
ROUNDING = 1e-12


@dataclass(frozen=True)
class Sides:
    """The values of a column now (prompts, seeds), nan where there are none, and the baseline that holds the others."""

    now: FloatArray
    baseline: Baseline
    task: str
    column: Column

    def then(self) -> dict[str, tuple[float | None, ...]]:
        """Return the baseline's values of the column by prompt."""
        values = self.baseline.tasks[self.task]
        place = values.columns.index(self.column)
        return {name: row.values[place] for name, row in values.prompts.items()}


def earlier_contrast(sides: Sides, prompts: Sequence[str], comparison: Comparison, summary: RunSummary) -> Contrast:
    """Return the contrast of the column now (``a``) with the baseline (``b``): the difference of means, null value 0.

    ``prompts`` are the rows of ``sides.now``. Raises DataError where prompts of the baseline are missing now.
    """
    then = sides.then()
    refuse_lost(sides, prompts, then, comparison.statistics.missing)
    at = {name: place for place, name in enumerate(prompts)}
    kept = [
        name
        for name, values in then.items()
        if name in at and None not in values and not np.isnan(sides.now[at[name]]).any()
    ]
    now = sides.now[[at[name] for name in kept]].reshape(len(kept), -1)
    before = np.asarray([then[name] for name in kept], dtype=float).reshape(len(kept), -1)
    rows = sides.baseline.tasks[sides.task].prompts
    clusters = codes(rows[name].cluster for name in kept) if kept else np.zeros(0, dtype=np.int64)
    level = comparison.statistics.level
    return Contrast(
        **_identity(sides, summary),
        **_numbers(now, before, clusters, level, _bounds(sides, summary, now, before)),
        level=level,
        n_prompts=len(kept),
        n_runs=max(1, now.shape[1]),
        n_missing=len(then) - len(kept),
        speaks_about="these trained models" if now.shape[1] == before.shape[1] == 1 else "the training procedure",
        per_run=tuple(float(value) for value in now.mean(axis=0)) if kept else (),
    )


def refuse_lost(
    sides: Sides, prompts: Sequence[str], then: dict[str, tuple[float | None, ...]], missing: str
) -> None:  # fmt: skip
    """Raise DataError where prompts with a value in the baseline have none now."""
    usable = {name for name, row in zip(prompts, sides.now, strict=True) if not np.isnan(row).all()}
    had = {name for name, values in then.items() if None not in values}
    lost = sorted(had - usable)
    most = 0.0 if missing == "refuse" else MOST_LOST
    if len(lost) > most * len(had):
        named = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        raise DataError(
            f"task {sides.task}: {len(lost)} of the baseline's {counted(len(had), 'prompt')} have no "
            f"{sides.column.metric} of {sides.column.method} now ({named}). What is left could pass by what is "
            "missing, so nothing is compared. Run `bench run` again."
        )


def _identity(sides: Sides, summary: RunSummary) -> dict[str, Any]:
    column = sides.column
    info = summary.metrics.get(column.metric, {})
    return {
        "a": column.method,
        "b": BASELINE,
        "task": sides.task,
        "metric": column.metric,
        "judge": None if column.source == "task" else column.source,
        "null_value": 0.0,
        "p_adjusted": None,
        "verdict": "undecided",
        "family": f"{column.metric} against the {BASELINE}",
        "higher_is_better": info.get("higher_is_better"),
    }


def _numbers(
    now: FloatArray, then: FloatArray, clusters: Any, level: float, bounds: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the estimate, its law and its interval, as far as there are any."""
    untested = dict.fromkeys(
        ("low", "high", "p", "standard_error", "degrees_of_freedom", "smallest_detectable", "estimate"),
    )
    untested |= {"mean_a": None, "mean_b": None}
    if len(now) == 0:
        return {**untested, "test": "none", "note": "no prompt has values in both runs"}
    means = {"mean_a": float(now.mean()), "mean_b": float(then.mean()), "estimate": float(now.mean() - then.mean())}
    if int(clusters.max()) < 1:
        return {**untested, **means, "test": "none", "note": "one independent prompt: no test is possible"}
    alone = len(np.unique(clusters)) == len(clusters)
    effects = earlier_effects(now, then, None if alone else clusters, bounds)
    law = effects.confidence
    error, df = float(law.standard_error), law.prompt_df
    seen = error > ROUNDING
    if not seen and law.support is None:
        return {**untested, **means, "test": "none", "note": "no variation: there is nothing that a test could rest on"}
    low, high = law.interval(level)
    return {
        **means,
        "low": low,
        "high": high,
        "p": float(law.p_value(0.0)),
        "standard_error": error if seen else law.error_of_width(level),
        "degrees_of_freedom": law.effective_df(level) if seen else df,
        "smallest_detectable": detectable(law, (1 + level) / 2, POWER) if seen else None,
        "test": "paired by prompt, two samples of seeds"
        if now.shape[1] + then.shape[1] > 2
        else "paired t over prompts",
        "note": "" if seen else "no variation: what is uncertain comes from the bounds of the values alone",
        "components": _components(effects),
        "support": () if law.support is None else law.support.pairs(),
    }


def _bounds(sides: Sides, summary: RunSummary, now: FloatArray, then: FloatArray) -> tuple[float, float] | None:
    """Return the bounds of a difference now - then: declared, or those of values that are all 0 or 1."""
    declared = summary.metrics.get(sides.column.metric, {}).get("bounds")
    values = np.concatenate([now, then], axis=1)
    if declared is None and not (values.size and zero_or_one(values)):
        return None
    low, high = SHARE if declared is None else declared
    inside = not values.size or (float(values.min()) >= low and float(values.max()) <= high)
    return difference_bounds((low, high)) if inside else None


def _components(effects: EarlierEffects) -> dict[str, float]:
    law = effects.confidence
    found = {
        PROMPT_VARIANCE: float(np.asarray(law.prompt_variance)),
        PROMPT_DF: law.prompt_df,
        SEED_VARIANCE: float(np.asarray(law.seed_variance)),
        SEED_DF: float(law.seed_df),
    }
    if law.earlier_seed_df:
        found[EARLIER_VARIANCE] = float(np.asarray(law.earlier_seed_variance))
        found[EARLIER_DF] = float(law.earlier_seed_df)
    if law.support is not None:
        found[TRIALS] = float(np.asarray(law.support.trials))
        found[SEED_SHARE], found[EARLIER_SHARE] = law.support.seed_share, law.support.earlier_seed_share
    components = {SEED_COMPONENT: effects.seed_component, EARLIER_SEED_COMPONENT: effects.earlier_seed_component}
    for name, component in components.items():
        if component is not None:
            found[name] = float(component)
    return found
