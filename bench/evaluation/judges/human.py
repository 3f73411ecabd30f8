"""The human judge: annotators say which response is better, blind to which method wrote it.

``bench human export`` writes the questions, ``bench human import`` takes the answers back (``docs/judges_paid.md``).
Until there are answers the comparison runs without this judge and says so. A verdict is the mean over its
annotators: 1 for the first response, 0 for the second, 0.5 for a tie and where both are bad. A pair is shown once, in
one order, so both presentation orders have the same verdict and no flip can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from bench.core.errors import DataError, StageError
from bench.core.frozen import digest_of_file
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.judges._annotators import Annotation, Annotations, read_annotations

EQUAL = "both responses are the same"
NOBODY = "nobody has answered"


class Human(Judge):
    """Annotations in a file, ``human.csv`` beside the comparison unless ``path`` says otherwise.

    The digest of the file is in every key, so with a further annotation the verdicts are computed anew. A pair
    without annotations is undefined, and its prompt is left out and counted. Equal responses are a tie and not asked.
    """

    NAME: ClassVar[str] = "human"
    VERSION: ClassVar[int] = 1
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})
    FILE_TO_COME: ClassVar[str | None] = "human.csv"

    path: str | None = None
    digest: str | None = None

    def waits_for(self) -> str | None:
        """Return how to get annotations, where there are none yet."""
        if self.digest is not None:
            return None
        return (
            "nobody has answered yet. `bench human export PATH --to questions.html` (or .csv) writes the questions, "
            "`bench human import PATH FILE` takes the answers back; then run again."
        )

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise StageError for ratings: annotators compare two responses."""
        if kind == "rate":
            raise StageError("judge human compares two responses and rates none. Choose another judge for ratings.")

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return the mean preference for the first response over the annotators."""
        annotations = Annotations(self.annotations())
        return [_verdict(pair, annotations.on(pair)) for pair in pairs]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Raise StageError: annotators give no ratings."""
        self.check("rate")
        return []

    def annotations(self) -> list[Annotation]:
        """Return the annotations in the file, none where it is not there yet.

        Raises DataError for a file with a wrong row, or that has changed since the comparison was planned.
        """
        if self.path is None or self.digest is None:
            return []
        file = Path(self.path)
        if file.is_file() and digest_of_file(file) != self.digest:
            raise DataError(f"{file}: the answers have changed since the comparison was planned. Run it again.")
        return read_annotations(file)


def _verdict(pair: Pair, found: Sequence[Annotation]) -> Verdict:
    if found:
        mean = sum(one.preference for one in found) / len(found)
        return Verdict(value=mean, text="; ".join(one.described for one in found))
    if pair.first == pair.second:
        return Verdict(value=0.5, text=EQUAL)
    return Verdict(value=None, status="undefined", text=NOBODY)
