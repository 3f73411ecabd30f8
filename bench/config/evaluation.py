"""How the arms are scored: tasks, judges, and the pairs that the statistics will test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench import discover
from bench.config.arms import repeated_by
from bench.config.comparison import Arm, Evaluation
from bench.config.findings import KeyPath
from bench.config.plugins import read_plugins
from bench.config.sheet import Sheet, said
from bench.core.errors import did_you_mean
from bench.core.judge import Judge
from bench.core.task import Task

ARM_KEYS = ("tasks", "draws", "win_rate", "contrasts")
WIN_RATE_KEYS = ("judges", "versus", "orders")
_ROOT: KeyPath = ("evaluate",)
Pair = tuple[str, str]


@dataclass(frozen=True)
class Scoring:
    """What ``evaluate`` says, the contrasts not yet resolved. ``versus`` is None without a win rate."""

    tasks: tuple[Task, ...]
    judges: tuple[Judge, ...]
    versus: str | None
    asked: tuple[Pair, ...]
    settings: dict[str, Any]

    def evaluation(self, arms: tuple[Arm, ...], gate: Sequence[Pair]) -> Evaluation:
        """Return the evaluation with its contrasts: default ones, explicit ones, and those that the gate needs."""
        contrasts = contrasts_of(arms, self.versus, self.asked, gate)
        return Evaluation(tasks=self.tasks, judges=self.judges, contrasts=contrasts, **self.settings)


def read_evaluation(sheet: Sheet, value: Any, names: Sequence[str]) -> Scoring | None:
    """Return how the arms of those names are scored; None when the section is no mapping. Problems are told."""
    section = sheet.keys(_ROOT, value, ARM_KEYS, required=("tasks",))
    if section is None:
        return None
    settings: dict[str, Any] = {}
    tasks: dict[KeyPath, Task] = {}
    if "tasks" in section:
        tasks = read_plugins(sheet, (*_ROOT, "tasks"), section["tasks"], "task", discover.task)
        _names_once(sheet, tasks)
    if "draws" in section and sheet.field(Evaluation, "draws", (*_ROOT, "draws"), section["draws"]):
        settings["draws"] = section["draws"]
    judges: dict[KeyPath, Judge] = {}
    versus = None
    if "win_rate" in section:
        judges, versus = _win_rate(sheet, section["win_rate"], names, settings)
    asked = _contrasts(sheet, section["contrasts"], names) if "contrasts" in section else ()
    return Scoring(tuple(tasks.values()), tuple(judges.values()), versus, asked, settings)


def contrasts_of(
    arms: tuple[Arm, ...], versus: str | None, asked: Sequence[Pair], gate: Sequence[Pair]
) -> tuple[Pair, ...]:
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
    wanted = {*asked, *gate}
    turned = [(b, a) if (b, a) in wanted and (a, b) not in wanted else (a, b) for a, b in default]
    # Two replicates of one another give one pair, whichever comes first.
    once: dict[frozenset[str], Pair] = {}
    for pair in turned:
        once.setdefault(frozenset(pair), pair)
    return tuple(dict.fromkeys([*once.values(), *asked, *gate]))


def check_arm(sheet: Sheet, path: KeyPath, name: Any, names: Sequence[str]) -> bool:
    """Tell whether a value names an arm; the problem is noted when it does not."""
    if not isinstance(name, str):
        sheet.problem(path, f"must be the name of a method of this file, not {said(name)}")
        return False
    if name not in names:
        sheet.problem(path, f"no method '{name}' in this file. {did_you_mean(name, names)}")
        return False
    return True


def _names_once(sheet: Sheet, plugins: dict[KeyPath, Task] | dict[KeyPath, Judge]) -> None:
    seen: set[str] = set()
    for path, plugin in plugins.items():
        if plugin.NAME in seen:
            sheet.problem(path, f"'{plugin.NAME}' stands twice", "rows are told apart by this name: keep one")
        seen.add(plugin.NAME)


def _win_rate(
    sheet: Sheet, value: Any, names: Sequence[str], settings: dict[str, Any]
) -> tuple[dict[KeyPath, Judge], str | None]:
    path = (*_ROOT, "win_rate")
    section = sheet.keys(path, value, WIN_RATE_KEYS, required=("judges", "versus"))
    if section is None:
        return {}, None
    judges: dict[KeyPath, Judge] = {}
    if "judges" in section:
        judges = read_plugins(sheet, (*path, "judges"), section["judges"], "judge", discover.judge)
        _names_once(sheet, judges)
    if "orders" in section and sheet.field(Evaluation, "orders", (*path, "orders"), section["orders"]):
        settings["orders"] = section["orders"]
    versus = section.get("versus")
    right = "versus" in section and check_arm(sheet, (*path, "versus"), versus, names)
    return judges, versus if right else None


def _contrasts(sheet: Sheet, value: Any, names: Sequence[str]) -> tuple[Pair, ...]:
    path = (*_ROOT, "contrasts")
    found: list[Pair] = []
    for index, item in enumerate(sheet.items(path, value, "pair [a, b]")):
        here = (*path, index)
        if not isinstance(item, list) or len(item) != 2:
            got = f"a list of {len(item)}" if isinstance(item, list) else said(item)
            sheet.problem(here, f"must be a pair of methods [a, b], not {got}")
            continue
        if not all([check_arm(sheet, (*here, at), name, names) for at, name in enumerate(item)]):
            continue
        a, b = item
        if a == b:
            sheet.problem(here, f"'{a}' cannot be held against itself", "name two methods")
        elif (a, b) in found or (b, a) in found:
            sheet.problem(here, f"the pair of '{a}' and '{b}' stands twice", "remove one of the two")
        else:
            found.append((a, b))
    return tuple(found)
