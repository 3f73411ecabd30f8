"""Numbers as a report prints them, read back: estimates with intervals in running text, and tables of contrasts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np

from bench.statistics.tests.confidence import FloatArray

NUMBER = r"[+\-\u2212]?\d+(?:,\d{3})*(?:\.\d+)?"
WITH_INTERVAL = re.compile(rf"(?<![\w.])({NUMBER})(%?),? \[({NUMBER})%?, ({NUMBER})%?\]")
INTERVAL = re.compile(rf"\[({NUMBER}), ({NUMBER})\]")
Triple = tuple[float, float, float]


def value(text: str) -> float:
    return float(text.replace("\u2212", "-").replace(",", ""))


def agrees(text: str, exact: float | None) -> bool:
    """Whether a printed number is the exact one, rounded to the digits that are printed; a dash is None."""
    found = re.search(NUMBER, text)
    if found is None or exact is None:
        return found is None and exact is None
    if text.strip().startswith("<"):
        return exact < value(found[0])
    return abs(value(found[0]) - exact) <= tolerance(found[0])


def tolerance(text: str) -> float:
    """How far a number may be from the one that is printed: half of the last digit."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2]) * (1 + 1e-9)


def with_intervals(text: str) -> list[tuple[str, str, str]]:
    """Every ``estimate [low, high]`` in a text; percentages left out."""
    return [(found[1], found[3], found[4]) for found in WITH_INTERVAL.finditer(text) if not found[2]]


# What the middle of an interval is called.
CENTRES = ("estimate", "share", "value", "reduction", "strength")


def triples(body: Any) -> Iterator[Triple]:
    """Every (estimate, low, high) in the JSON of the conclusions."""
    if isinstance(body, dict):
        centre = next((body[name] for name in CENTRES if name in body), None)
        for low, high in (("low", "high"), ("adjusted_low", "adjusted_high"), ("bootstrap_low", "bootstrap_high")):
            ends = body.get(low), body.get(high)
            if all(isinstance(part, int | float) for part in (centre, *ends)):
                yield centre, *ends
        if isinstance(body.get("values"), list):
            yield from zip(body["values"], body["low"], body["high"], strict=True)
        if body.get("gap") is not None:
            yield body["gap"], body["gap_low"], body["gap_high"]
        for part in body.values():
            yield from triples(part)
    elif isinstance(body, list):
        for part in body:
            yield from triples(part)


def known(printed: tuple[str, str, str], exact: FloatArray) -> bool:
    """Whether some conclusion, a row of ``exact``, ``agrees`` in these three numbers."""
    numbers = np.array([value(text) for text in printed])
    return bool((np.abs(exact - numbers) <= [tolerance(text) for text in printed]).all(axis=1).any())


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """The tables of a Markdown text, as rows by column title."""
    rows: list[list[str]] = []
    for line in [*text.split("\n"), ""]:
        if line.startswith("| "):
            rows.append([cell.strip().replace("\\", "") for cell in line.strip("| ").split(" | ")])
        elif rows:
            head, *body = rows
            yield [dict(zip(head, row, strict=False)) for row in body if not set("".join(row)) <= set("-: ")]
            rows = []


class AsMarkdown(HTMLParser):
    """Text of a page, its tables as Markdown's; scripts and styles left out."""

    def __init__(self) -> None:
        super().__init__()
        self.out: list[str] = []
        self._quiet = 0
        self._row: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._quiet += 1
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._row.append("")
        elif tag in ("p", "li", "h1", "h2", "h3", "table", "div"):
            self.out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._quiet -= 1
        elif tag == "tr" and self._row is not None:
            self.out.append("\n| " + " | ".join(cell.strip() for cell in self._row) + " |")
            self._row = None
        elif tag == "table":
            self.out.append("\nend of the table\n")

    def handle_data(self, data: str) -> None:
        if self._quiet:
            return
        if self._row:
            self._row[-1] += data
        elif self._row is None:
            self.out.append(" ".join(data.split("\n")) if data.strip() else " ")


def page_as_markdown(html: str) -> str:
    parser = AsMarkdown()
    parser.feed(html)
    return re.sub(r"\n *\n", "\n", "".join(parser.out).replace("\n\n", "\n"))
