"""How the arms are scored: tasks, judges, and the pairs that the statistics will test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.config.comparison import Arm, Evaluation, Labelling, Named
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.config.fields.data_sources import COLUMNS, PREFERENCES, read_data
from bench.config.fields.named_plugins import read_any_judge, read_plugin
from bench.config.sections.factuality import FACTUALITY, read_factuality
from bench.config.sections.gap_closed import check_gaps, read_gaps
from bench.config.sections.length_control import check_length_control, read_length_control
from bench.config.sections.lm_eval import is_lm_eval, read_lm_eval
from bench.config.sections.methods import repeated_by
from bench.config.sections.tax import default_tax, read_tax
from bench.core.benchmark import LmEvalTask
from bench.core.data import Data, Mixture
from bench.core.datasets import is_unpaired
from bench.core.errors import BenchError, did_you_mean
from bench.core.metrics import RATING, WIN_RATE
from bench.core.plugins import TASK
from bench.core.task import Task

LENGTH_CONTROL = "length_control"
WIN_RATE_KEYS = ("judges", "versus", "orders", LENGTH_CONTROL, "retest")
EVALUATE_KEYS = (
    "tasks", "draws", "win_rate", "ratings", "divergence", "labelling", FACTUALITY, "measurements",
    "contrasts", "gap_closed", "tax"
)  # fmt: skip
LABELLING_KEYS = ("data", "judges", "limit")
FROM, LABEL = "from", "name"
REWARD_MODEL, OF = "reward_model", "of"  # the judge that takes its model from an arm, and the field that names it
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_ROOT: KeyPath = ("evaluate",)
ArmPair = tuple[str, str]


@dataclass(frozen=True)
class Scoring:
    """What ``evaluate`` says, the contrasts not yet resolved. ``versus`` is None without a win rate."""

    tasks: tuple[Task, ...]
    judges: tuple[Named, ...]
    versus: str | None
    declared: tuple[ArmPair, ...]
    settings: dict[str, Any]

    @property
    def length_controlled(self) -> bool:
        """Whether there is a win rate at equal length beside the plain one."""
        return "length_control" in self.settings and self.settings["length_control"].model != "none"

    def evaluation(self, arms: tuple[Arm, ...], gate: Sequence[ArmPair]) -> Evaluation:
        """Return the evaluation with its contrasts: default ones, explicit ones, and those that the gate needs."""
        contrasts = contrasts_of(arms, self.versus, self.declared, gate)
        settings = self.settings
        if settings.get("benchmarks") and "tax" not in settings:
            settings = {**settings, "tax": default_tax(arms)}
        return Evaluation(
            tasks=self.tasks, judges=self.judges, contrasts=contrasts, versus=self.versus, **settings
        )  # fmt: skip


def read_evaluation(section: Section, value: Any, names: Sequence[str]) -> Scoring | None:
    """Return how the arms of those names are scored; None when the section is no mapping. Problems are reported."""
    fields = section.keys(_ROOT, value, EVALUATE_KEYS, required=("tasks",))
    if fields is None:
        return None
    settings: dict[str, Any] = {}
    tasks: dict[KeyPath, Task] = {}
    if "tasks" in fields:
        tasks, benchmarks = _tasks(section, fields["tasks"])
        settings["benchmarks"] = tuple(benchmarks.values())
        names_of_tasks = {path: task.NAME for path, task in tasks.items()}
        _refuse_repeated(
            section, {**names_of_tasks, **{path: task.name for path, task in benchmarks.items()}}, "keep one"
        )
    settings |= section.settings(Evaluation, _ROOT, fields, ("draws",))
    judges: tuple[Named, ...] = ()
    versus = None
    if "win_rate" in fields:
        judges, versus = _win_rate(section, fields["win_rate"], names, settings)
        check_length_control(section, settings.get(LENGTH_CONTROL), versus, tuple(tasks.values()))
    if "ratings" in fields:
        settings["ratings"] = _judges(section, (*_ROOT, "ratings"), fields["ratings"], names, "rate")
    if "divergence" in fields:
        settings["divergence"] = _divergence(section, fields["divergence"], names)
    if "labelling" in fields:
        settings["labelling"] = _labelling(section, fields["labelling"], names)
    if FACTUALITY in fields:
        settings[FACTUALITY] = read_factuality(section, (*_ROOT, FACTUALITY), fields[FACTUALITY], tuple(tasks.values()))
    if "measurements" in fields:
        settings["measurements"] = _measurements(section, fields["measurements"])
    _need_answers(section, fields, answered=bool(tasks), lm_eval=bool(settings.get("benchmarks")))
    declared = _contrasts(section, fields["contrasts"], names) if "contrasts" in fields else ()
    if "gap_closed" in fields:
        gaps = read_gaps(section, (*_ROOT, "gap_closed"), fields["gap_closed"], names, check_arm)
        known = {WIN_RATE.name: judges, RATING.name: settings.get("ratings", ())}
        check_gaps(section, gaps, tuple(tasks.values()), known)
        settings["gap_closed"] = tuple(gaps.values())
    if "tax" in fields:
        settings["tax"] = read_tax(section, (*_ROOT, "tax"), fields["tax"], names, check_arm)
        if "tasks" in fields and not settings.get("benchmarks") and settings["tax"] is not None:
            what = "there is no alignment tax without a task of lm-eval"
            section.problem((*_ROOT, "tax"), what, "add `{lm_eval: NAME}` under `tasks:`, or leave this out")
    return Scoring(tuple(tasks.values()), judges, versus, declared, settings)


def contrasts_of(
    arms: tuple[Arm, ...], versus: str | None, declared: Sequence[ArmPair], gate: Sequence[ArmPair]
) -> tuple[ArmPair, ...]:
    """Return the pairs to test, each once, in order.

    Every arm against ``versus`` (the first arm without one), every replicate against the arm it repeats, then the
    pairs asked for and those of the gate. A default pair that is asked for the other way round is turned.
    """
    against = versus if versus is not None else arms[0].name
    default = [(arm.name, against) for arm in arms if arm.name != against]
    for arm in arms:
        twin = repeated_by(arm, arms)
        if twin is not None:
            default.append((arm.name, twin.name))
    wanted = {*declared, *gate}
    turned = [(b, a) if (b, a) in wanted and (a, b) not in wanted else (a, b) for a, b in default]
    # Two replicates of one another give one pair, whichever comes first.
    once: dict[frozenset[str], ArmPair] = {}
    for pair in turned:
        once.setdefault(frozenset(pair), pair)
    return tuple(dict.fromkeys([*once.values(), *declared, *gate]))


def check_arm(section: Section, path: KeyPath, name: Any, names: Sequence[str]) -> bool:
    """Return whether a value names an arm; the problem is noted when it does not."""
    if not isinstance(name, str):
        section.problem(path, f"must be the name of a method of this file, not {as_written(name)}")
        return False
    if name not in names:
        section.problem(path, f"no method '{name}' in this file. {did_you_mean(name, names)}")
        return False
    return True


def _measurements(section: Section, value: Any) -> tuple[str, ...]:
    """Return the names of further measurements, a file's by its whole path; planning finds them."""
    found: dict[KeyPath, str] = {}
    for number, item in enumerate(section.items((*_ROOT, "measurements"), value, "name")):
        path = (*_ROOT, "measurements", number)
        if not isinstance(item, str):
            section.problem(path, f"must be the name of a measurement or a .py file, not {as_written(item)}")
        elif not item.endswith(".py"):
            found[path] = item
        elif (file := section.resolve(path, item)).is_file() or section.files.lacks(file):
            found[path] = str(file)
        else:
            section.problem(path, f"{item}: no such file", "the path starts from the folder of the file it is in")
    _refuse_repeated(section, found, "keep one")
    return tuple(found.values())


