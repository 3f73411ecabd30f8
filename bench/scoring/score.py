"""One score per file of outputs: win rates, raw and at equal length, and the paired differences between methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.config.fields.length_tables import read_calibration, read_difficulty
from bench.core.errors import DataError
from bench.scoring import battles, pairs
from bench.scoring import factscore as facts
from bench.scoring.method_score import Score
from bench.scoring.preferences import AnswerFile, Preferences, answers_in, answers_of, join
from bench.scoring.row_files import RowFile, read_file
from bench.statistics.length.difficulty import difficulty_by_prompt, estimated_difficulty
from bench.statistics.length.matched import length_matched_win_rate
from bench.statistics.length.ratio import length_ratio_win_rate
from bench.statistics.length.regression import LengthControlled, length_controlled_win_rate, paired_difference
from bench.statistics.tests.confidence import Confidence, FloatArray
from bench.statistics.tests.omnibus import friedman
from bench.statistics.tests.random_effects import crossed_effects

ESTIMATED = "estimated"


@dataclass(frozen=True)
class FilesToScore:
    """The files of one ``bench score``. ``reference`` is a file, or for battles the name of the method at 0."""

    outputs: Sequence[Path] = ()
    reference: str | None = None
    annotations: Sequence[Path] = ()
    difficulty: str | None = None
    calibration: Path | None = None


def score(inputs: FilesToScore) -> list[Score]:
    """Return one score per method; raises DataError for files that cannot be used or do not belong together."""
    outputs = [read_file(path) for path in inputs.outputs]
    judged = [read_file(path) for path in inputs.annotations]
    if not outputs and not judged:
        raise DataError("nothing to score: give --outputs, or --annotations with a file that holds both answers")
    kinds = {file.kind for file in [*outputs, *judged]}
    if kinds <= {"outputs", "annotations"}:
        return _win_rates(inputs, outputs, judged)
    if len(kinds) > 1 and not kinds <= {"battles", "games"}:
        raise DataError(f"files of different kinds ({', '.join(sorted(kinds))}) cannot be scored together")
    refused = {"--difficulty": inputs.difficulty, "--calibration": inputs.calibration}
    for option, value in refused.items():
        if value is not None:
            raise DataError(f"{option} belongs to AlpacaEval outputs; these files hold {', '.join(sorted(kinds))}")
    if kinds == {"facts"}:
        reference = None if inputs.reference is None else read_file(Path(inputs.reference))
        return facts.scores(outputs + judged, reference)
    if kinds <= {"battles", "games"}:
        return battles.scores(outputs + judged, inputs.reference)
    if inputs.reference is not None:
        raise DataError("a pair file names both of its models: leave --reference away")
    return [one for file in outputs + judged for one in pairs.scores(file)]


def _win_rates(inputs: FilesToScore, outputs: Sequence[RowFile], judged: Sequence[RowFile]) -> list[Score]:
    # A file of annotations given as outputs holds its own answers and verdicts.
    annotated = [file for file in outputs if file.kind == "annotations"]
    plain = [answers_of(file) for file in outputs if file.kind == "outputs"]
    for file in judged:
        if file.kind != "annotations":
            raise DataError(f"{file.path}: holds {file.kind}, but --annotations wants verdicts (column preference)")
    all_judged = [*annotated, *judged]
    base: AnswerFile | None = None
    if annotated or not plain:
        methods, base = answers_in(annotated or all_judged)
        methods = [*plain, *methods]
    else:
        methods = plain
        if inputs.reference is None and all_judged:
            base = answers_in(all_judged)[1]
    reference = _reference(inputs.reference, base)
    repeated = {one.name for one in methods if sum(one.name == other.name for other in methods) > 1}
    if repeated:
        raise DataError(f"several files of outputs are called {', '.join(sorted(repeated))}; the names must differ")
    prompts, found = join(methods, reference, all_judged)
    return _scores(inputs, prompts, found)


def _reference(given: str | None, base: AnswerFile | None) -> AnswerFile:
    if given is None:
        if base is None:
            raise DataError("which answers to compare with? Give --reference FILE")
        return base
    file = read_file(Path(given))
    if file.kind != "outputs":
        raise DataError(f"{file.path}: holds {file.kind}, but --reference wants answers (instruction, output)")
    return answers_of(file)


@dataclass(frozen=True)
class _FittedMethod:
    """One method's joined rows and its fit, beside how difficulty came in."""

    joined: Preferences
    fit: LengthControlled
    difficulty: Literal["by instruction", "estimated", "none"]
    # The same without calibration rows, where there are any: what they change is reported beside the estimate.
    uncalibrated: LengthControlled | None
    paired: dict[str, Any] = field(default_factory=dict)


