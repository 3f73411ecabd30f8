"""``evaluate.win_rate.length_control``: the model of the win rate at equal length, and what it may read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.config.comparison import LengthControl, Table
from bench.config.document.problems import KeyPath
from bench.config.document.section import Sheet, said
from bench.config.fields.files import digest_of
from bench.config.fields.length_tables import difficulty_of, read_calibration, read_difficulty
from bench.core.errors import BenchError
from bench.core.task import Task

MODEL, DIFFICULTY, DIFFICULTY_FILE, CALIBRATION = "model", "difficulty", "difficulty_file", "calibration"
KEYS = (MODEL, DIFFICULTY, DIFFICULTY_FILE, CALIBRATION)
ROOT: KeyPath = ("evaluate", "win_rate", "length_control")
Check = Callable[[Sheet, KeyPath, Any, Sequence[str]], bool]


def read_length_control(
    sheet: Sheet, path: KeyPath, value: Any, names: Sequence[str], check_arm: Check
) -> LengthControl | None:
    """Return the length control that a name or a mapping asks for, None (and told) when it is wrong."""
    if not isinstance(value, dict):
        return LengthControl(model=value) if sheet.field(LengthControl, MODEL, path, value) else None
    section = sheet.keys(path, value, KEYS, required=(MODEL,))
    if section is None or MODEL not in section:
        return None
    before = sheet.count
    found: dict[str, Any] = {}
    for key in (MODEL, DIFFICULTY):
        if key in section and sheet.field(LengthControl, key, (*path, key), section[key]):
            found[key] = section[key]
    if DIFFICULTY_FILE in section:
        found[DIFFICULTY_FILE] = _table(sheet, (*path, DIFFICULTY_FILE), section[DIFFICULTY_FILE], read_difficulty)
    given = section.get(CALIBRATION)
    if isinstance(given, list):
        arms = sheet.items((*path, CALIBRATION), given, "method")
        if all([check_arm(sheet, (*path, CALIBRATION, at), name, names) for at, name in enumerate(arms)]):
            found["calibration_arms"] = tuple(dict.fromkeys(arms))
    elif given is not None:
        found[CALIBRATION] = _table(sheet, (*path, CALIBRATION), given, read_calibration)
    _check_together(sheet, path, section)
    return LengthControl(**found) if sheet.count == before else None


def check_length_control(
    sheet: Sheet, control: LengthControl | None, versus: str | None, tasks: Sequence[Task]
) -> None:  # fmt: skip
    """Tell a calibration by the arm that all are held against, and prompts that the difficulty file does not know."""
    if control is None:
        return
    if versus in control.calibration_arms:
        what = f"'{versus}' is what all are held against, so it has no verdicts of its own"
        sheet.problem((*ROOT, CALIBRATION), what, "name versions of it that were made verbose or concise")
    if control.difficulty_file is not None:
        known = read_difficulty(Path(control.difficulty_file.path))
        for task in tasks:
            try:
                difficulty_of(task.prompts(), known)
            except BenchError as error:
                sheet.refused((*ROOT, DIFFICULTY_FILE), BenchError(f"task {task.NAME}: {error}"))


def _check_together(sheet: Sheet, path: KeyPath, section: dict[str, Any]) -> None:
    model, difficulty = section[MODEL], section.get(DIFFICULTY, "none")
    for key in KEYS[1:]:
        if key in section and model != "glm":
            sheet.problem((*path, key), f"only the model glm reads this, and this one is {said(model)}", "remove it")
            return
    if difficulty == "by_id" and DIFFICULTY_FILE not in section:
        what = "needs a file of difficulties"
        sheet.problem((*path, DIFFICULTY), what, f"add `{DIFFICULTY_FILE}: FILE.csv`, or write `difficulty: estimated`")
    if difficulty != "by_id" and DIFFICULTY_FILE in section:
        sheet.problem((*path, DIFFICULTY_FILE), "nothing reads this file", "add `difficulty: by_id`")
    if difficulty == "estimated" and isinstance(section.get(CALIBRATION), str):
        what = "the file's difficulties and those estimated here are on different scales"
        sheet.problem((*path, CALIBRATION), what, "calibrate by methods of this file, or use difficulty: by_id or none")


def _table(sheet: Sheet, path: KeyPath, value: Any, read: Callable[[Path], Any]) -> Table | None:
    if not isinstance(value, str):
        sheet.problem(path, f"must be the path of a file, not {said(value)}")
        return None
    file = sheet.resolve(path, value)
    try:
        read(file)
        return Table(path=str(file), digest=digest_of(file))
    except BenchError as error:
        sheet.refused(path, error)
        return None
