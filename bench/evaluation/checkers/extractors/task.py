"""The task reads its own responses, whose structure it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.checker import Extractor
from bench.core.errors import BenchError
from bench.core.judge import Response
from bench.core.stage import StageIO
from bench.core.task import Claim, Task


class TaskClaims(Extractor):
    """The claims that the task itself reads in a response: exact where responses have a grammar, as in atlas."""

    NAME: ClassVar[str] = "task"
    VERSION: ClassVar[int] = 1

    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        """Return the claims of each response, in order."""
        return [list(task.claims(response.prompt, response.text)) for response in responses]

    def check(self, task: Task) -> None:
        """Raise BenchError for a task that does not read claims."""
        if type(task).claims is Task.claims:
            raise BenchError(
                f"task {task.NAME} does not know the claims of a response\n"
                "use `extractor: sentences`, or name the tasks that do under `tasks:`"
            )
