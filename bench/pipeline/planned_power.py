"""What a plan could detect: the primary family at the first step of its correction, its range, and what it rests on.

The variances come from an earlier run of the same comparison where its contrasts.json is there: the mean over its
primary contrasts, the seeds' mean square with its 80% chi-square limits on d E degrees of freedom (d = seeds - 1; E is
what contrasts that share arms are worth, ``effective_count``). Without one they are assumed, for a win rate only: no
other metric has a scale that is known before. Max-T and the false discovery rate are reckoned as Holm's first step.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from bench.config.comparison import Primary
from bench.core.errors import DataError
from bench.core.frozen import Frozen
from bench.core.metrics import PREFERENCES
from bench.core.task import Task
from bench.evaluation.measurements.scores import metrics_of
from bench.pipeline.plan import Plan
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import counted, describe_metric
from bench.statistics.contrasts.seed_variance import RESIDUAL, UNITS, mean_square
from bench.statistics.power.detectable import (
    ASSUMED_SEEDS,
    LIMITS,
    Spread,
    planned_smallest_detectable,
    variance_limits,
)
from bench.statistics.tests.corrections import first_step_level
from bench.statistics.tests.margin_tests import PROMPT_DF
from bench.statistics.tests.moderation import effective_count


class PlannedPower(Frozen):
    """The smallest true difference that the first step of the primary family's correction finds with 80% power.

    ``smallest_detectable`` (with its range over what the seeds' spread may be; None with one seed) is on the metric's
    scale, for the task with the fewest prompts; None where nothing is known of how the metric varies. ``tests`` are
    corrected together; ``level`` is that of their first step. ``sd_seed`` (with the limits of the range), ``sd_prompt``
    and ``sd_residual`` are the standard deviations of a paired value that it rests on, ``measured`` by an earlier run
    on ``seed_df`` degrees of freedom, or ``assumed``. ``unread``: why an earlier run's file tells nothing.
    """

    metric: str
    task: str
    n_prompts: int
    n_runs: int
    tests: int
    level: float
    rests_on: Literal["measured", "assumed", "nothing"]
    smallest_detectable: float | None = None
    smallest_detectable_low: float | None = None
    smallest_detectable_high: float | None = None
    sd_seed: float | None = None
    sd_seed_low: float | None = None
    sd_seed_high: float | None = None
    sd_prompt: float | None = None
    sd_residual: float | None = None
    seed_df: float | None = None
    unread: str = ""


@dataclasses.dataclass(frozen=True)
class _Known:
    """Spreads at the estimate and at both limits of the seeds' variance. ``per_prompt``: independent units a prompt."""

    rests_on: Literal["measured", "assumed"]
    spreads: tuple[Spread, Spread, Spread]
    per_prompt: float = 1.0
    seed_df: float | None = None


def planned_power(plan: Plan) -> PlannedPower | None:
    """Return what the primary family could detect; None where the file names no metric that is known before a run."""
    comparison = plan.comparison
    primary, settings, seeds = comparison.primary, comparison.statistics, len(comparison.given.seeds)
    tasks = [] if primary is None else primary_tasks(plan, primary)
    pairs = [pair for pair in comparison.evaluation.contrasts if not comparison.repeats(*pair)]
    if primary is None or not tasks or not pairs:
        return None
    tests = 1 if settings.correction == "none" else len(pairs) * len(tasks)
    level = first_step_level(settings.level, tests, settings.correction)
    fewest = min(tasks, key=lambda task: len(task.prompts()))
    count = len(fewest.prompts())
    known, unread = None, ""
    try:
        known = measured(Path(comparison.path).parent, primary, fewest.NAME, seeds)
    except DataError as error:
        unread = str(error)
    known = known or _assumed(primary)
    plain = PlannedPower(
        metric=primary.metric,
        task=fewest.NAME,
        n_prompts=count,
        n_runs=seeds,
        tests=tests,
        level=level,
        rests_on="nothing",
        unread=unread,
    )
    if known is None:
        return plain
    units = round(count * known.per_prompt)
    reach, low, high = (planned_smallest_detectable(units, seeds, spread, level) for spread in known.spreads)
    seen, calm, wild = known.spreads
    facts = {
        "rests_on": known.rests_on,
        "smallest_detectable": reach,
        "sd_prompt": seen.prompt,
        "sd_residual": seen.residual,
    }
    if seeds == 1:
        return plain.model_copy(update=facts)
    of_seeds = {"sd_seed": seen.seed, "sd_seed_low": calm.seed, "sd_seed_high": wild.seed, "seed_df": known.seed_df}
    return plain.model_copy(
        update={**facts, **of_seeds, "smallest_detectable_low": low, "smallest_detectable_high": high}
    )


def primary_tasks(plan: Plan, primary: Primary) -> list[Task]:
    """Return the tasks on which the primary metric is measured, by its judge where it has one, in the file's order."""
    tasks = plan.comparison.evaluation.tasks
    measuring = [task for task in tasks if primary.metric in [info.name for info in metrics_of(task)]]
    if primary.judge is None and measuring:
        return measuring
    names = {
        cell.task_name
        for cell in (*plan.cells, *plan.waiting)
        if cell.judge_label == primary.judge
        and primary.metric in [info.name for info in cell.measurement.metrics(plan.design, ())]
    }
    return [task for task in tasks if task.NAME in names]


def measured(folder: Path, primary: Primary, task: str, seeds: int) -> _Known | None:
    """Return what the contrasts of an earlier run in this folder say about the primary metric on a task.

    None where there are none with variances, and where they had one seed and several are planned. Raises DataError for
    a file that this version does not read.
    """
    if not CONCLUSIONS.path(folder).exists():
        return None
    found = [item for item in CONCLUSIONS.read(folder).contrasts if _tells(item, primary, task)]
    several = [item for item in found if item.n_runs > 1 and RESIDUAL in item.components]
    used = several if seeds > 1 else [item for item in found if item.n_runs == 1] or several
    # An earlier run may have had another number of seeds at another time of this file; the most seeds tell most.
    used = [item for item in used if item.n_runs == max(item.n_runs for item in used)]
    if not used:
        return None
    prompt = float(np.mean([item.components["prompt"] for item in used]))
    residual = float(np.mean([item.components.get(RESIDUAL, 0.0) for item in used]))
    per_prompt = used[0].components[UNITS] / used[0].n_prompts
    if used[0].n_runs == 1:
        spread = Spread(0.0, prompt**0.5, residual**0.5)
        return _Known("measured", (spread, spread, spread), per_prompt)
    df = (used[0].n_runs - 1) * effective_count([(item.a, item.b) for item in used])
    square, cell = float(np.mean([mean_square(item) for item in used])), residual / used[0].components[UNITS]
    squares = (square, *variance_limits(square, df))
    seen, calm, wild = (Spread(max(0.0, one - cell) ** 0.5, prompt**0.5, residual**0.5) for one in squares)
    return _Known("measured", (seen, calm, wild), per_prompt, df)


def _tells(contrast: Contrast, primary: Primary, task: str) -> bool:
    same = (contrast.metric, contrast.judge, contrast.task) == (primary.metric, primary.judge, task)
    parts = contrast.components
    return same and not contrast.is_control and PROMPT_DF in parts and "prompt" in parts and UNITS in parts


def _assumed(primary: Primary) -> _Known | None:
    if primary.metric not in PREFERENCES:
        return None
    low, high = ASSUMED_SEEDS
    return _Known("assumed", (Spread(), Spread(seed=low), Spread(seed=high)))


def power_lines(found: PlannedPower | None, alpha: float) -> list[str]:
    """Return what could be detected, at which step, with its range, and what it rests on; ``alpha`` of the family."""
    if found is None:
        return ["smallest detectable difference: not forecast, the primary metric is known only after a run"]
    what, unread = describe_metric(found.metric), [f"  {found.unread}"] if found.unread else []
    step = f"level {alpha:g}, no correction or one contrast"
    if found.tests > 1:
        step = f"first Holm step of the {found.tests} primary contrasts, level {alpha:g}/{found.tests}"
    design = f"{counted(found.n_prompts, 'prompt')} of {found.task}, {counted(found.n_runs, 'seed')}"
    if found.smallest_detectable is None:
        return [
            f"smallest detectable difference of the {what}: not forecast, nothing is known of how it varies before a "
            f"first run (80% power at the {step})",
            *unread,
        ]
    far = found.metric in PREFERENCES and found.smallest_detectable >= 0.5
    # More than one half away from one half there is no win rate.
    head = f"smallest detectable difference of the {what}" + (" from 0.5" if found.metric in PREFERENCES else "")
    if far:
        head = f"no {what} can be told from 0.5: smallest detectable difference"
    low, high = found.smallest_detectable_low, found.smallest_detectable_high
    between = "" if low is None or high is None else f" ({low:.3g} to {high:.3g})"
    then = "; add seeds first" if far else ""
    return [
        f"{head}: about {found.smallest_detectable:.3g}{between}, 80% power at the {step}; {design}{then}",
        f"  {_rests_on(found)}",
        *unread,
    ]


def _rests_on(found: PlannedPower) -> str:
    spread = f"{found.sd_prompt:.3g} over prompts and {found.sd_residual:.3g} of one cell beyond both"
    if found.sd_seed is not None:
        spread = f"{found.sd_seed:.3g} over seeds ({found.sd_seed_low:.3g} to {found.sd_seed_high:.3g}), {spread}"
    if found.rests_on == "measured":
        by = "measured by the run whose contrasts.json is here"
        range_of = "" if found.seed_df is None else f"; range: {LIMITS:.0%} chi-square limits, {found.seed_df:.3g} df"
        return f"{by}: standard deviations of {spread}{range_of}"
    return f"assumed, not measured (docs/statistics.md): standard deviations of {spread}"
