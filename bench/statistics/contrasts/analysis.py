"""All numbers about one complete crossing: the default test, and the other tests and intervals beside it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bench.core.metrics import SHARE
from bench.statistics.contrasts.position import conservative_win_rate, order_agreement
from bench.statistics.contrasts.skewness import skew_notes
from bench.statistics.contrasts.stopping import sequence_of
from bench.statistics.crossing.crossing import Crossing
from bench.statistics.power.decomposition import within_cells
from bench.statistics.power.detectable import smallest_detectable
from bench.statistics.tests import intervals, paired_binary, significance
from bench.statistics.tests.betting import BETTING, BettingLaw, betting_law
from bench.statistics.tests.bootstrap import resampled_means
from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.margin_tests import PROMPT_DF, PROMPT_VARIANCE, SEED_VARIANCE, TRIALS
from bench.statistics.tests.random_effects import CrossedEffects, IntArray, crossed_effects, independent_prompts
from bench.statistics.tests.resampling import affordable, design_seed
from bench.statistics.tests.support import difference_bounds, zero_or_one

# Values closer than this are the same: sums of draws differ by rounding only.
ROUNDING = 1e-12
# Below this many clusters the normal theory is thin; the note says so.
FEW_CLUSTERS = 10


@dataclass(frozen=True)
class Analysis:
    """The numbers of one contrast, before the correction for many tests; its names, but for ``per_run``.

    ``law`` is what p and interval come from; None where there is nothing to test with.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    test: str
    standard_error: float | None
    degrees_of_freedom: float | None
    smallest_detectable: float | None
    per_seed: tuple[float | None, ...]
    also: dict[str, float | None] = field(default_factory=dict)
    components: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    law: Confidence | None = None


@dataclass(frozen=True)
class AnalysisSettings:
    """What is asked of a crossing: the null value, bounds that a value cannot leave, certainty, resamples, interval.

    ``interval``: that of the test (``t``), or one of the cluster bootstrap, which exists for a single seed only.
    ``test``: the default one, or ``betting`` for values with bounds and a single seed.
    """

    null: float
    bounds: tuple[float, float] | None
    level: float
    resamples: int
    interval: Literal["t", "bootstrap", "bca"] = "t"
    test: Literal["t", "betting"] = "t"


def analyse(crossing: Crossing, settings: AnalysisSettings) -> Analysis:
    """Return every number about one crossing.

    With two seeds or more the test is that of crossed random effects and speaks about the training procedure; with one
    it is the t test over (clusters of) prompts. The variance of values with bounds is never less than what the tested
    value demands (``bench.statistics.tests.support``). Deterministic: resampling seeds come from the design's digest.
    """
    if not crossing.prompts:
        return _untested(None, (), "no prompt is complete")
    values = crossing.values
    estimate, per_seed = float(values.mean()), tuple(float(mean) for mean in values.mean(axis=0))
    if (reason := _why_untested(crossing)) is not None:
        return _untested(estimate, per_seed, reason)
    bounds, guessed = _bounds(crossing, settings)
    effects = crossed_effects(values, _clusters(crossing), bounds)
    law = effects.confidence
    if settings.test == "betting" and bounds is not None:
        law = betting_law(law, values.mean(axis=1), _clusters(crossing), bounds)
    elif float(law.standard_error) <= ROUNDING:
        found = _without_variation(law, per_seed, crossing, settings)
        return dataclasses.replace(found, notes=(*found.notes, *guessed))
    low, high = _clipped(_interval(law, crossing, settings), settings)
    seen = float(law.standard_error)
    error = seen if seen > ROUNDING else law.error_of_width(settings.level)
    df = law.effective_df(settings.level)
    beside = _affordable(crossing, settings)
    return Analysis(
        estimate=estimate,
        low=low,
        high=high,
        p=float(law.p_value(settings.null)),
        test=BETTING if isinstance(law, BettingLaw) else _name(crossing),
        standard_error=error,
        degrees_of_freedom=df,
        smallest_detectable=smallest_detectable(error, df, settings.level),
        per_seed=per_seed,
        also={
            **_other_tests(crossing, beside, effects),
            **_other_intervals(crossing, beside),
            **_by_position(crossing, settings),
        },
        components={**_components(effects, law), **within_cells(crossing)},
        notes=(
            *_notes(crossing),
            *guessed,
            *(skew_notes(values[:, 0], _clusters(crossing), bounds, settings.test) if values.shape[1] == 1 else ()),
            *_resampled_note(settings),
            *_fewer_note(settings, beside),
        ),
        law=law,
    )


