"""Tasks and worlds: prompts, how to decode, and how to score one response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from bench.core.choice import Choice
from bench.core.claim import Claim, Finding
from bench.core.data import DataSpec
from bench.core.errors import BenchError
from bench.core.frozen import Frozen, Open
from bench.core.policy import Chat, Decoding, Message, PolicySpec


class MetricInfo(Frozen):
    """A metric's own facts: its name, unit, direction, and what a value is averaged over.

    ``chance`` is the value a policy that knows nothing would get, where that is defined.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    description: str
    chance: float | None = None


# What the bench measures of every response, whatever the task.
HYGIENE = (
    MetricInfo(
        name="response_tokens",
        unit="tokens",
        higher_is_better=None,
        description="length of the response in tokens of its own policy, end token included",
    ),
    MetricInfo(
        name="response_characters", unit="characters", higher_is_better=None, description="length of the response text"
    ),
    MetricInfo(
        name="ended", unit="share", higher_is_better=True, description="share of responses that end by themselves"
    ),
)
# What judges measure of a pair of responses.
WIN_RATE = MetricInfo(
    name="win_rate",
    unit="share",
    higher_is_better=True,
    description="mean preference for the method's response over the other method's; a tie counts one half",
    chance=0.5,
)
# What judges measure of one response.
RATING = MetricInfo(
    name="rating",
    unit="the judge's own scale",
    higher_is_better=True,
    description="how good the judge finds the response",
)
# How far a policy has moved from another one, measured on its own samples at temperature 1.
DIVERGENCE = MetricInfo(
    name="divergence",
    unit="nats",
    higher_is_better=None,
    description="sum over the response's tokens of log pi - log pi_ref: in expectation the KL divergence of sequences",
)
# The same expectation with less variance; it stands beside the first and is not tested again.
DIVERGENCE_K3 = MetricInfo(
    name="divergence_k3",
    unit="nats",
    higher_is_better=None,
    description="sum over the response's tokens of r - 1 - log r, r = pi_ref / pi: the KL divergence, never negative",
)

LENGTH_CONTROLLED = MetricInfo(
    name="length_controlled_win_rate",
    unit="share",
    higher_is_better=True,
    description="the win rate that a regression on the responses' lengths expects at equal length",
    chance=0.5,
)
# Metrics on the scale of a preference: 0.5 is no difference.
PREFERENCES = frozenset({WIN_RATE.name, LENGTH_CONTROLLED.name})


class Prompt(Frozen):
    """One prompt. ``cluster`` groups prompts that are not independent; ``kind`` is for the reader's filters."""

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


class Task(Open, ABC):
    """A prompt set with its decoding and its scores. ``limit``: take only the first prompts.

    ``WORLD`` names the embedded world whose truth the task knows, where it is one's.
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
        """Return the answers that every policy is to weigh by its likelihood; none where no choice is offered."""
        return ()

    def claims(self, prompt: Prompt, response: str) -> Sequence[Claim]:
        """Return the claims of a response, none for one that abstains. Only of tasks whose responses have a structure.

        Raises BenchError for any other.
        """
        raise BenchError(f"task {self.NAME} does not know the claims of a response. Use another extractor.")

    def support(self, prompt: Prompt, claim: str) -> Finding:
        """Return whether a claim is true, for tasks that know the truth; raises BenchError for any other."""
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
