"""A format of rows: how it is recognised, and what it makes of one row of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.core.errors import DataError
from bench.core.rows import kind_of

RawRow = Mapping[str, Any]
# What a format gives: pairs, several responses with scores, labelled responses, responses to imitate, or prompts alone.
Gives = Literal["preferences", "rankings", "unpaired", "demonstrations", "prompts"]
OR = "|"  # between the names that one column may have


@dataclass(frozen=True)
class RowsMade:
    """What a format makes of one row of a file.

    ``rows``: as the program names their columns (``prompt``, ``chosen``, ...), no more than checked there: a prompt is
    a text or a list of ``{"role": ..., "content": ...}``. ``told``: what a reader of the plan must know of the row, in
    words that are the same for all rows with the same fate; they are counted. A row that gives none is left out, and
    ``told`` says why.
    """

    rows: Sequence[RawRow]
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowFormat:
    """A format of rows.

    ``needed``: the columns that every row has; ``a|b`` is one column that may have either name. ``optional``: those
    read where there are any. ``fits`` says of a row with the needed columns whether it is of this format. ``make`` is
    given the rows of a file that belong together: one, or, where ``together`` names a column, all successive ones with
    the same value in it. Both are pure; ``make`` raises DataError, which names no place, for a row that cannot be used.
    """

    name: str
    gives: Gives
    about: str
    needed: tuple[str, ...]
    fits: Callable[[RawRow], bool]
    make: Callable[[Sequence[RawRow]], RowsMade]
    optional: tuple[str, ...] = ()
    together: str | None = None

    def reads(self) -> frozenset[str]:
        """Return the names of all columns that it may read."""
        return frozenset(name for entry in (*self.needed, *self.optional) for name in entry.split(OR))

    def read_of(self, row: RawRow) -> set[str]:
        """Return the columns that it reads of a row: of one that may have several names, the first that is there."""
        found = (named(row, entry) for entry in (*self.needed, *self.optional))
        return {name for name in found if name is not None}

    def fits_row(self, row: RawRow) -> bool:
        """Return whether a row has the needed columns, and what is in them is of this format."""
        return all(any(name in row for name in entry.split(OR)) for entry in self.needed) and self.fits(row)


def named(row: RawRow, entry: str) -> str | None:
    """Return by which of the names ``a|b`` a row has a column, None where it has none of them."""
    return next((name for name in entry.split(OR) if name in row), None)


def cell(row: RawRow, entry: str) -> Any:
    """Return what a row has under the first of the names ``a|b`` that it has; None where it has none."""
    name = named(row, entry)
    return None if name is None else row[name]


def is_text(value: Any) -> bool:
    """Return whether a cell is a text."""
    return isinstance(value, str)


def is_said(value: Any) -> bool:
    """Return whether a cell is a text that says something."""
    return isinstance(value, str) and bool(value.strip())


def is_turns(value: Any) -> bool:
    """Return whether a cell is a list of turns, by its first one."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def text_in(row: RawRow, entry: str) -> str:
    """Return the text that a row has under ``a|b``; raises DataError for anything else."""
    value = cell(row, entry)
    if not isinstance(value, str):
        raise DataError(f"{named(row, entry)} is {kind_of(value)}, wanted a text")
    return value


def list_in(row: RawRow, entry: str) -> list[Any]:
    """Return the list that a row has under ``a|b``; raises DataError for anything else."""
    value = cell(row, entry)
    if not isinstance(value, list):
        raise DataError(f"{named(row, entry)} is {kind_of(value)}, wanted a list")
    return value
