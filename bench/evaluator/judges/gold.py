"""The gold judge: the task's own utility, for tasks in which the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, Verdict
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task


class Gold(Judge):
    """Prefers the response with the higher utility; equal utilities are a tie."""

    NAME: ClassVar[str] = "gold"
    VERSION: ClassVar[int] = 1

    def compare(self, task: Task, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response has more utility, 0 where less, 0.5 where equal."""
        verdicts = []
        for pair in pairs:
            first, second = self.rate(task, pair.prompt, pair.first), self.rate(task, pair.prompt, pair.second)
            verdicts.append(verdict_on_ratings(first, second))
        return verdicts

    def rate(self, task: Task, prompt: Prompt, response: str) -> Verdict:
        """Return the task's utility of the response.

        Raises StageError for a task that knows no utility.
        """
        utility = task.gold(prompt, response)
        if utility is None:
            raise StageError(
                f"task {task.NAME} knows no true utility, so judge gold cannot judge it. Choose another judge."
            )
        return Verdict(value=utility)


def verdict_on_ratings(first: Verdict, second: Verdict) -> Verdict:
    """Return the comparison that two ratings imply; a missing rating makes it undefined, with the reason."""
    if first.value is None or second.value is None:
        worst = first if first.value is None else second
        return Verdict(value=None, status=worst.status, text=worst.text)
    value = 0.5 if first.value == second.value else float(first.value > second.value)
    return Verdict(value=value, text=f"first {first.value:.6g}, second {second.value:.6g}")