def _scores(inputs: FilesToScore, prompts: Sequence[str], joined: Sequence[Preferences]) -> list[Score]:
    calibration = None if inputs.calibration is None else read_calibration(inputs.calibration)
    difficulties = _difficulties(inputs.difficulty, prompts, joined)
    how: Literal["by instruction", "estimated", "none"] = "none"
    if inputs.difficulty is not None:
        how = "estimated" if inputs.difficulty == ESTIMATED else "by instruction"
    fitted = [
        _FittedMethod(
            one,
            length_controlled_win_rate(one.preference, one.length, one.baseline_length, difficulty, calibration),
            how,
            None
            if calibration is None
            else length_controlled_win_rate(one.preference, one.length, one.baseline_length, difficulty),
        )
        for one, difficulty in zip(joined, difficulties, strict=True)
    ]
    for one in fitted:
        for other in fitted:
            if other is not one:
                one.paired[other.joined.name] = _paired(one, other)
    any_difference = _any_difference(fitted)
    return [_score(one, any_difference) for one in fitted]


def _difficulties(
    given: str | None, prompts: Sequence[str], joined: Sequence[Preferences]
) -> Sequence[FloatArray | None]:
    if given is None:
        return [None] * len(joined)
    if given != ESTIMATED:
        return [difficulty_by_prompt(prompts, read_difficulty(Path(given)))] * len(joined)
    if len(joined) < 2:
        raise DataError("--difficulty estimated learns from the other methods: give two or more --outputs")
    matrix = np.array([one.preference for one in joined])
    return [estimated_difficulty(matrix, place) for place in range(len(joined))]


def _any_difference(fitted: Sequence[_FittedMethod]) -> dict[str, float] | None:
    """Return Friedman's test over the prompts that all methods share; None for fewer than three methods."""
    shared = np.logical_and.reduce([one.fit.used for one in fitted])
    if len(fitted) < 3 or not shared.any():
        return None
    found = friedman(np.array([one.joined.preference[shared] for one in fitted]))
    return {"n": int(shared.sum()), "statistic": found.statistic, "df": found.df, "p": found.p}


def _score(one: _FittedMethod, any_difference: dict[str, float] | None) -> Score:
    joined, fit = one.joined, one.fit
    y = joined.preference[fit.used]
    wins, losses = int((y > 0.5).sum()), int((y < 0.5).sum())
    columns = (joined.preference, joined.length, joined.baseline_length)
    matched = length_matched_win_rate(*columns)
    usable = (joined.length > 0) & (joined.baseline_length > 0) & fit.used
    return Score(
        name=joined.name,
        reference=joined.reference,
        win_rate=fit.raw,
        standard_error=fit.raw_standard_error,
        length_controlled_win_rate=fit.estimate,
        length_controlled_standard_error=fit.standard_error,
        n=fit.n,
        n_missing=fit.n_missing,
        missing=joined.missing,
        noted=joined.noted,
        warnings=fit.diagnostics.warnings,
        details={
            "discrete_win_rate": 100 * (wins + (fit.n - wins - losses) / 2) / fit.n,
            "n_wins": wins,
            "n_losses": losses,
            "n_ties": fit.n - wins - losses,
            "average_length": float(joined.length[fit.used].mean()),
            "average_baseline_length": float(joined.baseline_length[fit.used].mean()),
            "share_longer": fit.diagnostics.share_longer,
            "share_shorter": fit.diagnostics.share_shorter,
            "standardised_length_quantiles": list(fit.diagnostics.length_quantiles),
            "length_ratio_win_rate": length_ratio_win_rate(*columns, "ratio").estimate if usable.any() else None,
            "log_length_ratio_win_rate": length_ratio_win_rate(*columns, "log_ratio").estimate
            if usable.any()
            else None,
            "length_matched_win_rate": matched.estimate,
            "share_matched": matched.share_matched,
            "length_controlled_without_calibration": one.uncalibrated.estimate if one.uncalibrated else None,
            "difficulty": one.difficulty,
            "calibrated": fit.diagnostics.calibration_weight is not None,
            "coefficients": fit.coefficients,
            "annotator": joined.annotators[0] if joined.annotators else None,
            "paired": one.paired,
            **({} if any_difference is None else {"any_difference": any_difference}),
        },
    )


def _paired(one: _FittedMethod, other: _FittedMethod) -> dict[str, Any]:
    """Return one minus the other on the prompts that both have, raw, and at equal length."""
    both = one.fit.used & other.fit.used
    if int(both.sum()) < 2:
        return {"n": int(both.sum()), "win_rate": None, "length_controlled_win_rate": None}
    difference = 100 * (one.joined.preference - other.joined.preference)[both]
    raw = crossed_effects(difference[:, None]).confidence
    return {
        "n": int(both.sum()),
        "win_rate": _law(raw),
        "length_controlled_win_rate": _at_equal_length(one.fit, other.fit),
    }


def _at_equal_length(one: LengthControlled, other: LengthControlled) -> dict[str, float] | None:
    """Return the difference at equal length; None where one of the regressions has no finite error."""
    if one.standard_error is None or other.standard_error is None:
        return None
    return _law(paired_difference(one, other))


def _law(law: Confidence) -> dict[str, float]:
    low, high = law.interval(0.95)
    return {
        "difference": float(np.asarray(law.estimate)),
        "standard_error": float(law.standard_error),
        "low": low,
        "high": high,
        "p": float(law.p_value(0.0)),
    }


def as_data(scores: Sequence[Score]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return scores as plain data: one object for one file of outputs, a list for several."""
    found = [one.as_data() for one in scores]
    return found[0] if len(found) == 1 else found
