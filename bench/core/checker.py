"""How claims are found and checked: extractors, passages to check them against, and verifiers, as values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import PositiveInt

from bench.core.errors import StageError
from bench.core.frozen import Frozen, Open
from bench.core.judge import Response
from bench.core.stage import Resources, StageIO
from bench.core.task import Claim, Finding, Prompt, Task, World


class Passage(Frozen):
    """A stretch of text that may support a claim, under the title of the page it is from."""

    title: str
    text: str


class Asked(Frozen):
    """One claim to check: the prompt it answers, and the passages found for it, the nearest first."""

    prompt: Prompt
    claim: str
    passages: tuple[Passage, ...] = ()


class Extractor(Open, ABC):
    """What turns a response into claims; its fields are in every key that rests on them.

    ``RESOURCES``: what a stage that calls it needs of the machine.
    """

    NAME: ClassVar[str]
    VERSION: ClassVar[int]
    RESOURCES: ClassVar[Resources] = Resources()

    @abstractmethod
    def extract(self, task: Task, responses: Sequence[Response], io: StageIO) -> list[list[Claim]]:
        """Return the claims of each response, in order; an empty list for a response that abstains."""

    def check(self, task: Task) -> None:
        """Raise BenchError where it cannot be used on this task; called when planning."""


class Retriever(Open, ABC):
    """What finds the passages nearest to a claim. The index is made once and read by every call."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int]
    RESOURCES: ClassVar[Resources] = Resources()

    @abstractmethod
    def build(self, passages: Sequence[Passage], io: StageIO) -> None:
        """Write an index of the passages into ``io.out``, without the passages themselves."""

    @abstractmethod
    def nearest(self, index: Path, questions: Sequence[str], most: int, io: StageIO) -> list[list[int]]:
        """Return the indices of the passages nearest to each question, the nearest first, ``most`` of them at most."""


class PagesFile(Frozen):
    """A file of pages with columns ``title`` and ``text``: rows in any format, or SQLite's table ``documents``."""

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})

    kind: Literal["file"] = "file"
    path: str
    digest: str


class WorldPages(Frozen):
    """What an embedded world knows, as pages."""

    kind: Literal["world"] = "world"
    world: World


class Knowledge(Frozen):
    """What claims are checked against. Pages are cut into passages of ``words`` words; ``passages`` are read per claim.

    256 and 5 are FActScore's (arXiv 2305.14251), which counts tokens instead of words.
    """

    source: PagesFile | WorldPages
    retriever: Retriever
    passages: PositiveInt = 5
    words: PositiveInt = 256


class Verifier(Open, ABC):
    """What verifies claims. ``READS``: the task's own truth, or passages that were retrieved."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int]
    READS: ClassVar[Literal["task", "passages"]]
    RESOURCES: ClassVar[Resources] = Resources()

    @abstractmethod
    def verify(self, task: Task, asked: Sequence[Asked], io: StageIO) -> list[Finding]:
        """Return one finding per claim, in order."""

    def check(self, task: Task) -> None:
        """Raise BenchError where it cannot be used on this task; called when planning."""

    def is_imitated_by(self, claim: str) -> bool:
        """Return whether a claim holds what parts this verifier's question; never where it asks none."""
        return False


def one_finding_each(verifier: Verifier, findings: Sequence[Finding], asked: int) -> Sequence[Finding]:
    """Return the findings of a verifier, one for each claim. Raises StageError where there are more or fewer."""
    if len(findings) != asked:
        raise StageError(
            f"verifier {verifier.NAME} returned {len(findings)} findings on {asked} claims. Return one for each, in "
            "order."
        )
    return findings
