"""A task with three short prompts; its metric is how often a letter stands in the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from bench.core.metrics import MetricInfo
from bench.core.policy import Decoding
from bench.core.task import Prompt, Task, user


class Asks(Task):
    """Three short prompts."""

    NAME: ClassVar[str] = "asks"
    VERSION: ClassVar[int] = 1
    METRICS: ClassVar[tuple[MetricInfo, ...]] = (
        MetricInfo(name="letters", unit="letters", higher_is_better=True, description="how many letters are an e"),
    )

    def prompts(self) -> Sequence[Prompt]:
        return tuple(Prompt(id=text, chat=user(text), cluster=text) for text in ("ask", "tell one", "say"))

    def decoding(self) -> Decoding:
        return Decoding(max_new_tokens=5)

    def score(self, prompt: Prompt, response: str) -> Mapping[str, float | None]:
        return {"letters": float(response.count("e"))}
