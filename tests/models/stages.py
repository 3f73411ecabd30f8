"""A stage that builds a tiny model, for tests."""

from __future__ import annotations

from typing import ClassVar

from bench.core.stage import Stage, StageIO


class WriteTiny(Stage):
    """Writes a tiny random model, as a world's pretraining would."""

    KIND: ClassVar[str] = "test/tiny"
    VERSION: ClassVar[int] = 1

    seed: int

    def run(self, io: StageIO) -> None:
        from tests.methods.tiny import pretrained  # noqa: PLC0415 - torch loads here and not when planning

        pretrained(io.out / "policy", seed=self.seed)
