"""A world of two sizes and two splits."""

from typing import ClassVar

from pydantic import NonNegativeInt

from bench.core.data import DataSpec, Made
from bench.core.policy import Built, PolicySpec
from bench.core.stage import Stage, StageIO
from bench.core.task import World


class MakeThing(Stage):
    KIND: ClassVar[str] = "test/thing"
    VERSION: ClassVar[int] = 1

    what: str
    noise: int

    def run(self, io: StageIO) -> None:
        (io.out / "thing").write_text(self.what)


class Small(World):
    NAME: ClassVar[str] = "small_world"

    noise: NonNegativeInt = 0

    def sizes(self) -> tuple[str, ...]:
        return ("small", "large")

    def splits(self) -> tuple[str, ...]:
        return ("demonstrations", "preferences")

    def policy(self, size: str) -> PolicySpec:
        return Built(by=MakeThing(what=size, noise=self.noise))

    def data(self, split: str, limit: int | None) -> DataSpec:
        return Made(by=MakeThing(what=split, noise=self.noise), limit=limit)
