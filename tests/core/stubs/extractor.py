"""An extractor."""

from collections.abc import Sequence
from typing import ClassVar

from bench.core.checker import Extractor
from bench.core.judge import Response
from bench.core.stage import StageIO
from bench.core.task import Claim, Task


class Whole(Extractor):
    NAME: ClassVar[str] = "stub_extractor"
    VERSION: ClassVar[int] = 1

    most: int = 1

    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        return [[Claim(text=response.text)] for response in responses]
