"""``evaluate.win_rate.length_control``: the model of the win rate at equal length, and what it may read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.config.comparison import LengthControl, StatisticsTable
from bench.config.document.problems import KeyPath
from bench.config.document.section import Section, as_written
from bench.config.fields.length_tables import difficulty_of, read_calibration, read_difficulty
from bench.config.fields.named_files import digest_of
from bench.core.errors import BenchError
from bench.core.task import Task

MODEL, DIFFICULTY, DIFFICULTY_FILE, CALIBRATION = KEYS = ("model", "difficulty", "difficulty_file", "calibration")
ROOT: KeyPath = ("evaluate", "win_rate", "length_control")
Check = Callable[[Section, KeyPath, Any, Sequence[str]], bool]


def read_length_control(
    section: Section, path: KeyPath, value: Any, names: Sequence[str], check_arm: Check
) -> LengthControl | None:
    """Return the length control that a name or a mapping asks for, None (and reported) when it is wrong."""
    if not isinstance(value, dict):
        return LengthControl(model=value) if section.field(LengthControl, MODEL, path, value) else None
    fields = section.keys(path, value, KEYS, required=(MODEL,))
    if fields is None or MODEL not in fields:
        return None
    before = section.count
    found = section.settings(LengthControl, path, fields, (MODEL, DIFFICULTY))
    if DIFFICULTY_FILE in fields:
        found[DIFFICULTY_FILE] = _table(section, (*path, DIFFICULTY_FILE), fields[DIFFICULTY_FILE], read_difficulty)
    given = fields.get(CALIBRATION)
    if isinstance(given, list):
        arms = section.items((*path, CALIBRATION), given, "method")
        if all([check_arm(section, (*path, CALIBRATION, at), name, names) for at, name in enumerate(arms)]):
            found["calibration_arms"] = tuple(dict.fromkeys(arms))
    elif given is not None:
        found[CALIBRATION] = _table(section, (*path, CALIBRATION), given, read_calibration)
    _check_together(section, path, fields)
    return LengthControl(**found) if section.count == before else None


def check_length_control(
    section: Section, control: LengthControl | None, versus: str | None, tasks: Sequence[Task]
) -> None:  # fmt: skip
    """Report a calibration by the arm that all are held against, and prompts that the difficulty file does not know."""
    if control is None:
        return
    if versus in control.calibration_arms:
        what = f"'{versus}' is what all are held against, so it has no verdicts of its own"
        section.problem((*ROOT, CALIBRATION), what, "name versions of it that were made verbose or concise")
    if control.difficulty_file is not None:
        for task in tasks:
            try:
                difficulty_of(task.prompts(), read_difficulty(Path(control.difficulty_file.path)))
            except BenchError as error:
                section.unusable((*ROOT, DIFFICULTY_FILE), BenchError(f"task {task.NAME}: {error}"))


def _check_together(section: Section, path: KeyPath, fields: dict[str, Any]) -> None:
    model, difficulty = fields[MODEL], fields.get(DIFFICULTY, "none")
    for key in KEYS[1:]:
        if key in fields and model != "glm":
            section.problem(
                (*path, key), f"only the model glm reads this, and this one is {as_written(model)}", "remove it"
            )
            return
    if difficulty == "by_id" and DIFFICULTY_FILE not in fields:
        what = "needs a file of difficulties"
        section.problem(
            (*path, DIFFICULTY), what, f"add `{DIFFICULTY_FILE}: FILE.csv`, or write `difficulty: estimated`"
        )
    if difficulty != "by_id" and DIFFICULTY_FILE in fields:
        section.problem((*path, DIFFICULTY_FILE), "nothing reads this file", "add `difficulty: by_id`")
    if difficulty == "estimated" and isinstance(fields.get(CALIBRATION), str):
        what = "the file's difficulties and those estimated here are on different scales"
        section.problem(
            (*path, CALIBRATION), what, "calibrate by methods of this file, or use difficulty: by_id or none"
        )


def _table(section: Section, path: KeyPath, value: Any, read: Callable[[Path], Any]) -> StatisticsTable | None:
    if not isinstance(value, str):
        section.problem(path, f"must be the path of a file, not {as_written(value)}")
        return None
    file = section.resolve(path, value)

    def checked() -> str:
        read(file)
        return digest_of(file)

    try:
        return StatisticsTable(path=str(file), digest=section.files.digest(file, checked))
    except BenchError as error:
        section.refused(path, error)
        return None
