"""The AlpacaEval annotations of the shared data: what was published, and the columns to compute it again."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

CALIBRATION = ("tanh_std_delta_len", "instruction_difficulty", "preference_surrogate")


@dataclass(frozen=True)
class Columns:
    preference: np.ndarray
    length: np.ndarray
    baseline_length: np.ndarray
    difficulty: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Columns:
        return Columns(self.preference[rows], self.length[rows], self.baseline_length[rows], self.difficulty[rows])

    @property
    def three(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.preference, self.length, self.baseline_length


@dataclass(frozen=True)
class AlpacaEval:
    models: dict[str, Columns]
    expected: dict[str, dict[str, float]]
    calibration: np.ndarray


def read(folder: Path) -> AlpacaEval:
    """Return the annotations. Difficulty is by row position, as published: for the six models with a gap it is off."""
    place = folder / "alpaca_eval"
    if not (place / "expected.csv").is_file():
        pytest.skip(f"no AlpacaEval annotations in {place}")
    with (place / "instruction_difficulty_recovered.csv").open(encoding="utf-8", newline="") as file:
        difficulty = np.array([float(row["instruction_difficulty"]) for row in csv.DictReader(file)])
    with (place / "df_gamed_surrogate.csv").open(encoding="utf-8", newline="") as file:
        calibration = np.array([[float(row[name]) for name in CALIBRATION] for row in csv.DictReader(file)])
    with (place / "expected.csv").open(encoding="utf-8", newline="") as file:
        expected = {
            row.pop("model"): {key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)
        }
    found: dict[str, list[list[float]]] = {}
    with gzip.open(place / "annotations_compact.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            line = [float(row["preference"]) - 1, float(row["len_2"]), float(row["len_1"])]
            found.setdefault(row["model"], []).append(line)
    models = {}
    for model, lines in found.items():
        y, own, other = np.array(lines).T
        models[model] = Columns(y, own, other, difficulty[: len(y)])
    return AlpacaEval(models, expected, calibration)