def _refuse_repeated(section: Section, names: Mapping[KeyPath, str], next_step: str) -> None:
    seen: set[str] = set()
    for path, name in names.items():
        if name in seen:
            section.problem(path, f"'{name}' stands twice", f"rows are told apart by this name: {next_step}")
        seen.add(name)


def _tasks(section: Section, value: Any) -> tuple[dict[KeyPath, Task], dict[KeyPath, LmEvalTask]]:
    """Return the tasks that are answered and those of lm-eval by key path; what is wrong with one is reported."""
    path = (*_ROOT, "tasks")
    tasks: dict[KeyPath, Task] = {}
    benchmarks: dict[KeyPath, LmEvalTask] = {}
    for index, item in enumerate(section.items(path, value, "task")):
        here = (*path, index)
        if is_lm_eval(item):
            benchmark = read_lm_eval(section, here, item)
            if benchmark is not None:
                benchmarks[here] = benchmark
        else:
            task = read_plugin(section, here, item, TASK)
            if task is not None:
                tasks[here] = task
    return tasks, benchmarks


def _need_answers(section: Section, fields: Mapping[str, Any], *, answered: bool, lm_eval: bool) -> None:
    """Report what looks at answers where there is nothing but tasks of lm-eval, which keeps them to itself."""
    for name in ("win_rate", "ratings", "divergence", FACTUALITY):
        if name in fields and lm_eval and not answered:
            what = f"{name} looks at answers, and a task of lm-eval leaves none"
            section.problem((*_ROOT, name), what, "add a task of the bench under `tasks:`, or leave this out")


