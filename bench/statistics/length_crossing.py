"""Length control of a comparison's own win rates: pseudo-values that go through the default test.

For each run the win rate at equal length is estimated over prompts. A prompt's pseudo-value is that estimate plus the
prompt's influence on it (Andersen, Klein and Rosthoj 2003, Biometrika 90:15): their mean is the estimate, and their
spread over prompts and runs is its uncertainty, so that they are tested as plain preferences are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np

from bench.statistics.confidence import FloatArray
from bench.statistics.length_control import length_controlled_win_rate
from bench.statistics.length_ratio import length_ratio_win_rate
from bench.statistics.table import Crossing

LengthControl = Literal["glm", "ratio", "log_ratio"]


def at_equal_length(crossing: Crossing, lengths: Crossing, control: LengthControl) -> tuple[Crossing, tuple[str, ...]]:
    """Return the crossing of pseudo-values for the preference at equal length, and warnings, each once.

    ``crossing`` holds preferences for a over b in [0, 1]; ``lengths`` the two arms' response lengths in characters,
    over at least the same prompts and the same runs. The orders' own preferences are left out: they do not apply.
    Raises ValueError when a prompt has no length.
    """
    if lengths.a_values is None or lengths.b_values is None:
        raise ValueError("length control needs the lengths of both arms")
    place = {prompt: number for number, prompt in enumerate(lengths.prompts)}
    unknown = [prompt for prompt in crossing.prompts if prompt not in place]
    if unknown:
        raise ValueError(f"{len(unknown)} prompts with verdicts have no response length, such as {unknown[0]!r}")
    rows = [place[prompt] for prompt in crossing.prompts]
    own, other = lengths.a_values[rows], lengths.b_values[rows]
    fit = _glm if control == "glm" else _log_ratio if control == "log_ratio" else _ratio
    columns: list[FloatArray] = []
    warnings: list[str] = []
    for run in range(crossing.values.shape[1]):
        values, told = fit(crossing.values[:, run], own[:, run], other[:, run])
        columns.append(values)
        warnings += told
    controlled = dataclasses.replace(crossing, values=np.column_stack(columns), drawn=None, first=None, second=None)
    return controlled, tuple(dict.fromkeys(warnings))


Fit = Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, tuple[str, ...]]]


def _glm(preference: FloatArray, own: FloatArray, other: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    found = length_controlled_win_rate(preference, own, other)
    return _pseudo(found.estimate, found.influence), found.diagnostics.warnings


def _ratio(preference: FloatArray, own: FloatArray, other: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    found = length_ratio_win_rate(preference, np.maximum(own, 1), np.maximum(other, 1), "ratio")
    return _pseudo(found.estimate, found.influence), found.flags


def _log_ratio(preference: FloatArray, own: FloatArray, other: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    # An empty answer counts as one character, so that every prompt of a paired comparison stays in.
    found = length_ratio_win_rate(preference, np.maximum(own, 1), np.maximum(other, 1), "log_ratio")
    return _pseudo(found.estimate, found.influence), found.flags


def _pseudo(estimate: float, influence: FloatArray) -> FloatArray:
    """Return estimate + n * influence, on the scale [0, 1] of preferences (single values may lie outside)."""
    return (estimate + len(influence) * influence) / 100
