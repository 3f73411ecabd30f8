"""A retriever."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.core.checker import Passage, Retriever
from bench.core.stage import StageIO


class First(Retriever):
    NAME: ClassVar[str] = "stub_retriever"
    VERSION: ClassVar[int] = 1

    from_end: bool = False

    def build(self, passages: Sequence[Passage], io: StageIO) -> None:
        pass

    def nearest(self, index: Path, questions: Sequence[str], most: int, io: StageIO) -> list[list[int]]:
        return [[0] for _ in questions]
