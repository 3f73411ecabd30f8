"""What was found in the rows of a file when all of them were looked at, so that a plan need not look again."""

from __future__ import annotations

from bench.core.data import Data
from bench.core.frozen import Frozen, digest
from bench.core.row_formats.reading import RowsSeen


class RowFacts(Frozen):
    """What planning asks of rows.

    ``rows``: how many. ``with_margin``: the number of the first row with a margin other than 0. ``good`` and ``bad``:
    responses that are labelled so by themselves.
    """

    rows: int
    with_margin: int | None = None
    good: int = 0
    bad: int = 0


_FACTS: dict[str, RowFacts] = {}  # by what the facts are of: the bytes and settings of data, so none outlives a change


def facts_of(seen: RowsSeen) -> RowFacts:
    """Return what all rows of a file told."""
    return RowFacts(rows=seen.made, with_margin=seen.with_margin, good=seen.good, bad=seen.bad)


def remember(data: Data, rows_of: str, facts: RowFacts) -> None:
    """Keep what is known of data, for the rest of this process."""
    _FACTS[digest([data, rows_of])] = facts


def known_facts(data: object, rows_of: str) -> RowFacts | None:
    """Return what is known of the rows of a file; None where they were not looked at in this process."""
    return _FACTS.get(digest([data, rows_of])) if isinstance(data, Data) else None
