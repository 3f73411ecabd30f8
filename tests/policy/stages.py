"""A stage that builds a tiny model, and a task with three prompts, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.policy import Decoding
from bench.core.stage import Stage, StageIO
from bench.core.task import Prompt, Task, user


class WriteTiny(Stage):
    """Writes a tiny random model, as a world's pretraining would."""

    KIND: ClassVar[str] = "test/tiny"
    VERSION: ClassVar[int] = 1

    seed: int

    def run(self, io: StageIO) -> None:
        from tests.methods.tiny import pretrained  # noqa: PLC0415 - torch loads here and not when planning

        pretrained(io.out / "policy", seed=self.seed)


class Asks(Task):
    """Three short prompts."""

    NAME: ClassVar[str] = "asks"
    VERSION: ClassVar[int] = 1

    def prompts(self) -> Sequence[Prompt]:
        return tuple(Prompt(id=text, chat=user(text), cluster=text) for text in ("ask", "tell one", "say"))

    def decoding(self) -> Decoding:
        return Decoding(max_new_tokens=5)
