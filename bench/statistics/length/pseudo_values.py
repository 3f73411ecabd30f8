"""Length control of a comparison's own win rates: pseudo-values that go through the default test.

For each seed the win rate at equal length is estimated over prompts. A prompt's pseudo-value is that estimate plus the
prompt's influence on it (Andersen, Klein and Rosthoj 2003, Biometrika 90:15): their mean is the estimate, and their
spread over prompts and seeds is its uncertainty, so that they are tested as plain preferences are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np

from bench.statistics.crossing.crossing import Crossing
from bench.statistics.length.covariates import Beside
from bench.statistics.length.matched import length_matched_win_rate
from bench.statistics.length.ratio import Feature, length_ratio_win_rate
from bench.statistics.length.regression import WARNINGS, length_controlled_win_rate
from bench.statistics.tests.confidence import FloatArray

Model = Literal["glm", "ratio", "log_ratio", "matched"]


@dataclass(frozen=True)
class Controlled:
    """The pseudo-values with what they rest on: warnings and notes, each once, and diagnostics, means over seeds."""

    crossing: Crossing
    notes: tuple[str, ...]
    diagnostics: dict[str, float | None]


@dataclass(frozen=True)
class _SeedColumns:
    """One seed's columns."""

    preference: FloatArray
    own: FloatArray
    other: FloatArray
    difficulty: FloatArray | None
    calibration: FloatArray | None


@dataclass(frozen=True)
class _Fitted:
    values: FloatArray
    flags: tuple[str, ...]
    diagnostics: dict[str, float]


def at_equal_length(crossing: Crossing, lengths: Crossing, model: Model, beside: Beside | None = None) -> Controlled:
    """Return the crossing of pseudo-values for the preference at equal length.

    ``crossing`` holds preferences for a over b in [0, 1]; ``lengths`` the two arms' response lengths in characters,
    over at least the same prompts and the same seeds; ``beside`` is what the model ``glm`` reads besides, over the
    prompts of ``crossing``. The orders' own preferences are left out: they do not apply. Raises ValueError when a
    prompt has no length.
    """
    if lengths.a_values is None or lengths.b_values is None:
        raise ValueError("length control needs the lengths of both arms")
    place = {prompt: number for number, prompt in enumerate(lengths.prompts)}
    unknown = [prompt for prompt in crossing.prompts if prompt not in place]
    if unknown:
        raise ValueError(f"{len(unknown)} prompts with verdicts have no response length, such as {unknown[0]!r}")
    rows = [place[prompt] for prompt in crossing.prompts]
    own, other = lengths.a_values[rows], lengths.b_values[rows]
    given = beside or Beside()
    fitted = []
    for seed in range(crossing.values.shape[1]):
        difficulty = None if given.difficulty is None else given.difficulty[:, seed]
        calibration = None if given.calibration is None else given.calibration[seed]
        fitted.append(
            _FITS[model](_SeedColumns(crossing.values[:, seed], own[:, seed], other[:, seed], difficulty, calibration))
        )
    flags = dict.fromkeys(flag for one in fitted for flag in one.flags)
    names = dict.fromkeys(name for one in fitted for name in one.diagnostics)
    # A coefficient that a seed's fit does not have (the raw win rate stands there) has no mean over seeds.
    means = {
        name: float(np.mean([one.diagnostics[name] for one in fitted]))
        if all(name in one.diagnostics for one in fitted)
        else None
        for name in names
    }
    values = np.column_stack([one.values for one in fitted])
    controlled = dataclasses.replace(crossing, values=values, drawn=None, first=None, second=None)
    if "no_finite_error" in flags:
        controlled = dataclasses.replace(controlled, untestable="some seed's regression has no finite error: no test")
    return Controlled(controlled, (*given.notes, *(WARNINGS[flag] for flag in flags)), means)


def _glm(rows: _SeedColumns) -> _Fitted:
    found = length_controlled_win_rate(rows.preference, rows.own, rows.other, rows.difficulty, rows.calibration)
    about = found.diagnostics
    numbers = {"share_longer": about.share_longer, "share_shorter": about.share_shorter}
    numbers["length_scale"] = about.length_scale
    numbers |= {f"{name}_coefficient": value for name, value in found.coefficients.items()}
    return _Fitted(_pseudo(found.estimate, found.influence), about.flags, numbers)


def _ratio(rows: _SeedColumns, feature: Feature) -> _Fitted:
    # An empty answer counts as one character, so that every prompt of a paired comparison stays in.
    own, other = np.maximum(rows.own, 1), np.maximum(rows.other, 1)
    found = length_ratio_win_rate(rows.preference, own, other, feature)
    numbers = {"mean_ratio": found.mean_ratio}
    if found.coefficients:
        numbers["length_coefficient"] = found.coefficients[1]
    return _Fitted(_pseudo(found.estimate, found.influence), found.flags, numbers)


def _matched(rows: _SeedColumns) -> _Fitted:
    found = length_matched_win_rate(rows.preference, rows.own, rows.other)
    return _Fitted(_pseudo(found.estimate, found.influence), found.flags, {"share_matched": found.share_matched})


_FITS: Mapping[Model, Callable[[_SeedColumns], _Fitted]] = MappingProxyType(
    {
        "glm": _glm,
        "ratio": partial(_ratio, feature="ratio"),
        "log_ratio": partial(_ratio, feature="log_ratio"),
        "matched": _matched,
    }
)


def _pseudo(estimate: float, influence: FloatArray) -> FloatArray:
    """Return estimate + n * influence, on the scale [0, 1] of preferences (single values may lie outside)."""
    return (estimate + len(influence) * influence) / 100