def _bounds(crossing: Crossing, settings: AnalysisSettings) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return the bounds of the crossing's values, and a note where they are guessed; None where there are none.

    A metric that declares none and whose cells are all 0 or 1 in both arms is taken for one of 0 and 1. Pseudo-values,
    which may lie beyond the bounds of what they stand for, have none.
    """
    values, a, b = crossing.values, crossing.a_values, crossing.b_values
    if settings.bounds is not None:
        low, high = settings.bounds
        inside = float(values.min()) >= low - ROUNDING and float(values.max()) <= high + ROUNDING
        return (settings.bounds if inside else None), ()
    if a is not None and b is not None and zero_or_one(a) and zero_or_one(b):
        return difference_bounds(SHARE), ("all values are 0 or 1, so no others are reckoned with",)
    return None, ()


def _without_variation(
    seen: Confidence, per_seed: tuple[float, ...], crossing: Crossing, settings: AnalysisSettings
) -> Analysis:
    """Return the analysis where no variance was seen: from the bounds alone, and without bounds the estimate alone.

    The standard error is then the one whose t interval is as wide as the interval.
    """
    estimate = float(np.asarray(seen.estimate))
    estimate = settings.null if abs(estimate - settings.null) <= ROUNDING else estimate
    if seen.support is None:
        return _untested(estimate, per_seed, "no variation: the values vary in nothing that a test could rest on")
    trials = seen.support.trials
    if crossing.a_values is not None and crossing.b_values is not None:
        trials = independent_prompts((crossing.a_values, crossing.b_values), _clusters(crossing))
    support = dataclasses.replace(seen.support, trials=trials)
    law = Confidence(estimate, 0.0, seen.prompt_df, 0.0, seen.seed_df, support=support)
    low, high = law.interval(settings.level)
    error = law.error_of_width(settings.level)
    return Analysis(
        estimate=estimate,
        low=low,
        high=high,
        p=float(law.p_value(settings.null)),
        test=_name(crossing),
        standard_error=error,
        degrees_of_freedom=law.prompt_df,
        smallest_detectable=smallest_detectable(error, law.prompt_df, settings.level),
        per_seed=per_seed,
        also={**_exact_tests(crossing, settings), **_by_position(crossing, settings)},
        components={
            SEED_VARIANCE: 0.0,
            PROMPT_VARIANCE: 0.0,
            PROMPT_DF: law.prompt_df,
            TRIALS: float(np.asarray(trials)),
        },
        notes=(*_notes(crossing), "no variation: what is uncertain comes from the bounds of the values alone"),
        law=law,
    )


def _why_untested(crossing: Crossing) -> str | None:
    """Return why the prompts of a crossing cannot be tested; None where they can."""
    if crossing.untestable is not None:
        return crossing.untestable
    if len(crossing.prompts) < 2:
        return "one prompt: no test is possible"
    if int(crossing.clusters.max()) < 1:
        return "all prompts are in one cluster: no test is possible"
    return None


def _interval(law: Confidence, crossing: Crossing, settings: AnalysisSettings) -> tuple[float, float]:
    """Return the interval that was asked for; raises ValueError for a bootstrap over several seeds."""
    if settings.interval == "t":
        return law.interval(settings.level)
    if crossing.values.shape[1] > 1:
        raise ValueError("a bootstrap over prompts says nothing about other training seeds")
    seed = design_seed("bootstrap", int(crossing.clusters.max()) + 1, 1, settings.resamples)
    resampled = resampled_means(crossing.values.T, crossing.clusters, settings.resamples, seed)
    bounds = resampled.bca(settings.level) if settings.interval == "bca" else resampled.percentile(settings.level)
    return float(bounds[0][0]), float(bounds[1][0])


def _resampled_note(settings: AnalysisSettings) -> tuple[str, ...]:
    kinds = {"bootstrap": "percentile", "bca": "bias-corrected and accelerated"}
    return (f"{kinds[settings.interval]} bootstrap interval",) if settings.interval in kinds else ()


def _affordable(crossing: Crossing, settings: AnalysisSettings) -> AnalysisSettings:
    """Return the settings of the numbers that decide nothing: with as many resamples as they are worth."""
    units = int(crossing.clusters.max()) + 1
    return dataclasses.replace(settings, resamples=affordable(units, settings.resamples))


def _fewer_note(settings: AnalysisSettings, beside: AnalysisSettings) -> tuple[str, ...]:
    if beside.resamples == settings.resamples:
        return ()
    return (f"the numbers that are resampled beside the test rest on {beside.resamples:,} resamples",)


def _untested(estimate: float | None, per_seed: tuple[float, ...], reason: str) -> Analysis:
    return Analysis(estimate, None, None, None, "none", None, None, None, per_seed, notes=(reason,))


def _clusters(crossing: Crossing) -> IntArray | None:
    return crossing.clusters if int(crossing.clusters.max()) + 1 < len(crossing.prompts) else None


def _name(crossing: Crossing) -> str:
    unit = "prompts" if _clusters(crossing) is None else "clusters of prompts"
    if crossing.values.shape[1] > 1:
        return f"crossed random effects of {unit} and runs"
    return f"paired t over {unit}"


def _notes(crossing: Crossing) -> tuple[str, ...]:
    notes: list[str] = []
    units = int(crossing.clusters.max()) + 1
    if units < FEW_CLUSTERS:
        notes.append(f"only {units} independent units of prompts")
    if crossing.values.shape[1] > 1 and float(np.ptp(crossing.values, axis=1).max()) <= ROUNDING:
        notes.append("all runs gave the same values")
    return tuple(notes)


def _clipped(interval: tuple[float, float], settings: AnalysisSettings) -> tuple[float, float]:
    if settings.bounds is None:
        return interval
    floor, top = settings.bounds
    return max(floor, interval[0]), min(top, interval[1])


def _components(effects: CrossedEffects, law: Confidence) -> dict[str, float]:
    """Return the variance components (those of seeds only with several) and the parts of the mean's variance."""
    parts = {
        "prompt": float(effects.prompt_component),
        PROMPT_VARIANCE: float(np.asarray(law.prompt_variance)),
        SEED_VARIANCE: float(np.asarray(law.seed_variance)),
        PROMPT_DF: law.prompt_df,
    }
    if law.support is not None:
        parts[TRIALS] = float(np.asarray(law.support.trials))
    if effects.seed_component is not None and effects.residual_component is not None:
        parts["run"] = float(effects.seed_component)
        parts["residual"] = float(effects.residual_component)
        parts["satterthwaite_df"] = effects.satterthwaite()
    return parts


