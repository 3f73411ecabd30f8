"""``evaluate.win_rate.length_control``: what arrives, and what is told with its line and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.comparison import Comparison, LengthControl
from bench.config.load import load_comparison
from bench.core.errors import ConfigError
from bench.core.frozen import digest
from tests.config.conftest import RIGHT

BY_ID = "{model: glm, difficulty: by_id, difficulty_file: difficulty.csv}"
WRONG = {
    "model": ("glmm #!", "length_control", "Did you mean 'glm'?"),
    "number": ("3 #!", "length_control", "not 3"),
    "no model": ("{difficulty: estimated} #!", "length_control.model", "is missing"),
    "key": ("{model: glm, dificulty: estimated} #!", "length_control.dificulty", "Did you mean 'difficulty'?"),
    "difficulty": ("{model: glm, difficulty: guessed} #!", "length_control.difficulty", "'estimated'"),
    "another model": ("{model: ratio, difficulty: estimated} #!", "length_control.difficulty", "only the model glm"),
    "no file": ("{model: glm, difficulty: by_id} #!", "length_control.difficulty", "add `difficulty_file: FILE.csv`"),
    "unread file": ("{model: glm, difficulty_file: difficulty.csv} #!", "length_control.difficulty_file",
                    "add `difficulty: by_id`"),
    "file missing": ("{model: glm, difficulty: by_id, difficulty_file: none.csv} #!",
                     "length_control.difficulty_file", "no such file"),
    "file number": ("{model: glm, difficulty: by_id, difficulty_file: 3} #!",
                    "length_control.difficulty_file", "must be the path of a file, not 3"),
    "by position": ("{model: glm, difficulty: by_id, difficulty_file: position.csv} #!",
                    "length_control.difficulty_file", "never on the row's position"),
    "other prompts": ("{model: glm, difficulty: by_id, difficulty_file: other.csv} #!",
                      "length_control.difficulty_file", "1 of 1 prompts have no difficulty in the file ('hello')"),
    "calibration arm": ("{model: glm, calibration: [tund]} #!", "length_control.calibration.0",
                        "Did you mean 'tuned'?"),
    "calibrated by versus": ("{model: glm, calibration: [floor]} #!", "length_control.calibration",
                             "no verdicts of its own"),
    "calibration file": ("{model: glm, calibration: difficulty.csv} #!", "length_control.calibration",
                         "needs a column preference"),
    "two scales": ("{model: glm, difficulty: estimated, calibration: calibration.csv} #!",
                   "length_control.calibration", "different scales"),
}  # fmt: skip


@pytest.fixture
def tables(place: Path) -> Path:
    (place / "difficulty.csv").write_text("instruction,instruction_difficulty\nhello,0.5\n")
    (place / "by_prompt_id.csv").write_text("instruction,instruction_difficulty\np,0.5\n")
    (place / "other.csv").write_text("instruction,instruction_difficulty\ngoodbye,0.5\n")
    (place / "position.csv").write_text("row,instruction_difficulty\n0,0.5\n")
    rows = "tanh_std_delta_len,instruction_difficulty,preference\n0.5,0.1,0.3\n"
    (place / "calibration.csv").write_text(rows)
    return place


def load(folder: Path, control: str) -> Comparison:
    assert "length_control: glm" in RIGHT
    text = RIGHT.replace("length_control: glm", f"length_control: {control}")
    (folder / "comparison.yaml").write_text(text, encoding="utf-8")
    return load_comparison(folder)


@pytest.mark.parametrize("model", ["none", "glm", "ratio", "log_ratio", "matched"])
def test_a_name_is_enough(tables: Path, model: str) -> None:
    found = load(tables, model).evaluation.length_control
    assert found == LengthControl(model=model)  # type: ignore[arg-type]
    assert load(tables, f"{{model: {model}}}").evaluation.length_control == found


def test_files_and_methods_arrive(tables: Path) -> None:
    found = load(tables, BY_ID).evaluation.length_control
    assert found.difficulty_file is not None
    assert Path(found.difficulty_file.path) == tables / "difficulty.csv"
    by_id = load(tables, BY_ID.replace("difficulty.csv", "by_prompt_id.csv")).evaluation.length_control
    assert by_id.difficulty_file is not None
    assert digest(by_id) != digest(found)
    arms = load(tables, "{model: glm, difficulty: estimated, calibration: [tuned, again, tuned]}")
    assert arms.evaluation.length_control.calibration_arms == ("tuned", "again")
    rows = load(tables, "{model: glm, calibration: calibration.csv}").evaluation.length_control
    assert rows.calibration is not None
    assert rows.calibration_arms == ()


def test_a_changed_file_is_another_comparison(tables: Path) -> None:
    before = load(tables, BY_ID)
    (tables / "difficulty.csv").write_text("instruction,instruction_difficulty\nhello,0.75\n")
    assert digest(load(tables, BY_ID)) != digest(before)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(tables: Path, name: str) -> None:
    control, path, what = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        load(tables, control)
    message = str(caught.value)
    problems = [line for line in message.split("\n") if f"evaluate.win_rate.{path}" in line]
    assert problems, message
    assert what in message
    line = next(number for number, text in enumerate(RIGHT.split("\n"), start=1) if "length_control" in text)
    assert f":{line}" in problems[0]
