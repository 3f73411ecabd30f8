"""From the records table and the comparison to contrasts: every pair, task and metric, corrected by family."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bench.config.comparison import Comparison
from bench.core.errors import IncompleteRecords
from bench.core.metrics import (
    DIVERGENCE_K3,
    FACTSCORE,
    FACTUAL_ERROR_RATE,
    LENGTH_CONTROLLED,
    PREFERENCES,
    RATING,
    UNSUPPORTED_CLAIMS,
    WIN_RATE,
    MetricInfo,
)
from bench.results.conclusions.contrast import Contrast
from bench.results.records import TASK_SOURCE
from bench.statistics.claims.in_runs import ratio_contrasts
from bench.statistics.contrasts.analysis import ROUNDING, Analysis, AnalysisSettings, analyse
from bench.statistics.contrasts.families import corrected
from bench.statistics.contrasts.primary import with_roles
from bench.statistics.contrasts.seed_variance import with_seed_variance
from bench.statistics.crossing.crossing import MOST_JUDGE_FAILED, Crossing, RecordIndex, Request, cells
from bench.statistics.length.covariates import CHARACTERS, Covariates
from bench.statistics.length.difference import difference_numbers, through_common
from bench.statistics.length.pseudo_values import at_equal_length
from bench.statistics.tests.support import difference_bounds

# Bounds and null value of a preference; every other metric is a difference with null value 0.
PREFERENCE_BOUNDS, PREFERENCE_NULL = (0.0, 1.0), 0.5
# Tests and intervals that read single values as verdicts, which the pseudo-values of some metrics are not.
OF_VERDICTS = frozenset({"wilcoxon_p", "sign_test_p", "wilson_low", "wilson_high"})
OF_PSEUDO_VALUES = frozenset({LENGTH_CONTROLLED.name, FACTUAL_ERROR_RATE.name, FACTSCORE.name})
# Metrics that are not compared by means of their rows: one stands beside another, one is a ratio of sums.
NOT_BY_ROWS = frozenset({DIVERGENCE_K3.name, FACTSCORE.name})


@dataclass(frozen=True)
class _Plan:
    """One contrast to compute, with what the comparison and the metric say about it."""

    request: Request
    info: MetricInfo | None
    is_control: bool
    notes: tuple[str, ...] = ()
    also: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def judge(self) -> str | None:
        return None if self.request.source == TASK_SOURCE else self.request.source

    @property
    def family(self) -> str:
        """Name the tests that are corrected together: one metric and judge, all tasks and pairs.

        A control is a check of the instrument, not a hypothesis, so each stands in a family of its own.
        """
        name = f"{self.request.metric} ({self.judge})" if self.judge else self.request.metric
        return f"{name}, control {self.request.a}/{self.request.b} on {self.request.task}" if self.is_control else name

    @property
    def higher_is_better(self) -> bool | None:
        if self.info is not None:
            return self.info.higher_is_better
        return True if self.request.metric == WIN_RATE.name else None


def compute_contrasts(
    table: pa.Table,
    comparison: Comparison,
    metrics: Mapping[str, MetricInfo],
    own_rewards: Mapping[str, Sequence[str]] | None = None,
) -> list[Contrast]:
    """Return one contrast per pair, task, metric and source, in the comparison's order, corrected within families.

    The win rate is tested against 0.5 for every judge with verdicts on the task, every other metric as a paired
    difference against 0. Pairs that differ in ``replicate`` only are A/A controls: flagged and not in a family.
    ``own_rewards``: for a judge, the arms that learnt from it. Equal inputs give equal contrasts. Raises
    IncompleteRecords, with every incomplete contrast in one message, unless the comparison says
    ``missing: drop_prompts``; DataError for rows that contradict each other.
    """
    index = RecordIndex(table)
    settings = comparison.statistics
    done: list[tuple[_Plan, Crossing]] = []
    problems: list[str] = _silent_metrics(index, comparison)
    covariates = Covariates(index, comparison)
    for plan in _plans(index, comparison, metrics):
        try:
            found = cells(index, plan.request, settings.missing)
            done.append((plan, found))
            if plan.request.metric == WIN_RATE.name:
                done += _at_equal_length(index, plan, found, covariates, comparison)
            if plan.request.metric == UNSUPPORTED_CLAIMS.name:
                done += _of_claims(index, plan, comparison)
        except IncompleteRecords as error:
            problems.append(str(error))
    if problems and settings.missing == "refuse":
        raise IncompleteRecords(
            "\n  ".join(["The crossing of arms, runs and prompts is incomplete, so nothing is tested.", *problems])
            + "\n  Run the comparison again to fill the gaps, or set statistics.missing to drop_prompts."
        )
    done = _with_differences(done, comparison)
    own = own_rewards or {}
    contrasts = [
        _contrast(plan, crossing, comparison).model_copy(update={"own_reward": _learnt_from(plan, own)})
        for plan, crossing in done
    ]
    labels: dict[str, dict[str, str]] = {}
    for plan, _ in done:
        labels.setdefault(plan.request.task, {}).update(index.universe(plan.request).prompts)
    contrasts = with_seed_variance(with_roles(contrasts, comparison.primary), settings)
    return corrected(contrasts, [crossing for _, crossing in done], labels, settings)


def _at_equal_length(
    index: RecordIndex, plan: _Plan, verdicts: Crossing, covariates: Covariates, comparison: Comparison
) -> list[tuple[_Plan, Crossing]]:
    """Return the length-controlled contrast beside a win rate, where the comparison asks for one."""
    model = comparison.evaluation.length_control.model
    if model == "none" or not verdicts.prompts:
        return []
    lengths = dataclasses.replace(plan.request, metric=CHARACTERS, source=TASK_SOURCE)
    of_both = cells(index, lengths, comparison.statistics.missing)
    beside = covariates.of(plan.request, verdicts.prompts) if model == "glm" else None
    found = at_equal_length(verdicts, of_both, model, beside)
    request = dataclasses.replace(plan.request, metric=LENGTH_CONTROLLED.name)
    return [(_Plan(request, LENGTH_CONTROLLED, plan.is_control, found.notes, found.diagnostics), found.crossing)]


def _with_differences(done: Sequence[tuple[_Plan, Crossing]], comparison: Comparison) -> list[tuple[_Plan, Crossing]]:
    """Return the contrasts, those at equal length with the difference of both sides' win rates over ``versus``."""
    controlled = {plan.request: crossing for plan, crossing in done if plan.request.metric == LENGTH_CONTROLLED.name}
    result: list[tuple[_Plan, Crossing]] = []
    for plan, crossing in done:
        if plan.request in controlled:
            law = through_common(controlled, plan.request, comparison.evaluation.versus)
            numbers = {} if law is None else difference_numbers(law, comparison.statistics.level)
            result.append((dataclasses.replace(plan, also={**plan.also, **numbers}), crossing))
        else:
            result.append((plan, crossing))
    return result


