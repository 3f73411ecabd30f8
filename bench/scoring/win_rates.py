"""Win rates of AlpacaEval files, raw and at equal length, and the paired differences between methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.config.fields.length_tables import read_calibration, read_difficulty
from bench.core.errors import DataError
from bench.scoring.annotation_rows import PreferenceScale, check_scale, verdicts_of
from bench.scoring.method_score import Score
from bench.scoring.paired import Paired, all_pairs, law_of
from bench.scoring.parts import JudgedPart, by_judge
from bench.scoring.preferences import AnswerFile, Preferences, answers_in, answers_of, is_judged, join
from bench.scoring.row_files import RowFile, read_file
from bench.statistics.length.difficulty import difficulty_by_prompt, estimated_difficulty
from bench.statistics.length.matched import length_matched_win_rate
from bench.statistics.length.ratio import length_ratio_win_rate
from bench.statistics.length.regression import LengthControlled, length_controlled_win_rate, paired_difference
from bench.statistics.tests.confidence import FloatArray
from bench.statistics.tests.omnibus import friedman
from bench.statistics.tests.random_effects import crossed_effects

ESTIMATED = "estimated"
# AlpacaEval's own length control takes the difficulty of row i of its table for row i of the annotations
# (_get_featurized_data in its glm_winrate.py), so that with a row missing it takes other prompts' difficulties.
ALPACA_EVAL_PROMPTS = 805


@dataclass(frozen=True)
class WinRateFiles:
    """What win rates are made from: files of answers and annotations, and how difficulty and preferences are given."""

    outputs: Sequence[RowFile]
    judged: Sequence[RowFile]
    reference: str | None
    difficulty: str | None
    calibration: Path | None
    scale: PreferenceScale | None


def scores(inputs: WinRateFiles) -> list[Score]:
    """Return one score per method and judge; raises DataError for files that do not belong together.

    A method that one of several judges was not asked about has no score of that judge.
    """
    # A file of annotations given as outputs holds its own answers and verdicts.
    annotated = [file for file in inputs.outputs if file.kind == "annotations"]
    plain = [answers_of(file) for file in inputs.outputs if file.kind == "outputs"]
    for file in inputs.judged:
        if file.kind != "annotations":
            raise DataError(f"{file.path}: holds {file.kind}, but --annotations wants verdicts (column preference)")
    all_judged = [*annotated, *inputs.judged]
    for file in all_judged:
        check_scale(file, inputs.scale)
    parts = by_judge(all_judged, "apart")
    found: list[Score] = []
    unjudged = {one.name for one in plain}
    for part in parts:
        held = [file for file in part.files if not annotated or file.path in {one.path for one in annotated}]
        methods, reference = _methods(plain, held, part, inputs)
        verdicts = verdicts_of(part.files, inputs.scale)
        here = [one for one in methods if len(parts) == 1 or is_judged(one, reference, verdicts)]
        unjudged -= {one.name for one in here}
        if here:
            prompts, joined = join(here, reference, verdicts)
            found += _scores(inputs, part, prompts, joined)
    if unjudged:
        raise DataError(f"no judge was asked about {', '.join(sorted(unjudged))}: every verdict is on other answers")
    return found


def _methods(
    plain: Sequence[AnswerFile], held: Sequence[RowFile], part: JudgedPart, inputs: WinRateFiles
) -> tuple[list[AnswerFile], AnswerFile]:
    """Return the methods and the reference; ``held``: the annotations whose answers are scored without --outputs."""
    methods, base = list(plain), None
    annotated = any(file.kind == "annotations" for file in inputs.outputs)
    if held and (annotated or not plain):
        of_files, base = answers_in(held)
        methods += of_files
    elif inputs.reference is None and part.files:
        base = answers_in(part.files)[1]
    reference = _reference(inputs.reference, base)
    repeated = {one.name for one in methods if sum(one.name == other.name for other in methods) > 1}
    if repeated:
        raise DataError(f"several files of outputs are called {', '.join(sorted(repeated))}; the names must differ")
    return methods, reference


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


def _scores(
    inputs: WinRateFiles, part: JudgedPart, prompts: Sequence[str], joined: Sequence[Preferences]
) -> list[Score]:  # fmt: skip
    """Return the scores of one judge."""
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
    paired = all_pairs([one.joined.name for one in fitted], lambda i, j: _paired(fitted[i], fitted[j]))
    beside = {} if (found := _any_difference(fitted)) is None else {"any_difference": found}
    return [
        _score(one, part, {"paired": differences, **beside}) for one, differences in zip(fitted, paired, strict=True)
    ]


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


def _score(one: _FittedMethod, part: JudgedPart, beside: dict[str, Any]) -> Score:
    joined, fit = one.joined, one.fit
    y = joined.preference[fit.used]
    wins, losses = int((y > 0.5).sum()), int((y < 0.5).sum())
    columns = (joined.preference, joined.length, joined.baseline_length)
    matched = length_matched_win_rate(*columns)
    usable = (joined.length > 0) & (joined.baseline_length > 0) & fit.used
    return Score(
        name=joined.name,
        reference=joined.reference,
        judge=part.judge,
        win_rate=fit.raw,
        standard_error=fit.raw_standard_error,
        length_controlled_win_rate=fit.estimate,
        length_controlled_standard_error=fit.standard_error,
        n=fit.n,
        n_missing=fit.n_missing,
        missing=joined.missing,
        noted={**joined.noted, **part.noted},
        warnings=(*fit.diagnostics.warnings, *_misaligned(one)),
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
            "annotator": part.judge,
            **beside,
        },
    )


def _misaligned(one: _FittedMethod) -> tuple[str, ...]:
    """Return how the leaderboard's own number differs where rows are missing; nothing where none is."""
    rows = one.joined.judged
    if one.difficulty != "by instruction" or rows >= ALPACA_EVAL_PROMPTS:
        return ()
    return (
        f"{rows} of AlpacaEval's {ALPACA_EVAL_PROMPTS} rows: its own length control takes difficulty by the row's "
        "position, so that its number rests on other prompts' difficulties; here they are joined on the instruction",
    )


def _paired(one: _FittedMethod, other: _FittedMethod) -> Paired:
    """Return one minus the other on the prompts that both have, raw, and at equal length."""
    both = one.fit.used & other.fit.used
    if int(both.sum()) < 2:
        return {"n": int(both.sum()), "win_rate": None, "length_controlled_win_rate": None}
    difference = 100 * (one.joined.preference - other.joined.preference)[both]
    raw = crossed_effects(difference[:, None], None, (-100.0, 100.0)).confidence
    finite = one.fit.standard_error is not None and other.fit.standard_error is not None
    return {
        "n": int(both.sum()),
        "win_rate": law_of(raw),
        "length_controlled_win_rate": law_of(paired_difference(one.fit, other.fit)) if finite else None,
    }
