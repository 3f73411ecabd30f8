"""What the length control of a comparison's win rates reads beside preferences and lengths: difficulty, calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.config.comparison import Comparison
from bench.config.fields.length_tables import difficulty_of, read_calibration, read_difficulty
from bench.statistics.crossing.crossing import Crossing, RecordIndex, Request, cells
from bench.statistics.length.difficulty import estimated_difficulty
from bench.statistics.tests.confidence import FloatArray

TASK, CHARACTERS = "task", "response_characters"


@dataclass(frozen=True)
class Beside:
    """The covariates of one contrast. ``difficulty`` is (prompts, seeds); ``calibration`` one table of rows per seed.

    ``notes`` say in words what was used, and why something was left out.
    """

    difficulty: FloatArray | None = None
    calibration: tuple[FloatArray, ...] | None = None
    notes: tuple[str, ...] = ()


class Covariates:
    """Difficulty and calibration for every contrast of a comparison; each pair's rows are read once."""

    def __init__(self, index: RecordIndex, comparison: Comparison) -> None:
        self._index = index
        self._comparison = comparison
        self._control = comparison.evaluation.length_control
        self._pairs: dict[Request, Crossing] = {}

    def of(self, request: Request, prompts: Sequence[str]) -> Beside:
        """Return what the control asks for, for the win rate that ``request`` names, over these prompts."""
        difficulty, note = self._difficulty(request, prompts)
        calibration, more = self._calibration(request, with_difficulty=difficulty is not None)
        return Beside(difficulty, calibration, (note, more))

    def pair(self, request: Request) -> Crossing:
        """Return the verdicts or the lengths of a pair, incomplete prompts dropped."""
        if request not in self._pairs:
            self._pairs[request] = cells(self._index, request, "drop_prompts")
        return self._pairs[request]

    def others(self, request: Request) -> list[Request]:
        """Return the win rates of all other arms against the same one, by the same judge on the same task."""
        names = [arm.name for arm in self._comparison.arms if arm.name not in (request.a, request.b)]
        return [one for name in names if self.judged(one := dataclasses.replace(request, a=name))]

    def judged(self, request: Request) -> bool:
        """Return whether a pair has a prompt with all its verdicts; a seed that failed leaves none."""
        there = self._index.has_pair(request) or self._index.has_pair(_turned(request))
        return there and bool(self.pair(request).prompts)

    def _difficulty(self, request: Request, prompts: Sequence[str]) -> tuple[FloatArray | None, str]:
        if self._control.difficulty == "by_id":
            known = self._known[request.task]
            by_prompt = np.array([known[prompt] for prompt in prompts])
            return np.repeat(by_prompt[:, None], len(request.seeds), axis=1), "difficulty by id"
        if self._control.difficulty == "estimated":
            others = self.others(request)
            if not others:
                return None, f"difficulty left out: no other method was judged against {request.b}"
            rows = [np.full((len(prompts), len(request.seeds)), np.nan)]
            rows += [_placed(self.pair(one), prompts, len(request.seeds)) for one in others]
            table = np.stack(rows)
            columns = [estimated_difficulty(table[:, :, seed], 0) for seed in range(len(request.seeds))]
            word = "method" if len(others) == 1 else "methods"
            return np.column_stack(columns), f"difficulty estimated from {len(others)} other {word}"
        return None, "difficulty not in the model"

    def _calibration(self, request: Request, *, with_difficulty: bool) -> tuple[tuple[FloatArray, ...] | None, str]:
        if self._control.calibration is not None:
            rows = np.array(read_calibration(Path(self._control.calibration.path)))
            return (rows,) * len(request.seeds), f"{len(rows)} calibration rows from a file"
        versus = self._comparison.evaluation.versus
        if self._control.calibration_arms and request.b != versus:
            return None, f"no calibration rows: those there are tell about {versus} as the baseline"
        arms = [arm for arm in self._control.calibration_arms if arm not in (request.a, request.b)]
        arms = [arm for arm in arms if self.judged(dataclasses.replace(request, a=arm))]
        if not arms:
            return None, "no calibration rows"
        tables = [self._rows_of(dataclasses.replace(request, a=arm), with_difficulty=with_difficulty) for arm in arms]
        joined = tuple(np.concatenate(parts) for parts in zip(*tables, strict=True))
        return joined, f"calibrated on {', '.join(arms)}"

    def _rows_of(self, request: Request, *, with_difficulty: bool) -> list[FloatArray]:
        """Return rows (tanh length feature, difficulty, preference) of a changed baseline, one table per seed."""
        verdicts = self.pair(request)
        lengths = _lengths(self.pair(dataclasses.replace(request, metric=CHARACTERS, source=TASK)), verdicts.prompts)
        difficulty = self._difficulty(request, verdicts.prompts)[0] if with_difficulty else None
        tables = []
        for seed in range(len(request.seeds)):
            delta = -lengths[:, seed]
            scale = float(delta.std(ddof=1)) if len(delta) > 1 else 0.0
            feature = np.tanh(delta / scale) if scale > 0 else np.zeros(len(delta))
            gamma = np.zeros(len(delta)) if difficulty is None else difficulty[:, seed]
            tables.append(np.column_stack([feature, gamma, verdicts.values[:, seed]]))
        return tables

    @cached_property
    def _known(self) -> dict[str, dict[str, float]]:
        """The difficulty of every prompt of every task, by id."""
        if self._control.difficulty_file is None:
            return {}
        known = read_difficulty(Path(self._control.difficulty_file.path))
        return {task.NAME: difficulty_of(task.prompts(), known) for task in self._comparison.evaluation.tasks}


def _turned(request: Request) -> Request:
    return dataclasses.replace(request, a=request.b, b=request.a)


def _placed(crossing: Crossing, prompts: Sequence[str], seeds: int) -> FloatArray:
    """Return a pair's preferences in the order of these prompts, NaN where it has none."""
    place = {prompt: number for number, prompt in enumerate(crossing.prompts)}
    found = np.full((len(prompts), seeds), np.nan)
    for row, prompt in enumerate(prompts):
        if prompt in place:
            found[row] = crossing.values[place[prompt]]
    return found


def _lengths(crossing: Crossing, prompts: Sequence[str]) -> FloatArray:
    place = {prompt: number for number, prompt in enumerate(crossing.prompts)}
    return crossing.values[[place[prompt] for prompt in prompts]]