def _of_claims(index: RecordIndex, plan: _Plan, comparison: Comparison) -> list[tuple[_Plan, Crossing]]:
    """Return the contrasts of ratios of claims beside that of the unsupported claims per response."""
    return [
        (_Plan(dataclasses.replace(plan.request, metric=info.name), info, plan.is_control, notes), crossing)
        for info, crossing, notes in ratio_contrasts(index, plan.request, comparison.statistics.missing)
    ]


def _learnt_from(plan: _Plan, own_rewards: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    arms = own_rewards.get(plan.judge, ()) if plan.judge is not None else ()
    return tuple(arm for arm in (plan.request.a, plan.request.b) if arm in arms)


def _silent_metrics(index: RecordIndex, comparison: Comparison) -> list[str]:
    """Return what the comparison asks for and no row answers; nothing when there is no pair to compare."""
    problems: list[str] = []
    if not comparison.evaluation.contrasts:
        return problems
    for task in comparison.evaluation.tasks:
        present = index.metrics(task.NAME)
        for metric in task.METRICS:
            if metric.name not in present and metric.name != WIN_RATE.name:
                problems.append(f"incomplete records: task {task.NAME} declares {metric.name}, but no row has it")
    tasks = [task.NAME for task in comparison.evaluation.tasks]
    if comparison.evaluation.judges and not any(index.sources(name, WIN_RATE.name) for name in tasks):
        problems.append("incomplete records: the comparison names judges, but no row has a verdict")
    if comparison.evaluation.ratings and not any(index.sources(name, RATING.name) for name in tasks):
        problems.append("incomplete records: the comparison asks for ratings, but no row has one")
    return problems


def _plans(index: RecordIndex, comparison: Comparison, metrics: Mapping[str, MetricInfo]) -> Iterator[_Plan]:
    """Yield the contrasts to compute: by pair, then task; the win rate first, then metrics in the mapping's order."""
    place = {name: number for number, name in enumerate(metrics)}
    seeds = tuple(dict.fromkeys(comparison.given.seeds))
    names = [task.NAME for task in comparison.evaluation.tasks]
    tasks = tuple(dict.fromkeys([*names, *(task.name for task in comparison.evaluation.benchmarks)]))
    for a, b in comparison.evaluation.contrasts:
        control = comparison.repeats(a, b)
        for task in tasks:
            others = sorted(index.metrics(task), key=lambda name: (place.get(name, len(place)), name))
            for metric in (WIN_RATE.name, *others):
                for source in index.sources(task, metric) if metric not in NOT_BY_ROWS else ():
                    yield _Plan(Request(a, b, task, metric, source, seeds), metrics.get(metric), control)


def _contrast(plan: _Plan, crossing: Crossing, comparison: Comparison) -> Contrast:
    request, settings = plan.request, comparison.statistics
    is_preference = request.metric in PREFERENCES
    declared = None if plan.info is None or plan.info.bounds is None else difference_bounds(plan.info.bounds)
    read = not is_preference and request.metric not in OF_PSEUDO_VALUES  # as they are, and on the metric's scale
    beyond = _beyond(plan.info, crossing) if read and plan.info is not None else ()
    declared = None if beyond else declared
    null, bounds = (PREFERENCE_NULL, PREFERENCE_BOUNDS) if is_preference else (0.0, declared)
    found = analyse(
        crossing,
        AnalysisSettings(null, bounds, settings.level, settings.resamples, settings.interval, settings.test),
    )
    mean_a, mean_b = _means(crossing, found)
    return Contrast(
        a=request.a,
        b=request.b,
        task=request.task,
        metric=request.metric,
        judge=plan.judge,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        level=settings.level,
        null_value=null,
        p=found.p,
        p_adjusted=None,
        test=found.test,
        standard_error=found.standard_error,
        degrees_of_freedom=found.degrees_of_freedom,
        smallest_detectable=found.smallest_detectable,
        mean_a=mean_a,
        mean_b=mean_b,
        n_prompts=len(crossing.prompts),
        n_runs=len(request.seeds),
        n_missing=crossing.left_out,
        speaks_about="the training procedure" if len(request.seeds) > 1 else "these trained models",
        verdict="undecided",
        family=plan.family,
        higher_is_better=plan.higher_is_better,
        is_control=plan.is_control,
        per_run=found.per_seed,
        also={**_applying(found.also, request), **plan.also},
        components=found.components,
        support=() if found.law is None or found.law.support is None else found.law.support.pairs(),
        note="; ".join([*found.notes, *beyond, *_notes(plan, crossing)]),
    )


def _applying(also: Mapping[str, float | None], request: Request) -> dict[str, float | None]:
    """Return the further numbers that a metric can have."""
    dropped = OF_VERDICTS if request.metric in OF_PSEUDO_VALUES else frozenset()
    return {name: value for name, value in also.items() if name not in dropped}


def _means(crossing: Crossing, found: Analysis) -> tuple[float | None, float | None]:
    if found.estimate is None:
        return None, None
    if crossing.a_values is None or crossing.b_values is None:
        return found.estimate, 1 - found.estimate
    return float(np.mean(crossing.a_values)), float(np.mean(crossing.b_values))


def _beyond(info: MetricInfo, crossing: Crossing) -> tuple[str, ...]:
    """Return that a side's values leave the bounds that their metric declares; nothing where they do not."""
    sides = [side for side in (crossing.a_values, crossing.b_values) if side is not None and side.size]
    if info.bounds is None or not sides:
        return ()
    least, most = min(float(side.min()) for side in sides), max(float(side.max()) for side in sides)
    if info.bounds[0] - ROUNDING <= least and most <= info.bounds[1] + ROUNDING:
        return ()
    declared = f"[{info.bounds[0]:g}, {info.bounds[1]:g}]"
    return (f"values from {least:g} to {most:g} leave the declared bounds {declared}: none are reckoned with",)


def _unusable(crossing: Crossing) -> str:
    """Return why nothing, or only what was told to be kept, is concluded from a judge, and what helps."""
    share = f"{crossing.failed_calls} of {crossing.calls} values of the judge are unusable"
    if crossing.prompts:
        return f"{share}, more than {MOST_JUDGE_FAILED:.0%}: only prompts without any of them are kept"
    drop = ", or statistics.missing: drop_prompts" if crossing.failed_calls < crossing.calls else ""
    return (
        f"{share}, more than {MOST_JUDGE_FAILED:.0%}, so nothing is concluded from it. Its words are in "
        "verdicts.parquet. Running again gives the same ones: set ask_again (with a temperature), more max_tokens, "
        f"another prompt or model{drop}"
    )


def _notes(plan: _Plan, crossing: Crossing) -> list[str]:
    notes: list[str] = list(plan.notes)
    if crossing.dropped > crossing.judge_failed:
        notes.append(f"{crossing.dropped - crossing.judge_failed} incomplete prompts dropped")
    if crossing.is_unusable:
        notes.append(_unusable(crossing))
    elif crossing.filled_calls:
        notes.append(
            f"{crossing.filled_calls} of {crossing.calls} values of the judge were unusable and stand by the same "
            "prompt's others in the same order"
        )
    if crossing.judge_failed and crossing.prompts:
        notes.append(f"{crossing.judge_failed} prompts left out: the judge gave nothing usable on them")
    if crossing.undefined:
        notes.append(f"{crossing.undefined} prompts left out: the metric is undefined for some response to them")
    if crossing.too_long:
        notes.append(f"{crossing.too_long} prompts left out: too long for a model that had to read them")
    if plan.higher_is_better is None:
        notes.append("no direction")
    return notes
