"""What differs between a comparison as it is now and what its run recorded in ``lock.json`` and ``run.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.config.comparison import Comparison
from bench.config.fields.named_files import ends_with, short_names
from bench.config.fields.stand_ins import NOT_KNOWN, StandIn, is_unknown, unknown_digest
from bench.core.errors import BenchError
from bench.core.frozen import children
from bench.core.judge import Judge
from bench.core.plugins import is_own
from bench.core.stage import Stage
from bench.core.task import Task
from bench.evaluation.measurement import MEASUREMENT
from bench.gate.declared import files_of, named_files
from bench.pipeline.lock import data_of, judge_identity, models_of, prompts_digest, stage_versions, task_identity
from bench.pipeline.plan import Plan, make_plan
from bench.pipeline.recorded_run import CODE, judges_by_use
from bench.pipeline.summarise import with_defaults
from bench.results.identity import RunIdentity, TaskIdentity, changed_settings, differences, flat
from bench.results.lock import Lock
from bench.results.summary import RunSummary
from bench.results.wording import counted

SHOWN = 12  # characters of a digest


@dataclass(frozen=True)
class SinceTheRun:
    """A comparison as it is now, held against what its run recorded. ``absent``: the files that are not here."""

    comparison: Comparison
    summary: RunSummary
    lock: Lock
    absent: Collection[Path]

    @cached_property
    def named(self) -> dict[Path, str]:
        """Every file that the comparison names, with its digest."""
        return named_files(self.comparison)

    @cached_property
    def names(self) -> dict[Path, str]:
        """What each of them is called."""
        return short_names([*dict.fromkeys([*self.named, *self.absent])])

    @cached_property
    def unknown(self) -> frozenset[Path]:
        """What is not here and stands in no record, or is code that is not here."""
        code = {Path(one.path) for one in self.stand_ins if one.path is not None}
        unrecorded = {place for place, digest in self.named.items() if digest == unknown_digest(place.name)}
        return frozenset(unrecorded | (code & set(self.absent)))

    @cached_property
    def stand_ins(self) -> list[StandIn]:
        """What stands in for code of others in the comparison."""
        return list(stand_ins_in(self.comparison))

    @cached_property
    def has_no_key(self) -> bool:
        """Whether some stage cannot be keyed here: one that is of others, or rests on what is unknown."""
        return self.ours is not self.comparison or self.rests_on_unknown(self.comparison, {})

    @cached_property
    def ours(self) -> Comparison:
        """The comparison without tasks and measurements of others, whose code alone plans them."""
        evaluation, checked = self.comparison.evaluation, self.comparison.evaluation.factuality
        measured = tuple(name for name in evaluation.measurements if is_own(MEASUREMENT, name))
        tasks = tuple(task for task in evaluation.tasks if not isinstance(task, StandIn))
        if (measured, tasks) == (evaluation.measurements, evaluation.tasks):
            return self.comparison
        if checked is not None:
            names = tuple(task.NAME for task in tasks if task.NAME in checked.tasks)
            checked = checked.model_copy(update={"tasks": names}) if names else None
        kept = evaluation.model_copy(update={"measurements": measured, "tasks": tasks, "factuality": checked})
        return self.comparison.model_copy(update={"evaluation": kept, "gate": ()})

    @cached_property
    def plan(self) -> Plan | BenchError:
        """The plan of the comparison as it is now, or why there is none."""
        try:
            return make_plan(self.ours)
        except BenchError as error:
            return error

    @cached_property
    def not_known(self) -> frozenset[str]:
        """The keys of the planned stages that rest on what has no key here."""
        if isinstance(self.plan, BenchError) or not self.has_no_key:
            return frozenset()
        found: dict[int, bool] = {}
        return frozenset(key for key, stage in self.plan.stages.items() if self.rests_on_unknown(stage, found))

    def rests_on_unknown(self, value: Any, found: dict[int, bool]) -> bool:
        """Return whether a value holds what has no key; ``found`` keeps by identity what is known of its parts."""
        if id(value) not in found:
            found[id(value)] = False
            found[id(value)] = is_unknown(value) or any(self.rests_on_unknown(part, found) for part in children(value))
        return found[id(value)]

    def not_compared(self) -> Iterator[str]:
        """Yield a line for everything that is not here, and one for what could not be compared without it."""
        yield from (f"not compared: {self.names[place]} is not here" for place in self.absent)
        if isinstance(self.plan, BenchError):
            if self.absent:
                yield f"not compared: the stages, which cannot be planned without it ({first_line(self.plan)})"
        elif self.not_known and self.unknown:
            yield f"not compared: {len(self.not_known)} of {counted(len(self.plan.stages), 'stage')}, which rest on it"
        yield from dict.fromkeys(words for one in self.stand_ins if (words := of_package_or_record(one)) is not None)

    def stale(self) -> list[str]:
        """Return what differs from what was run, the members of the comparison first; empty where nothing does."""
        stages = list(self.other_stages())
        uncertain = self.has_no_key or isinstance(self.plan, BenchError)
        settings = [*self.other_settings(), *self.settings_of_others()] if stages or uncertain else ()
        return list(
            dict.fromkeys([*self.other_members(), *settings, *self.other_files(), *self.other_identity(), *stages])
        )

    def other_members(self) -> list[str]:
        """Return the methods, seeds, tasks and judges that only the comparison or only the run has."""
        evaluation, then = self.comparison.evaluation, self.lock.identity
        found = other_arms_and_seeds(self.comparison, self.summary)
        names = [*(task.NAME for task in evaluation.tasks), *(task.name for task in evaluation.benchmarks)]
        found += one_sided("task", names, then.tasks)
        for use, judges in judges_by_use(self.comparison).items():
            known = [key.partition(":")[2] for key in then.judges if key.startswith(f"{use}:")]
            found += one_sided("judge", [named.label for named in judges], known)
        return found

    def other_stages(self) -> Iterator[str]:
        """Yield how many stages are computed otherwise now, those left out that rest on what is unknown.

        What was run and is asked for no more is a difference too, where everything has a key.
        """
        if isinstance(self.plan, BenchError):
            if not self.absent:
                yield f"it cannot be planned now ({first_line(self.plan)})"
            return
        then, now = self.lock.stages, {key: stage.KIND for key, stage in self.plan.stages.items()}
        added = {key: kind for key, kind in now.items() if key not in then and key not in self.not_known}
        lost = {key: kind for key, kind in then.items() if key not in now and not self.has_no_key}
        if added and lost:
            yield f"{len(lost)} of {counted(len(then), 'stage')} are computed otherwise now ({kinds_of(lost)})"
        elif lost:
            yield f"{len(lost)} of {counted(len(then), 'stage')} are asked for no more ({kinds_of(lost)})"
        elif added:
            yield f"{counted(len(added), 'stage')} of the comparison were not run ({kinds_of(added)})"

    def other_settings(self) -> Iterator[str]:
        """Yield the settings of the run's methods that are others now."""
        for arm in self.comparison.arms:
            facts = self.summary.arms.get(arm.name)
            if facts is None or self.rests_on_unknown(arm.method, {}):
                continue
            lora = None if arm.lora is None else arm.lora.model_dump()
            now = {"replicate": arm.replicate, "lora": lora, **with_defaults(arm)}
            then = {"replicate": facts.replicate, "lora": facts.lora, **facts.fields}
            yield from (f"method {arm.name}, {change}" for change in changed_settings(as_listed(now), as_listed(then)))

    def settings_of_others(self) -> Iterator[str]:
        """Yield the settings of code of others that are not those of the run."""
        for one in self.stand_ins:
            known, written = one.KNOWN, one.fields
            found = [changed_settings(*held_against(then, written, known.defaults)) for then in known.settings]
            if found and all(found):
                fewest = min(map(len, found))
                yield f"{one.code}: other settings ({'; '.join(next(few for few in found if len(few) == fewest))})"

    def other_files(self) -> Iterator[str]:
        """Yield the files, data and models that are here and are not what the run read."""
        for place, now in self.named.items():
            then = {known for name, known in self.lock.read.items() if ends_with(place, name)}
            if place not in self.absent and len(then) == 1 and now not in then:
                yield changed(self.names[place], then.pop(), now)
        for name, now in files_of(self.comparison).items():
            known = self.lock.files.get(name, now)
            if name.endswith(CODE) and known != now:
                yield changed(name, known, now)
        if not self.lock.read:
            yield from self.of_earlier_version("", data_of(self.comparison), self.lock.data)
            models = {} if isinstance(self.plan, BenchError) else models_of(self.plan)
            yield from self.of_earlier_version("model ", models, self.lock.models)

    def of_earlier_version(self, word: str, now: Mapping[str, str], then: Mapping[str, str]) -> Iterator[str]:
        """Yield the data or models that differ, where a lock of an earlier version does not name their files."""
        for name in now.keys() & then.keys():
            here, there = now[name].removeprefix("sha256 "), then[name].removeprefix("sha256 ")
            if here != there and not here.startswith(NOT_KNOWN):
                yield changed(f"{word}{name}", there, here)

    def other_identity(self) -> Iterator[str]:
        """Yield what is measured with something else: prompts, decoding, judges."""
        evaluation, then = self.comparison.evaluation, self.lock.identity
        tasks: dict[str, TaskIdentity] = {}
        for task in evaluation.tasks:
            known = then.tasks.get(task.NAME)
            if known is not None and not isinstance(task, StandIn):
                try:
                    prompts = known.prompts if self.is_absent(task) else prompts_digest(task)
                    tasks[task.NAME] = task_identity(task, prompts)
                except BenchError as error:
                    yield f"task {task.NAME} cannot be read now ({first_line(error)})"
        judges = {
            f"{use}:{named.label}": judge_identity(named, self.comparison)
            for use, all_of in judges_by_use(self.comparison).items()
            for named in all_of
            if not self.rests_on_unknown(named.judge, {})
        }
        stages = stage_versions() if self.has_no_key else {}  # elsewhere the keys of the stages tell
        now = RunIdentity(tasks=tasks, judges=judges, draws=evaluation.draws, orders=evaluation.orders, stages=stages)
        yield from differences(now, then)

    def is_absent(self, value: Any) -> bool:
        """Return whether a file that a value names is not here."""
        return bool(named_files(value).keys() & set(self.absent))

    def asked(self) -> tuple[str, ...]:
        """Return the tasks whose prompts are here and are those that were asked."""
        found = []
        for task in self.comparison.evaluation.tasks:
            then = self.lock.identity.tasks.get(task.NAME)
            if then is not None and not self.is_absent(task) and readable_prompts(task) == then.prompts:
                found.append(task.NAME)
        return tuple(found)

    def lacks_for_conclusions(self) -> bool:
        """Return whether something is not here that conclusions are drawn with.

        A table of the length control, or facts of a judge or task of others that an earlier version did not record.
        Difficulties are joined on the prompts of the tasks, so these are needed beside their table.
        """
        control, tasks = self.comparison.evaluation.length_control, self.comparison.evaluation.tasks
        lost = any(isinstance(task, StandIn) or self.is_absent(task) for task in tasks)
        guessed = any(isinstance(one, Judge | Task) and one.KNOWN.is_guessed for one in self.stand_ins)
        return self.is_absent(control) or (control.difficulty_file is not None and lost) or guessed


