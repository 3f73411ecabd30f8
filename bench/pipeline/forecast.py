"""What a run would do and cost, told before it starts. No torch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from statistics import median

from bench.core.data import Data, DataSpec, Made
from bench.core.frozen import Frozen
from bench.core.judge import Judge
from bench.core.rows import read_rows
from bench.core.stage import Stage
from bench.engine.store import MANIFEST, Store
from bench.evaluation.generate import Generate
from bench.evaluation.measurements.factuality.verify import CheckClaims
from bench.evaluation.measurements.judge_controls import AskAgain
from bench.evaluation.measurements.label_agreement import LabelPairs
from bench.evaluation.measurements.ratings import RateResponses
from bench.evaluation.measurements.win_rate import JudgePairs
from bench.pipeline.paid_calls import PaidCalls, paid_calls
from bench.pipeline.plan import Plan
from bench.statistics.power.detectable import planned_smallest_detectable


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

    ``unknown_labels``: stages that label rows of unknown number. ``unknown_claims``: stages that ask a model about
    claims of responses that are not written yet, or not read. ``smallest_detectable_win_rate`` is that of the task
    with the fewest prompts. ``paid``: what models behind an API are to be asked. ``waits``: judges that cannot be asked
    yet, and why.
    """

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    contrasts: tuple[tuple[str, str], ...]
    prompts: dict[str, int]
    stages: tuple[StagesOfKind, ...]
    most_generated_tokens: int
    judgements: int
    unknown_labels: int
    unknown_claims: int
    paid: tuple[PaidCalls, ...] = ()
    waits: tuple[str, ...] = ()
    smallest_detectable_win_rate: float | None
    level: float


def forecast(plan: Plan, store: Store) -> Forecast:
    """Return what running the plan would do, given what the store holds."""
    comparison = plan.comparison
    total = Counter(stage.KIND for stage in plan.stages.values())
    waiting = [stage for stage in plan.stages.values() if not (store.place(stage) / MANIFEST).is_file()]
    open_by_kind = Counter(stage.KIND for stage in waiting)
    known = costs_by_kind(plan, store)
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
    return Forecast(
        name=comparison.name,
        arms=tuple(arm.name for arm in comparison.arms),
        seeds=comparison.given.seeds,
        contrasts=comparison.evaluation.contrasts,
        prompts=prompts,
        stages=stages,
        most_generated_tokens=sum(most_tokens(stage) for stage in waiting),
        judgements=sum(judgements(stage) for stage in waiting),
        paid=paid_calls(waiting, store),
        waits=tuple(dict.fromkeys(f"{cell.judge.label}: {cell.judge.judge.waits_for()}" for cell in plan.waiting)),
        unknown_claims=sum(isinstance(stage, CheckClaims) and stage.verifier.READS == "passages" for stage in waiting),
        unknown_labels=sum(
            (labelled := labelled_rows(stage)) is not None and rows_known(labelled) is None for stage in waiting
        ),
        smallest_detectable_win_rate=(
            planned_smallest_detectable(
                min(prompts.values()), len(comparison.given.seeds), level=comparison.statistics.level
            )
            if comparison.evaluation.judges
            else None
        ),
        level=comparison.statistics.level,
    )


def costs_by_kind(plan: Plan, store: Store) -> dict[str, list[dict[str, float]]]:
    """Return the costs of finished stages by kind: those of this plan, or where it has none, all in the store."""
    found: dict[str, list[dict[str, float]]] = {}
    for kind in {stage.KIND for stage in plan.stages.values()}:
        own = [store.place(stage) / MANIFEST for stage in plan.stages.values() if kind == stage.KIND]
        there = [manifest for manifest in own if manifest.is_file()]
        manifests = there or sorted((store.root / kind).glob(f"*/{MANIFEST}"))
        found[kind] = [json.loads(manifest.read_text(encoding="utf-8"))["cost"] for manifest in manifests]
    return found