def _other_tests(crossing: Crossing, settings: AnalysisSettings, effects: CrossedEffects) -> dict[str, float | None]:
    values, null = crossing.values, settings.null
    units, seeds = int(crossing.clusters.max()) + 1, values.shape[1]
    by_prompt = values.mean(axis=1)
    seed = design_seed("sign flip", units, seeds, settings.resamples)
    found: dict[str, float | None] = {
        "paired_t_p": significance.paired_t(by_prompt, null),
        "clustered_t_p": significance.clustered_t(by_prompt, crossing.clusters, null),
        "sign_flip_p": significance.sign_flip(by_prompt, crossing.clusters, null, settings.resamples, seed),
        "wilcoxon_p": significance.wilcoxon(by_prompt, null),
        "sign_test_p": significance.sign_test(by_prompt, null),
    }
    if seeds > 1:
        means = effects.seed_means
        found["run_t_p"] = significance.paired_t(means, null)
        found["run_sign_flip_p"] = significance.sign_flip(means, np.arange(seeds), null, settings.resamples, seed)
        law = effects.confidence
        plain = Confidence(law.estimate, law.variance, effects.satterthwaite())
        found["satterthwaite_p"] = float(plain.p_value(null))
    return found | _of_binary(crossing, settings.level)


def _exact_tests(crossing: Crossing, settings: AnalysisSettings) -> dict[str, float | None]:
    """Return the tests beside the default one that need no variance."""
    values = crossing.values.mean(axis=1)
    units, seeds = int(crossing.clusters.max()) + 1, crossing.values.shape[1]
    seed = design_seed("sign flip", units, seeds, settings.resamples)
    flipped = significance.sign_flip(values, crossing.clusters, settings.null, settings.resamples, seed)
    return {"sign_flip_p": flipped, **_of_binary(crossing, settings.level)}


