"""A control judge: the response shown first wins, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task


class FirstWins(Judge):
    """Prefers the response that is shown first.

    A control: over both presentation orders it prefers neither side, so that all its verdicts flip. In one order only
    it prefers whoever the comparison names first. It cannot rate a response that stands alone.
    """

    NAME: ClassVar[str] = "first_wins"
    VERSION: ClassVar[int] = 1

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise StageError for ratings: a response alone is neither first nor second."""
        if kind == "rate":
            raise StageError(
                "judge first_wins compares by position, so it cannot rate one response. Choose another judge here."
            )

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 for every pair."""
        return [Verdict(value=1.0) for _ in pairs]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Raise StageError, as ``check`` does."""
        self.check("rate")
        return []
