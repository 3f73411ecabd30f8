"""What a run would do and cost, known before it starts. No torch."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Any

from bench.config.comparison import Primary
from bench.core.data import Data, Made, Mixture
from bench.core.datasets import rows_known
from bench.core.errors import DamagedArtefact
from bench.core.frozen import Frozen
from bench.core.judge import Judge
from bench.core.policy import Outputs
from bench.core.stage import Stage
from bench.engine.manifest import MANIFEST, Manifest, read_manifest
from bench.engine.store import Store
from bench.evaluation.generate import Generate
from bench.evaluation.measurement import Cell
from bench.pipeline.brought.defaults import defaults_of_arm
from bench.pipeline.disk import DiskNeed, disk_need
from bench.pipeline.lengths import NOTHING_KNOWN, PlannedLengths
from bench.pipeline.paid_calls import PaidCalls, paid_calls
from bench.pipeline.plan import Plan, waits_for
from bench.pipeline.planned_power import PlannedPower, planned_power, power_lines
from bench.results.wording import describe_metric
from bench.statistics.tests.corrections import alpha_of

DAMAGES_SHOWN = 10


class StagesOfKind(Frozen):
    """The stages of one kind: how many there are, how many are finished, and what the rest is expected to cost.

    ``seconds`` and ``flops`` come from finished stages of that kind, of this comparison where it has any, else of
    others in the store; None when there are none yet.
    """

    kind: str
    total: int
    finished: int
    seconds: float | None
    flops: float | None


class Forecast(Frozen):
    """What a run would do.

    ``unknown_calls``: stages that ask a model about rows or claims that are not made yet.
    ``power``: what the primary family could detect. ``lengths``: what truncation will do.
    ``paid``: what models behind an API are to be asked. ``waits``: judges that cannot be asked yet, and why.
    ``primary``: what the question is about.
    ``equal_draws``: tasks that are answered several times and decode greedily, so that every further answer is the
    first again. ``defaults``: per arm, the numbers that settings of None stand for. ``disk``: what it adds to the disk.
    ``told``: what a reader must know of arms that rest on what was made elsewhere.
    """

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    contrasts: tuple[tuple[str, str], ...]
    primary: Primary | None = None
    secondary: str = "beside"
    prompts: dict[str, int]
    stages: tuple[StagesOfKind, ...]
    most_generated_tokens: int
    judgements: int
    unknown_calls: int
    paid: tuple[PaidCalls, ...] = ()
    waits: tuple[str, ...] = ()
    equal_draws: tuple[str, ...] = ()
    defaults: dict[str, dict[str, float]] = {}
    power: PlannedPower | None = None
    level: float
    lengths: PlannedLengths = NOTHING_KNOWN
    disk: DiskNeed | None = None
    told: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def forecast(plan: Plan, store: Store, lengths: PlannedLengths = NOTHING_KNOWN) -> Forecast:
    """Return what running the plan would do, given what the store holds, and what is known of ``lengths``."""
    comparison = plan.comparison
    total = Counter(stage.KIND for stage in plan.stages.values())
    recorded, damaged = recorded_of(plan, store)
    waiting = [stage for key, stage in plan.stages.items() if key not in recorded]
    open_by_kind = Counter(stage.KIND for stage in waiting)
    known = costs_by_kind(plan, store, recorded)
    stages = tuple(
        StagesOfKind(
            kind=kind,
            total=count,
            finished=count - open_by_kind[kind],
            seconds=expected(known[kind], "seconds", open_by_kind[kind]),
            flops=expected(known[kind], "flops", open_by_kind[kind]),
        )
        for kind, count in total.items()
    )
    prompts = {task.NAME: len(task.prompts()) for task in comparison.evaluation.tasks}
    cells = {cell.stage.key: cell for cell in plan.cells}
    calls = [judge_calls(stage, cells.get(stage.key)) for stage in waiting]
    return Forecast(
        name=comparison.name,
        arms=tuple(arm.name for arm in comparison.arms),
        seeds=comparison.given.seeds,
        contrasts=comparison.evaluation.contrasts,
        primary=comparison.primary,
        secondary=comparison.statistics.secondary,
        prompts=prompts,
        stages=stages,
        most_generated_tokens=sum(most_tokens(stage) for stage in waiting),
        judgements=sum(count or 0 for count in calls),
        unknown_calls=calls.count(None),
        paid=paid_calls(waiting, cells, store),
        waits=tuple(dict.fromkeys(f"{cell.judge_label}: {waits_for(cell)}" for cell in plan.waiting)),
        equal_draws=tuple(
            task.NAME
            for task in comparison.evaluation.tasks
            if comparison.evaluation.draws > 1 and task.decoding().is_greedy
        ),
        defaults={arm.name: left for arm in comparison.arms if (left := defaults_of_arm(arm))},
        power=planned_power(plan),
        level=comparison.statistics.level,
        lengths=lengths,
        disk=disk_need(waiting, store),
        told=plan.told,
        damaged=damaged,
    )


def recorded_of(plan: Plan, store: Store) -> tuple[dict[str, Manifest], tuple[str, ...]]:
    """Return the manifests of finished stages by key, and a line for each that a run will compute again.

    The bytes of payloads are not read, which a run does: it may find more that has changed.
    """
    found: dict[str, Manifest] = {}
    damaged = []
    for key, stage in plan.stages.items():
        try:
            manifest = store.recorded(stage)
        except DamagedArtefact as damage:
            damaged.append(str(damage))
            continue
        if manifest is not None:
            found[key] = manifest
    return found, tuple(damaged)


def costs_by_kind(
    plan: Plan, store: Store, recorded: Mapping[str, Manifest]
) -> dict[str, list[dict[str, float]]]:  # fmt: skip
    """Return the costs of finished stages by kind: those ``recorded`` of this plan, without any, all in the store."""
    found: dict[str, list[dict[str, float]]] = {}
    for kind in {stage.KIND for stage in plan.stages.values()}:
        own = [manifest for key, manifest in recorded.items() if kind == plan.stages[key].KIND]
        found[kind] = [dict(manifest.cost) for manifest in own or others_of(kind, store)]
    return found


def others_of(kind: str, store: Store) -> list[Manifest]:
    """Return the manifests of a kind in the store; those that cannot be read are for their own comparisons to tell."""
    found = []
    for path in sorted((store.root / kind).glob(f"*/{MANIFEST}")):
        with contextlib.suppress(DamagedArtefact):
            found.append(read_manifest(path.parent))
    return found


def seconds_by_kind(plan: Plan, store: Store) -> dict[str, float]:
    """Return the median seconds of finished stages by kind, without the kinds of which none is finished."""
    recorded, _ = recorded_of(plan, store)
    costs = costs_by_kind(plan, store, recorded)
    return {kind: median(cost["seconds"] for cost in found) for kind, found in costs.items() if found}


def expected(costs: list[dict[str, float]], axis: str, count: int) -> float | None:
    """Return the mean cost times a count; 0 for no stages, None when nothing is known."""
    if count == 0:
        return 0.0
    return sum(cost[axis] for cost in costs) / len(costs) * count if costs else None


def most_tokens(stage: Stage) -> int:
    """Return the most tokens a stage can generate."""
    if not isinstance(stage, Generate) or isinstance(stage.policy, Outputs):
        return 0
    return len(stage.task.prompts()) * stage.draws * stage.task.decoding().max_new_tokens


def judge_calls(stage: Stage, cell: Cell[Any] | None) -> int | None:
    """Return how often a stage asks a judge; None where that is not known before it runs.

    A method's own labelling, which is no cell, is found by its fields, a judge and the pairs that it labels in both
    orders, because methods are not known here.
    """
    if cell is not None:
        return cell.measurement.judge_calls(cell)
    pairs = getattr(stage, "pairs", None)
    if not isinstance(getattr(stage, "judge", None), Judge) or not isinstance(pairs, Data | Mixture | Made):
        return 0
    rows = rows_known(pairs)
    return None if rows is None else 2 * rows


def primary_line(found: Forecast) -> str:
    """Return what the question is about, and what the verdicts on all else count for."""
    by = "" if found.primary is None or found.primary.judge is None else f" by the {found.primary.judge} judge"
    what = "the first metric with a better side" if found.primary is None else describe_metric(found.primary.metric)
    after = ", which count only after every primary contrast is decided" if found.secondary == "after_primary" else ""
    return f"primary: {what}{by}; verdicts on all else are secondary{after}"


def forecast_lines(found: Forecast) -> list[str]:
    """Return a forecast as lines of text."""
    waiting = sum(kind.total - kind.finished for kind in found.stages)
    total = sum(kind.total for kind in found.stages)
    lines = [
        f"{found.name}: {len(found.arms)} methods x {len(found.seeds)} seeds: {', '.join(found.arms)}",
        f"prompts: {', '.join(f'{task} {count}' for task, count in found.prompts.items())}",
        f"contrasts: {', '.join(f'{a} vs {b}' for a, b in found.contrasts)}",
        primary_line(found),
        f"{total} stages, {total - waiting} finished in the store, {waiting} to compute:",
    ]
    for kind in found.stages:
        cost = "nothing known of its cost yet"
        if kind.seconds is not None and kind.flops is not None:
            cost = f"about {kind.seconds:.0f} s of one worker, {kind.flops:.2g} FLOPs"
        lines.append(f"  {kind.kind:<24} {kind.finished:>3} of {kind.total:<3} finished; to do: {cost}")
    lines += [f"to compute again: {damage}" for damage in found.damaged[:DAMAGES_SHOWN]]
    if len(found.damaged) > DAMAGES_SHOWN:
        lines.append(f"to compute again: {len(found.damaged) - DAMAGES_SHOWN} more that are damaged")
    lines.append(f"at most {found.most_generated_tokens:,} tokens to generate, {found.judgements:,} judge calls")
    if found.unknown_calls:
        lines.append(f"beside these, {found.unknown_calls} stages that ask about rows or claims which are not made yet")
    lines += found.told
    lines += found.disk.lines() if found.disk is not None else []
    lines += found.lengths.lines()
    lines += [paid.line() for paid in found.paid]
    lines += [f"not asked yet: {judge}" for judge in found.waits]
    lines += [
        f"task {task} decodes greedily (temperature 0 or top_k 1): its further draws are copies of the first, judged "
        "and counted again. Set draws: 1 in `evaluate`, or give the task a temperature."
        for task in found.equal_draws
    ]
    for arm, left in found.defaults.items():
        lines.append(f"by default, {arm}: {', '.join(f'{name} {number:g}' for name, number in left.items())}")
    if found.contrasts:
        lines += power_lines(found.power, alpha_of(found.level))
    return lines
