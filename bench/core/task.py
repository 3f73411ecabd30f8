"""Tasks and worlds: prompts, how to decode, and how to score one response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from bench.core.data import DataSpec
from bench.core.errors import BenchError
from bench.core.frozen import Frozen, Open
from bench.core.metrics import MetricInfo
from bench.core.policy import Chat, Decoding, Message, PolicySpec


class Prompt(Frozen):
    """One prompt. ``cluster`` groups prompts that are not independent; ``kind`` is for the report's filters."""

    id: str
    chat: Chat
    cluster: str
    kind: str = "prompt"
    facts: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The last user turn."""
        return self.chat[-1].content


def user(text: str) -> Chat:
    """Return a chat of one user turn."""
    return (Message(role="user", content=text),)


class Choice(Frozen):
    """One answer that is offered: the best, another right one, or a wrong one."""

    text: str
    kind: Literal["best", "right", "wrong"]


Support = Literal["supported", "not_supported", "irrelevant"]


SUPPORTED, NOT_SUPPORTED, IRRELEVANT = get_args(Support)


class Claim(Frozen):
    """One claim of a response, and which of its characters make it; None where no stretch of it does."""

    text: str
    start: int | None = None
    end: int | None = None


class Finding(Frozen):
    """Whether a claim is supported, and what that rests on."""

    label: Support
    evidence: str = ""


class Task(Open, ABC):
    """A prompt set with its decoding and its scores. ``limit``: take only the first prompts.

    ``WORLD`` names the embedded world whose truth the task knows, where it belongs to one.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int]
    METRICS: ClassVar[tuple[MetricInfo, ...]] = ()
    WORLD: ClassVar[str | None] = None

    limit: Annotated[int, Field(gt=0)] | None = None

    @abstractmethod
    def prompts(self) -> Sequence[Prompt]:
        """Return the prompts, in a fixed order, ids unique."""

    @abstractmethod
    def decoding(self) -> Decoding:
        """Return how every policy decodes on this task."""

    def score(self, prompt: Prompt, response: str) -> Mapping[str, float | None]:
        """Return one value per metric of METRICS; None where the metric is not defined for this response."""
        return {}

    def gold(self, prompt: Prompt, response: str) -> float | None:
        """Return the true utility of a response where the task knows it, else None."""
        return None

    def choices(self, prompt: Prompt) -> Sequence[Choice]:
        """Return the answers of a multiple-choice prompt, to be compared by likelihood; none for any other."""
        return ()

    def claims(self, prompt: Prompt, response: str) -> Sequence[Claim]:
        """Return the claims of a response, none for one that abstains. Only of tasks whose responses have a structure.

        Raises BenchError for any other.
        """
        raise BenchError(f"task {self.NAME} does not know the claims of a response. Use another extractor.")

    def support(self, prompt: Prompt, claim: str) -> Finding:
        """Return the verification of a claim, for tasks that know the truth; raises BenchError for any other."""
        raise BenchError(f"task {self.NAME} does not know what is true. Use another verifier.")


class World(Open, ABC):
    """An embedded world: base models and data made by ordinary stages, so that nothing is downloaded."""

    NAME: ClassVar[str]

    @abstractmethod
    def sizes(self) -> tuple[str, ...]:
        """Return the names of the model sizes this world offers."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Return the names of the data sets this world offers."""

    @abstractmethod
    def policy(self, size: str) -> PolicySpec:
        """Return the untouched base of that size."""

    @abstractmethod
    def data(self, split: str, limit: int | None) -> DataSpec:
        """Return the rows of that split."""

    def pages(self) -> Sequence[tuple[str, str]]:
        """Return what is true in this world as pages (title, text); raises BenchError for a world that has none."""
        raise BenchError(f"the world {self.NAME} has no pages to check claims against. Use a file of pages.")


def offers_choices(task: Task) -> bool:
    """Tell whether a task offers choices: its first prompt has some. Raises DataError for prompts it cannot read."""
    return type(task).choices is not Task.choices and any(task.choices(prompt) for prompt in task.prompts()[:1])
