"""The gold judge: the task's own utility, for tasks in which the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.stage import StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings


class Gold(Judge):
    """Prefers the response with the higher utility; equal utilities are a tie."""

    NAME: ClassVar[str] = "gold"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response has more utility, 0 where less, 0.5 where equal."""
        return [verdict_on_ratings(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the task's utility of each response.

        Raises StageError without a task, and for a task that knows no utility.
        """
        if task is None:
            raise StageError("judge gold needs a task that knows the truth, and there is none here. Name the task.")
        found = []
        for one in responses:
            utility = task.gold(one.prompt, one.text)
            if utility is None:
                raise StageError(
                    f"task {task.NAME} knows no true utility, so judge gold cannot judge it. Choose another judge."
                )
            found.append(Verdict(value=utility))
        return found