def stand_ins_in(value: Any) -> Iterator[StandIn]:
    """Yield what stands in for code of others within a value, stages left out."""
    for part in children(value):
        if isinstance(part, StandIn):
            yield part
        if not isinstance(part, Stage):
            yield from stand_ins_in(part)


def of_package_or_record(one: StandIn) -> str | None:
    """Return the line on code of others of which less is known than of a file that is here, None for any other."""
    if one.KNOWN.is_guessed and one.path is not None and not one.digest.startswith(NOT_KNOWN):
        return f"not compared: the settings and references of {one.code}, of which the run recorded the digest alone"
    if one.path is None and one.digest != one.KNOWN.package:
        now = "is not installed here" if one.digest.startswith(NOT_KNOWN) else f"is of {one.digest} now"
        return f"not compared: {one.code}, which was of the package {one.KNOWN.package or 'unknown'} and {now}"
    return None


def held_against(
    then: Mapping[str, Any], written: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Return the settings as they are now and as they were, as far as both are known.

    Within a setting that has settings, those that are not written are as they were: their defaults are not known.
    """
    now = {name: with_the_rest(item, then[name]) for name, item in {**defaults, **written}.items() if name in then}
    return as_listed(now), as_listed({name: then[name] for name in now})


def with_the_rest(written: Any, then: Any) -> Any:
    """Return what is written, with what was there and is not written, at any depth."""
    if not isinstance(written, Mapping) or not isinstance(then, Mapping):
        return written
    return {**then, **{name: with_the_rest(item, then.get(name)) for name, item in written.items()}}


def other_arms_and_seeds(comparison: Comparison, summary: RunSummary) -> list[str]:
    """Return what a comparison has of methods and seeds that the run had not, and the other way round."""
    found = one_sided("method", [arm.name for arm in comparison.arms], summary.arms)
    if comparison.given.seeds != summary.seeds:
        then, now = (", ".join(map(str, seeds)) for seeds in (summary.seeds, comparison.given.seeds))
        found.append(f"seeds {then} then, {now} now")
    return found


def one_sided(word: str, now: Iterable[str], then: Iterable[str]) -> list[str]:
    """Return a sentence for every name that only the comparison or only the run has."""
    here, there = list(now), list(then)
    return [
        *(f"{word} {name} was not run" for name in here if name not in there),
        *(f"{word} {name} was run and is not in the comparison" for name in there if name not in here),
    ]


def readable_prompts(task: Task) -> str | None:
    """Return the digest of a task's prompts, None where they cannot be read."""
    try:
        return prompts_digest(task)
    except BenchError:
        return None


def changed(name: str, then: str, now: str) -> str:
    """Return the sentence on a file that is another one."""
    return f"{name} was changed ({then[:SHOWN]} then, {now[:SHOWN]} now)"


def as_listed(value: Any) -> dict[str, Any]:
    """Return the settings of a method by their dotted names, with lists as a JSON file gives them back."""
    return {name: list(item) if isinstance(item, tuple) else item for name, item in flat(value).items()}


def kinds_of(stages: Mapping[str, str]) -> str:
    """Return the kinds of stages in words, the most frequent first."""
    return ", ".join(kind for kind, _ in sorted(Counter(stages.values()).items(), key=lambda item: (-item[1], item[0])))


def first_line(error: BenchError) -> str:
    """Return the first line of an error."""
    return str(error).partition("\n")[0]
