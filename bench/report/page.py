"""A report as plain blocks: what it says, apart from how Markdown or HTML write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.plots.style import Picture

Tone = Literal["decided", "undecided", "control", "alarm"]


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
class Verdict:
    """One conclusion: what is concluded, the numbers it rests on, and how it is marked."""

    headline: str
    numbers: str
    tone: Tone


@dataclass(frozen=True)
class Verdicts:
    """Conclusions, all in the same size."""

    items: tuple[Verdict, ...]


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
class Figure:
    """A picture with its caption."""

    picture: Picture


Block = Heading | Text | Quote | Verdicts | Bullets | Table | Figure