def seconds_by_kind(plan: Plan, store: Store) -> dict[str, float]:
    """Return the median seconds of finished stages by kind, without the kinds of which none is finished."""
    costs = costs_by_kind(plan, store)
    return {kind: median(cost["seconds"] for cost in found) for kind, found in costs.items() if found}


def expected(costs: list[dict[str, float]], axis: str, count: int) -> float | None:
    """Return the mean cost times a count; 0 for no stages, None when nothing is known."""
    if count == 0:
        return 0.0
    return sum(cost[axis] for cost in costs) / len(costs) * count if costs else None


def most_tokens(stage: Stage) -> int:
    """Return the most tokens a stage can generate."""
    if not isinstance(stage, Generate):
        return 0
    return len(stage.task.prompts()) * stage.draws * stage.task.decoding().max_new_tokens


def judgements(stage: Stage) -> int:
    """Return how many judge calls a stage makes; 0 for labels of rows that another stage has yet to make."""
    match stage:
        case JudgePairs():
            return len(stage.a.task.prompts()) * stage.a.draws * (2 if stage.orders == "both" else 1)
        case AskAgain():
            return min(stage.prompts, len(stage.a.task.prompts())) * (2 if stage.orders == "both" else 1)
        case RateResponses():
            return len(stage.responses.task.prompts()) * stage.responses.draws
    labelled = labelled_rows(stage)
    return 0 if labelled is None else 2 * (rows_known(labelled) or 0)


def labelled_rows(stage: Stage) -> Data | Made | None:
    """Return the pairs that a stage has a judge label in both orders, None for a stage that labels none.

    A method's own labelling is told by its fields, a judge and the pairs, because methods are not known here.
    """
    if isinstance(stage, LabelPairs):
        return stage.data
    pairs = getattr(stage, "pairs", None)
    asks = isinstance(getattr(stage, "judge", None), Judge)
    return pairs if asks and isinstance(pairs, Data | Made) else None


def rows_known(data: DataSpec) -> int | None:
    """Return how many rows a data set has at most, None where a stage has yet to make them."""
    if isinstance(data, Made):
        return data.limit
    rows = sum(1 for _ in read_rows(Path(data.path), data.path))
    return rows if data.limit is None else min(rows, data.limit)


def forecast_lines(found: Forecast) -> list[str]:
    """Return a forecast as lines of text."""
    waiting = sum(kind.total - kind.finished for kind in found.stages)
    total = sum(kind.total for kind in found.stages)
    lines = [
        f"{found.name}: {len(found.arms)} methods x {len(found.seeds)} seeds: {', '.join(found.arms)}",
        f"prompts: {', '.join(f'{task} {count}' for task, count in found.prompts.items())}",
        f"contrasts: {', '.join(f'{a} vs {b}' for a, b in found.contrasts)}",
        f"{total} stages, {total - waiting} finished in the store, {waiting} to compute:",
    ]
    for kind in found.stages:
        cost = "nothing known of its cost yet"
        if kind.seconds is not None and kind.flops is not None:
            cost = f"about {kind.seconds:.0f} s of one worker, {kind.flops:.2g} FLOPs"
        lines.append(f"  {kind.kind:<24} {kind.finished:>3} of {kind.total:<3} finished; to do: {cost}")
    lines.append(f"at most {found.most_generated_tokens:,} tokens to generate, {found.judgements:,} judge calls")
    if found.unknown_labels:
        lines.append(f"beside these, {found.unknown_labels} stages that label every row of a data set not made yet")
    lines += [paid.line() for paid in found.paid]
    lines += [f"not asked yet: {judge}" for judge in found.waits]
    if found.unknown_claims:
        lines.append(f"beside these, {found.unknown_claims} stages that check every claim of responses to come")
    effect = found.smallest_detectable_win_rate
    assumed = f"(80% power at level {found.level:g}, assuming typical spreads; see docs/statistics.md)"
    if effect is not None and effect < 0.5:
        lines.append(f"smallest detectable difference of a win rate from 0.5: about {effect:.3f} {assumed}")
    elif effect is not None:
        lines.append(f"no win rate can be told from 0.5 with so few prompts and seeds {assumed}. Add seeds first.")
    return lines
