"""From a plan and what was run to the lock: inputs, identities, surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison, Named
from bench.config.fields.data_sources import COLUMNS, PREFERENCES
from bench.config.fields.files_read import format_key, hub_key
from bench.config.fields.named_files import short_names
from bench.core.data import Data, Made, Mixture
from bench.core.frozen import Frozen, Open, children, digest
from bench.core.judge import Judge
from bench.core.lengths import RowsOf
from bench.core.metrics import RATING, WIN_RATE
from bench.core.policy import Adapter, Outputs, Pretrained
from bench.core.stage import Stage
from bench.core.task import Task
from bench.engine.provenance import PACKAGES, provenance, versions
from bench.evaluation.generate import Generate
from bench.evaluation.measurements.ratings import RateResponses
from bench.evaluation.measurements.scores import ScoreResponses
from bench.evaluation.measurements.win_rate import JudgePairs
from bench.gate.declared import files_of, gate_digest, named_files, texts_of
from bench.pipeline.code_of_others import plugins_of
from bench.pipeline.describe import described
from bench.pipeline.plan import Plan
from bench.results.computed_on import computed_on
from bench.results.identity import JudgeIdentity, RunIdentity, TaskIdentity
from bench.results.lock import Lock
from bench.results.summary import RunSummary

SURROUNDINGS = ("platform", "processor", "cores", "threads")
PROGRAM = "alignment-bench"
# What the statistics and pictures rest on, beside what can change a stage's result.
FURTHER_PACKAGES = ("scipy", "matplotlib", "jinja2", "pydantic", "lm-eval")
SHORT = 16  # characters of a digest that stands for a nested value


def lock_of(plan: Plan, summary: RunSummary) -> Lock:
    """Return what a run of this plan rests on; ``summary`` says on which devices its stages were computed."""
    comparison, here = plan.comparison, provenance()
    devices = sorted({str(facts.provenance.get("device")) for facts in summary.stages.values()})
    known = installed()
    return Lock(
        name=comparison.name,
        program={"version": known.pop(PROGRAM, None), "revision": here["revision"]},
        python=str(here["python"]),
        packages=known,
        hardware={**{name: here[name] for name in SURROUNDINGS}, "devices": devices},
        seeds=comparison.given.seeds,
        files=files_of(comparison),
        data=data_of(comparison),
        models=models_of(plan),
        identity=identity_of(comparison),
        gate=gate_digest(comparison),
        stages={key: stage.KIND for key, stage in plan.stages.items()},
        read=read_of(comparison),
        texts=texts_of(Path(comparison.path)),
        plugins=plugins_of(comparison),
        computed_on=computed_on(facts.provenance for facts in summary.stages.values()),
        formats=formats_of(comparison),
        hub=hub_of(comparison),
    )


def formats_of(comparison: Comparison) -> dict[str, str]:
    """Return the formats of the data that a comparison names, by ``format_key``, those with plain columns left out."""
    found = {format_key(role, data.digest): data.format for role, data in data_in(comparison)}
    return {key: name for key, name in sorted(found.items()) if name is not None}


def hub_of(comparison: Comparison) -> dict[str, str]:
    """Return the commits and digests of the data of the hub that a comparison names, by ``hub_key``."""
    found = {}
    for _, data in data_in(comparison):
        if data.hub is not None:
            asked = hub_key(data.hub.repo, data.hub.asked, data.hub.config, data.split)
            found[asked] = f"{data.hub.commit} {data.digest}"
    return dict(sorted(found.items()))


def data_in(value: Any, name: str = PREFERENCES) -> Iterator[tuple[RowsOf, Data]]:
    """Yield the files of data within a value, and as what rows they are read: the field that holds them tells."""
    own = COLUMNS.get(name, COLUMNS[PREFERENCES])
    match value:
        case Data():
            yield own.rows_of, value
        case Mixture():
            for part in value.parts:
                yield own.rows_of, part.data
        case Frozen():
            for field in type(value).model_fields:
                yield from data_in(getattr(value, field), field)
        case tuple():
            for item in value:
                yield from data_in(item, name)


def installed() -> dict[str, str]:
    """Return the installed version of this program and of every package that can change a result or a picture."""
    return versions(sorted((*PACKAGES, *FURTHER_PACKAGES)))


def read_of(comparison: Comparison) -> dict[str, str]:
    """Return the digest of every file and folder that a comparison names, by as much of its path as tells it apart."""
    found = named_files(comparison)
    names = short_names(list(found))
    return {names[path]: found[path] for path in sorted(found, key=lambda path: names[path])}


def identity_of(comparison: Comparison) -> RunIdentity:
    """Return what the comparison measures with."""
    evaluation = comparison.evaluation
    tasks = {task.NAME: task_identity(task, prompts_digest(task)) for task in evaluation.tasks}
    for benchmark in evaluation.benchmarks:
        settings = settings_of(benchmark)
        tasks[benchmark.name] = TaskIdentity(version=0, prompts=digest(benchmark), settings=settings)
    used = {WIN_RATE.name: evaluation.judges, RATING.name: evaluation.ratings}
    return RunIdentity(
        tasks=tasks,
        judges={
            f"{use}:{named.label}": judge_identity(named, comparison)
            for use, all_of in used.items()
            for named in all_of
        },
        draws=evaluation.draws,
        orders=evaluation.orders,
        stages=stage_versions(),
    )


def stage_versions() -> dict[str, int]:
    """Return the versions of what is measured, by the kind of the stage."""
    return {stage.KIND: stage.VERSION for stage in (Generate, ScoreResponses, JudgePairs, RateResponses)}


def task_identity(task: Task, prompts: str) -> TaskIdentity:
    """Return what a task with the prompts of that digest is."""
    decoding = described(task.decoding())
    return TaskIdentity(version=task.VERSION, prompts=prompts, decoding=decoding, settings=settings_of(task))


def prompts_digest(task: Task) -> str:
    """Return the digest of a task's prompts: their ids, chats, clusters, kinds and facts, by id."""
    return digest(sorted(task.prompts(), key=lambda prompt: prompt.id))


