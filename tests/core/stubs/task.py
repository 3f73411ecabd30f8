"""A task with one metric and one field."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from bench.core.metrics import MetricInfo
from bench.core.policy import Decoding
from bench.core.task import Prompt, Task, user


class Questions(Task):
    NAME: ClassVar[str] = "questions"
    VERSION: ClassVar[int] = 1
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (
        MetricInfo(name="accuracy", unit="share", higher_is_better=True, description="right answers"),
    )

    split: Literal["dev", "evaluation"] = "evaluation"
    temperature: float = 1.0

    def prompts(self) -> Sequence[Prompt]:
        return (Prompt(id="p", chat=user("hello"), cluster="p"),)

    def decoding(self) -> Decoding:
        return Decoding(temperature=self.temperature)
