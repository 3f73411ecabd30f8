"""A report as plain blocks: what it says, apart from how Markdown or HTML write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.report.samples.sample import Samples

Tone = Literal["decided", "reversed", "higher", "undecided", "control", "alarm"]
# Marks at the beginning of a table's cell; the page colours such cells by them.
BETTER, WORSE, UNDECIDED = "▲", "▼", "·"


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the page's own."""

    level: Literal[1, 2, 3]
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Quote:
    """A paragraph in the words of the comparison's author."""

    text: str


@dataclass(frozen=True)
class Facts:
    """What is good to know at a glance: pairs of a name and a value."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Whisker:
    """An interval with its estimate, to be drawn beside a conclusion."""

    low: float
    high: float
    estimate: float
    null: float


@dataclass(frozen=True)
class VerdictLine:
    """One conclusion: what is concluded, the numbers it rests on, and how it is marked.

    ``reversed``: decided against the one that is named first. ``higher``: decided, and neither side is better.
    """

    headline: str
    numbers: str
    tone: Tone
    whisker: Whisker | None = None


@dataclass(frozen=True)
class VerdictList:
    """Conclusions, all in the same size.

    ``scale``: lowest and highest value of the axis that their intervals share with other lists of the page.
    """

    items: tuple[VerdictLine, ...]
    scale: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bullets:
    """A list of short statements."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; ``align`` has one letter per column: l for words, r for numbers."""

    columns: tuple[str, ...]
    align: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """One picture on disk: ``<name>.png`` and ``<name>.svg``, a heading, and one sentence that says what it shows."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class Figure:
    """A picture with its caption."""

    picture: Picture


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader opens by a click on their summary."""

    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class SampleBrowser:
    """The responses, to be searched and compared on the page.

    ``methods``, ``seeds``, ``tasks`` and ``kinds`` are what can be chosen; ``pair`` is shown first. ``incidental``: the
    names of scores in which methods may differ without disagreeing.
    """

    samples: Samples
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    kinds: tuple[str, ...]
    pair: tuple[str, str]
    incidental: tuple[str, ...]


Block = Heading | Text | Quote | Facts | VerdictList | Bullets | Table | Figure | Folded | SampleBrowser
# What was drawn of a comparison, by name.
Pictures = Mapping[str, Picture]


def drawn(pictures: Pictures, *names: str) -> list[Block]:
    """Return the figures of those names that were drawn."""
    return [Figure(pictures[name]) for name in names if name in pictures]