def _judges(
    section: Section, path: KeyPath, value: Any, names: Sequence[str], kind: Literal["compare", "rate"] = "compare"
) -> tuple[Named, ...]:
    """Return the judges of a list, each under its ``name`` or else its own; those that are wrong left out and reported.

    ``kind``: how they will be asked.
    """
    found: dict[KeyPath, Named] = {}
    clean: dict[KeyPath, str] = {}
    for index, item in enumerate(section.items(path, value, "judge")):
        here, before = (*path, index), section.count
        judge = read_any_judge(section, here, item, beside=(LABEL,))
        label = item.get(LABEL) if isinstance(item, dict) and LABEL in item else None
        if isinstance(item, dict) and LABEL in item and not (isinstance(label, str) and _LABEL.fullmatch(label)):
            what = f"must be a name for the judge, not {as_written(label)}"
            section.problem((*here, LABEL), what, "use letters, digits, '_' and '-'")
        elif judge is not None:
            found[here] = Named(label=label or judge.NAME, judge=judge)
        if judge is not None and judge.NAME == REWARD_MODEL and judge.takes_from_arm():
            check_arm(section, (*here, OF), getattr(judge, OF, None), names)
        try:
            if judge is not None:
                judge.check(kind)
        except BenchError as error:
            section.unusable(here, error)
        if here in found and section.count == before:
            clean[here] = found[here].label
    _refuse_repeated(section, clean, "keep one, or add `name: ...` to one")
    return tuple(found.values())


def _win_rate(
    section: Section, value: Any, names: Sequence[str], settings: dict[str, Any]
) -> tuple[tuple[Named, ...], str | None]:
    path = (*_ROOT, "win_rate")
    fields = section.keys(path, value, WIN_RATE_KEYS, required=("judges", "versus"))
    if fields is None:
        return (), None
    judges = _judges(section, (*path, "judges"), fields["judges"], names) if "judges" in fields else ()
    whole = isinstance(fields.get("judges"), list) and len(fields["judges"]) == len(judges)
    if judges and whole and all(named.judge.NAME == REWARD_MODEL and named.judge.takes_from_arm() for named in judges):
        what = "a policy must not be judged only by the reward model it learnt from: add another judge"
        section.problem((*path, "judges"), what)
    settings |= section.settings(Evaluation, path, fields, ("orders", "retest"))
    if LENGTH_CONTROL in fields:
        control = read_length_control(section, (*path, LENGTH_CONTROL), fields[LENGTH_CONTROL], names, check_arm)
        settings |= {} if control is None else {LENGTH_CONTROL: control}
    versus = fields.get("versus")
    right = "versus" in fields and check_arm(section, (*path, "versus"), versus, names)
    return judges, versus if right else None


def _divergence(section: Section, value: Any, names: Sequence[str]) -> str | None:
    path = (*_ROOT, "divergence")
    fields = section.keys(path, value, (FROM,), required=(FROM,)) or {}
    right = FROM in fields and check_arm(section, (*path, FROM), fields[FROM], names)
    return fields[FROM] if right else None


def _labelling(section: Section, value: Any, names: Sequence[str]) -> Labelling | None:
    path = (*_ROOT, "labelling")
    fields = section.keys(path, value, LABELLING_KEYS, required=("data", "judges"))
    if fields is None:
        return None
    source = fields.get("data")
    data = read_data(section, (*path, "data"), source, COLUMNS[PREFERENCES]) if "data" in fields else None
    if data is not None and is_unpaired(data):
        what = "labels each response on its own, and judges label pairs"
        section.problem((*path, "data"), what, "give pairs: `prompt`, `chosen` and `rejected`")
        data = None
    judges = _judges(section, (*path, "judges"), fields["judges"], names) if "judges" in fields else ()
    if "limit" in fields:
        if isinstance(data, Mixture):
            section.problem((*path, "limit"), "several files have a limit each", "write it beside their paths")
        elif isinstance(source, dict) and "limit" in source:
            section.problem((*path, "limit"), "the data has a limit of its own", "keep one of the two")
        elif not section.field(Data, "limit", (*path, "limit"), fields["limit"]):
            return None
        elif data is not None:
            data = data.model_copy(update={"limit": fields["limit"]})
    return Labelling(data=data, judges=judges) if data is not None and judges else None


def _contrasts(section: Section, value: Any, names: Sequence[str]) -> tuple[ArmPair, ...]:
    path = (*_ROOT, "contrasts")
    found: list[ArmPair] = []
    for index, item in enumerate(section.items(path, value, "pair [a, b]")):
        here = (*path, index)
        if not isinstance(item, list) or len(item) != 2:
            got = f"a list of {len(item)}" if isinstance(item, list) else as_written(item)
            section.problem(here, f"must be a pair of methods [a, b], not {got}")
            continue
        if not all([check_arm(section, (*here, at), name, names) for at, name in enumerate(item)]):
            continue
        a, b = item
        if a == b:
            section.problem(here, f"'{a}' cannot be held against itself", "name two methods")
        elif (a, b) in found or (b, a) in found:
            section.problem(here, f"the pair of '{a}' and '{b}' stands twice", "remove one of the two")
        else:
            found.append((a, b))
    return tuple(found)
