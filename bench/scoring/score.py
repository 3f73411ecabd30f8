"""What ``bench score`` does with its files: each kind to the statistics that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.scoring import battles, grades, pairs, win_rates
from bench.scoring import factscore as facts
from bench.scoring.annotation_rows import PreferenceScale
from bench.scoring.method_score import Score
from bench.scoring.parts import JudgedPart, Judges, by_judge
from bench.scoring.row_files import FileKind, read_file


@dataclass(frozen=True)
class FilesToScore:
    """The files of one ``bench score``. ``reference`` is a file, or for battles the name of the method at 0.

    ``preference_scale`` says how annotations store a preference, where they do not show it; ``judges``: whether the
    verdicts of several judges are scored apart, or, in battles, together as the votes of a crowd.
    """

    outputs: Sequence[Path] = ()
    reference: str | None = None
    annotations: Sequence[Path] = ()
    difficulty: str | None = None
    calibration: Path | None = None
    preference_scale: PreferenceScale | None = None
    judges: Judges = "apart"


def score(inputs: FilesToScore) -> list[Score]:
    """Return one score per method; raises DataError for files that cannot be used or do not belong together."""
    outputs = [read_file(path) for path in inputs.outputs]
    judged = [read_file(path) for path in inputs.annotations]
    if not outputs and not judged:
        raise DataError("nothing to score: give --outputs, or --annotations with a file that holds both answers")
    kinds = {file.kind for file in [*outputs, *judged]}
    if len(kinds) > 1 and not (kinds <= {"battles", "games"} or kinds <= {"outputs", "annotations"}):
        raise DataError(f"files of different kinds ({', '.join(sorted(kinds))}) cannot be scored together")
    _check_options(inputs, kinds)
    if kinds <= {"outputs", "annotations"}:
        return win_rates.scores(
            win_rates.WinRateFiles(
                outputs, judged, inputs.reference, inputs.difficulty, inputs.calibration, inputs.preference_scale
            )
        )
    if kinds == {"facts"}:
        reference = None if inputs.reference is None else read_file(Path(inputs.reference))
        return facts.scores(outputs + judged, reference)
    parts = by_judge(outputs + judged, inputs.judges)
    if len(parts) == 1:
        return _of_judge(parts[0], inputs.reference)
    found: list[Score] = []
    for part in parts:
        try:
            found += _of_judge(part, inputs.reference)
        except DataError as error:
            crowd = " Votes of a crowd are counted with --judges together." if kinds <= {"battles", "games"} else ""
            raise DataError(f"judge {part.judge}: {error}.{crowd}") from error
    return found


def _check_options(inputs: FilesToScore, kinds: set[FileKind]) -> None:
    """Raise DataError for an option that nothing reads with files of these kinds."""
    held = ", ".join(sorted(kinds))
    of_alpaca = {
        "--difficulty": inputs.difficulty,
        "--calibration": inputs.calibration,
        "--preference-scale": inputs.preference_scale,
    }
    for option, value in of_alpaca.items():
        if value is not None and not kinds <= {"outputs", "annotations"}:
            raise DataError(f"{option} belongs to AlpacaEval outputs; these files hold {held}")
    if inputs.judges == "together" and not kinds <= {"battles", "games"}:
        raise DataError(f"--judges together counts the votes of a crowd, in battles; these files hold {held}")
    if inputs.reference is not None and kinds <= {"pairs", "grades"}:
        raise DataError(f"a file of {held} names all of its models: leave --reference away")


def _of_judge(part: JudgedPart, reference: str | None) -> list[Score]:
    kind = part.files[0].kind
    if kind == "pairs":
        return pairs.scores(part)
    return grades.scores(part) if kind == "grades" else battles.scores(part, reference)


def as_data(scores: Sequence[Score]) -> dict[str, Any] | list[dict[str, Any]]:
    """Return scores as plain data: one object for one file of outputs, a list for several."""
    found = [one.as_data() for one in scores]
    return found[0] if len(found) == 1 else found
