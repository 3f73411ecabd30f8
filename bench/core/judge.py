"""Judges: which of two responses is better, or how good one is. Blind to the names of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Self

from pydantic import ValidationError

from bench.core.errors import StageError
from bench.core.frozen import Frozen, Open
from bench.core.policy import PolicySpec
from bench.core.stage import Resources, StageIO
from bench.core.task import Prompt, Task

Status = Literal["ok", "unparsed", "refused", "error", "undefined"]


class Pair(Frozen):
    """Two responses to one prompt, in the order in which the judge sees them.

    ``first_ended`` and ``second_ended``: false for a response that was cut off while it was written.
    """

    prompt: Prompt
    first: str
    second: str
    first_ended: bool = True
    second_ended: bool = True

    def responses(self) -> tuple[Response, Response]:
        """Return the two by themselves."""
        return (
            Response(prompt=self.prompt, text=self.first, ended=self.first_ended),
            Response(prompt=self.prompt, text=self.second, ended=self.second_ended),
        )


class Response(Frozen):
    """One response to one prompt; ``ended`` is false for one that was cut off while it was written."""

    prompt: Prompt
    text: str
    ended: bool = True


class Verdict(Frozen):
    """A judge's answer. For ``compare`` the value is the preference for the first response in [0, 1], 0.5 a tie.

    A missing verdict is None with a status and a reason, never a number.
    """

    value: float | None
    status: Status = "ok"
    text: str = ""


class Judge(Open, ABC):
    """A judge as a value; its fields are in every key of a verdict.

    The bench, not the judge, makes both presentation orders and combines them. ``RESOURCES``: what a stage that calls
    it needs of the machine; a judge that computes with a model asks for an accelerator.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int]
    RESOURCES: ClassVar[Resources] = Resources()

    @abstractmethod
    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return one verdict per pair, in order.

        ``task`` is None where pairs of a data set are labelled; a judge that needs one raises StageError.
        """

    @abstractmethod
    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return how good each response is, on the judge's own scale, in order."""

    def check(self, kind: Literal["compare", "rate"]) -> None:
        """Raise BenchError where the judge's settings rule out such a call; called when planning."""

    def is_imitated_by(self, text: str, asked: Literal["compare", "rate"] = "compare") -> bool:
        """Return whether a response holds what parts this judge's question, or what passes for its answer.

        ``asked``: about a pair of responses, or for a rating of one.

        Of a judge that puts no response into a question: never.
        """
        return False

    def waits_for(self) -> str | None:
        """Return what is missing before this judge can be called, and how to get it; None where nothing is."""
        return None

    def takes_from_arm(self) -> bool:
        """Return whether this judge takes something from an arm with its settings; see ``bound``."""
        return type(self).bound is not Judge.bound

    def bound(self, policy_of: Callable[[str], PolicySpec]) -> Self:
        """Return this judge with what it takes from the comparison's own arms at one seed filled in.

        ``policy_of`` gives the policy of an arm. Most judges take nothing and return themselves.
        """
        return self


def one_for_each(judge: Judge, verdicts: Sequence[Verdict], asked: int) -> Sequence[Verdict]:
    """Return the verdicts of a judge, one for each question. Raises StageError where there are more or fewer."""
    if len(verdicts) != asked:
        raise StageError(
            f"judge {judge.NAME} returned {len(verdicts)} verdicts on {asked} questions. Return one for each, in "
            "order, with the value None and a status where there is none."
        )
    return verdicts


def reseeded(judge: Judge) -> Judge | None:
    """Return a judge with other noise; None for one that has no seed, or that reads none with its settings."""
    seed = getattr(judge, "seed", None)
    if not isinstance(seed, int):
        return None
    try:
        return judge.model_copy(update={"seed": seed + 1})
    except ValidationError:
        return None