def judge_identity(named: Named, comparison: Comparison) -> JudgeIdentity:
    """Return what a judge is. One that takes a model from an arm is another judge when that arm's settings change."""
    judge: Judge = named.judge
    settings = settings_of(judge)
    taken = settings.get("of")
    settings |= {f"method of {arm.name}": digest(arm.method)[:SHORT] for arm in comparison.arms if arm.name == taken}
    return JudgeIdentity(judge=judge.NAME, version=judge.VERSION, settings=settings)


def settings_of(value: Frozen) -> dict[str, Any]:
    """Return the settings by name: plain ones as they are, nested ones by digest, where something lies left out."""
    found: dict[str, Any] = {}
    for name in value.identifying():
        item = getattr(value, name)
        plain = item is None or isinstance(item, str | int | float)
        found[name] = item if plain else digest(item)[:SHORT]
    source = type(value).source_digest() if isinstance(value, Open) else None
    return found if source is None else {**found, "source": source[:SHORT]}


def data_of(comparison: Comparison) -> dict[str, str]:
    """Return what the arms learn from: a file by its digest, made rows by the stage that makes them."""
    found = {}
    for name in ("demonstrations", "preferences", "prompts"):
        match getattr(comparison.given, name):
            case Data() as data:
                found[name] = f"sha256 {data.digest}"
            case Mixture() as data:
                found[name] = f"mixture {digest(data)}"
            case Made() as data:
                found[name] = f"{data.by.KIND} {data.by.key}"
    return found


def models_of(plan: Plan) -> dict[str, str]:
    """Return every model, adapter and file of outputs that was there before the run: by its revision or digest."""
    found: dict[str, str] = {}
    waiting: list[Any] = [plan.policies, *(part for stage in plan.stages.values() for part in children(stage))]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Pretrained | Adapter | Outputs):
            repo, revision = getattr(part, "repo", None), getattr(part, "revision", None)
            name = repo or Path(part.path or "").name
            found[name] = str(revision) if repo else f"sha256 {part.digest}"
        if not isinstance(part, Stage):  # every stage is in the plan itself
            waiting.extend(children(part))
    return dict(sorted(found.items()))