def _of_binary(crossing: Crossing, level: float) -> dict[str, float | None]:
    """Return what paired 0/1 values of one seed have: McNemar's tests, and for single prompts Tango's interval."""
    if crossing.a_values is None or crossing.b_values is None or crossing.values.shape[1] > 1:
        return {}
    if not (zero_or_one(crossing.a_values) and zero_or_one(crossing.b_values)):
        return {}
    a, b, clusters = crossing.a_values[:, 0], crossing.b_values[:, 0], _clusters(crossing)
    found: dict[str, float | None] = {"mcnemar_p": significance.mcnemar_exact(a, b)}
    if clusters is not None:
        return {**found, "clustered_mcnemar_p": paired_binary.clustered_mcnemar(a, b, clusters)}
    low, high = paired_binary.tango_interval(paired_binary.discordant(a, b), level)
    return {**found, "tango_low": low, "tango_high": high}


def _other_intervals(crossing: Crossing, settings: AnalysisSettings) -> dict[str, float | None]:
    values, clusters, level = crossing.values, crossing.clusters, settings.level
    units, seeds = int(clusters.max()) + 1, values.shape[1]
    seed = design_seed("bootstrap", units, seeds, settings.resamples)
    name = "crossed_bootstrap" if seeds > 1 else "cluster_bootstrap"
    bootstrap = intervals.crossed_bootstrap(values, clusters, level, settings.resamples, seed)
    found: dict[str, float | None] = {f"{name}_low": bootstrap[0], f"{name}_high": bootstrap[1]}
    prompts_only = intervals.clustered_interval(values.mean(axis=1), clusters, level)
    found["prompts_only_low"], found["prompts_only_high"] = _clipped(prompts_only, settings)
    preferences = crossing.a_values is None and settings.bounds is not None
    if preferences and crossing.drawn is not None:
        # Pseudo-values, which have no draws, may lie outside the bounds that a sequence needs.
        order = design_seed("sequence", units, seeds, 0)
        found |= sequence_of(values, clusters, settings.null, level, order)
    if preferences and seeds == 1 and _clusters(crossing) is None:
        total, n = float(values.sum()), len(values)
        found["wilson_low"], found["wilson_high"] = intervals.wilson_interval(total, n, level)
    return found


def _by_position(crossing: Crossing, settings: AnalysisSettings) -> dict[str, float | None]:
    if crossing.first is None or crossing.second is None:
        return {}
    agreement = order_agreement(crossing.first, crossing.second)
    careful = conservative_win_rate(crossing.first, crossing.second, crossing.clusters, settings.level)
    return {
        "conservative_win_rate": careful.estimate,
        "conservative_win_rate_low": careful.low,
        "conservative_win_rate_high": careful.high,
        "order_consistency": agreement.consistency,
        "position_bias_p": agreement.position_p,
    }
