"""Judges: which of two responses is better, or how good one is. Blind to the names of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from bench.core.frozen import Frozen, Open
from bench.core.stage import StageIO
from bench.core.task import Prompt, Task

Status = Literal["ok", "unparsed", "refused", "error", "undefined"]


class Pair(Frozen):
    """Two responses to one prompt, in the order in which the judge sees them."""

    prompt: Prompt
    first: str
    second: str


class Verdict(Frozen):
    """A judge's answer. For ``compare`` the value is the preference for the first response in [0, 1], 0.5 a tie.

    A verdict that could not be had is None with a status and a reason, never a number.
    """

    value: float | None
    status: Status = "ok"
    text: str = ""


class Judge(Open, ABC):
    """A judge as a value; its fields are in every key of a verdict.

    The bench, not the judge, makes both presentation orders and combines them.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int]

    @abstractmethod
    def compare(self, task: Task, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return one verdict per pair, in order."""

    @abstractmethod
    def rate(self, task: Task, prompt: Prompt, response: str) -> Verdict:
        """Return how good one response is, on the judge's own scale."""
