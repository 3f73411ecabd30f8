"""Rows of a person's file and what their cells hold: a cell is checked before it is used, and none is guessed at.

A format has its own way to leave a cell empty: null in JSON and Parquet, no characters in CSV, NaN where pandas wrote
the file. All three are a missing cell. 0 and False are values. What a cell holds is never spelt out by ``str``: a list
would become its Python form, and null the word "None".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from pydantic import ValidationError

from bench.core.errors import DataError, abridged, did_you_mean
from bench.core.policy import Chat, Message
from bench.core.rows import all_read, kind_of, placed_rows, rows_or_errors

R = TypeVar("R")
_SPELT = 80


@dataclass(frozen=True)
class FileRow:
    """One row of a file, and where it stands. Its cells are read by what they must be, and in no other way."""

    where: str
    _cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """Return the text in a cell as it stands, which may be empty; raises DataError for anything else."""
        return text_of(self.cell(column), self.what(column))

    def stated(self, column: str) -> str:
        """Return the text in a cell without the space around it; raises DataError where it says nothing."""
        return stated(self.text(column), self.what(column))

    def label(self, column: str) -> str | None:
        """Return the name in a cell that rows need not have; see ``label_of``."""
        return label_of(self._cells.get(column), self.what(column))

    def number(self, column: str) -> float | None:
        """Return the finite number in a cell, written as a number or as text; None for a missing cell."""
        cell = self._cells.get(column)
        if is_missing(cell):
            return None
        if isinstance(cell, str | int | float) and not isinstance(cell, bool):
            try:
                found = float(cell)
            except (ValueError, OverflowError):
                found = math.nan
            if math.isfinite(found):
                return found
        raise DataError(f"{self.what(column)} is {spelt(cell)}, wanted a number")

    def has(self, column: str) -> bool:
        """Return whether the row has such a column."""
        return column in self._cells

    def question(self, column: str) -> Chat:
        """Return what is asked: a text is one user turn; a list of turns ends with the user's, which says something."""
        chat = chat_of(self.cell(column), self.what(column))
        if chat[-1].role != "user":
            raise DataError(
                f"{self.what(column)} ends with a turn of the {chat[-1].role}; what is asked ends with the user's."
            )
        stated(chat[-1].content, self.what(column))
        return chat

    def texts(self, column: str, separator: str) -> list[str]:
        """Return the texts in a cell, each on one line; see ``texts_of``."""
        return texts_of(self.cell(column), separator, self.what(column))

    def what(self, column: str) -> str:
        """Return how an error message names a cell."""
        return f"{self.where}: {column}"

    def cell(self, column: str) -> Any:
        """Return what stands in a cell, whatever it is; raises DataError where the row has no such column."""
        if column not in self._cells:
            raise DataError(f"{self.where}: no column {column!r}. {did_you_mean(column, self._cells)}")
        return self._cells[column]


def rows_in(path: Path, where: str) -> Iterator[FileRow]:
    """Yield the rows of a file; raises DataError for one without rows, and for a row without named columns.

    ``where`` is how error messages name the file.
    """
    empty = True
    for place, row in placed_rows(path, where):
        empty = False
        if not isinstance(row, Mapping):
            raise DataError(f"{place}: {kind_of(row)}, wanted named columns")
        yield FileRow(place, row)
    if empty:
        raise DataError(f"{where}: no rows in it")


def all_rows_in(path: Path, where: str, read: Callable[[FileRow], R]) -> Sequence[R]:
    """Return what ``read`` makes of every row of a file; raises one DataError about all rows that are wrong."""

    def rows() -> Iterator[FileRow | DataError]:
        for place, row in rows_or_errors(path, where):
            if isinstance(row, DataError):
                yield row
            elif isinstance(row, Mapping):
                yield FileRow(place, row)
            else:
                yield DataError(f"{place}: {kind_of(row)}, wanted named columns")

    found = list(all_read(rows(), read, where))
    if not found:
        raise DataError(f"{where}: no rows in it")
    return found


def spelt(cell: Any) -> str:
    """Return a cell as an error message writes it: short, and no more than its kind where it holds others."""
    return abridged(repr(cell), _SPELT) if isinstance(cell, str | int | float) and _is_short(cell) else kind_of(cell)


def _is_short(cell: str | float) -> bool:
    return not isinstance(cell, int) or -(10**_SPELT) < cell < 10**_SPELT


def is_finite(cell: Any) -> TypeGuard[int | float]:
    """Return whether a cell is a number that a float can hold, truth values included."""
    try:
        return isinstance(cell, int | float) and math.isfinite(cell)
    except OverflowError:
        return False


def is_missing(cell: Any) -> bool:
    """Return whether a cell is left empty: null, NaN, or a text without a letter."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def text_of(cell: Any, what: str) -> str:
    """Return a cell's text as it stands; raises DataError for anything else."""
    if not isinstance(cell, str):
        raise DataError(f"{what} is {kind_of(cell)}, wanted a text")
    return cell


def stated(text: str, what: str) -> str:
    """Return a text without the space around it; raises DataError where it says nothing."""
    if not text.strip():
        raise DataError(f"{what} is empty")
    return text.strip()


def chat_of(cell: Any, what: str) -> Chat:
    """Return the chat in a cell: a text is one user turn. Raises DataError for anything but a text or chat turns."""
    if isinstance(cell, str):
        return (Message(role="user", content=cell),)
    if not isinstance(cell, list) or not cell:
        raise DataError(f"{what} is {kind_of(cell)}, wanted a text or chat turns")
    try:
        return tuple(Message.model_validate(_without_nulls(turn)) for turn in cell)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{what} has a turn that cannot be used: {abridged(first['msg'], 200)}. "
            'A turn is {"role": "user" | "assistant" | "system", "content": text}.'
        ) from error


def _without_nulls(turn: Any) -> Any:
    """Return a turn without the keys that only other turns fill: a table writes them as null."""
    if not isinstance(turn, Mapping):
        return turn
    return {key: value for key, value in turn.items() if value is not None or key in ("role", "content")}


def label_of(cell: Any, what: str) -> str | None:
    """Return the name in a cell: a text as it stands, or a number in digits; None for a missing one.

    A whole number is the same name however it is written (3, 3.0, "3"), since one missing cell makes floats of a
    column of integers. Raises DataError for a truth value, an infinite number, a list and all else.
    """
    if is_missing(cell):
        return None
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, bool) and is_finite(cell):
        return str(int(cell)) if cell == int(cell) else repr(cell)
    raise DataError(f"{what} is {kind_of(cell)}, wanted a text or a number")


def texts_of(cell: Any, separator: str, what: str) -> list[str]:
    """Return the texts of a list, or those that ``separator`` divides in one text, each on one line.

    Blank ones are none. Raises DataError for anything else, for a member of the list that is no text, and where
    nothing is left.
    """
    if isinstance(cell, str):
        parts: list[Any] = cell.split(separator)
    elif isinstance(cell, list):
        parts = cell
    else:
        raise DataError(f"{what} are {kind_of(cell)}, wanted a list of texts or one text")
    lines = [" ".join(text_of(part, f"{what}, number {number}").split()) for number, part in enumerate(parts, start=1)]
    kept = [line for line in lines if line]
    if not kept:
        raise DataError(f"{what} has no text in it")
    return kept


def own_cluster(id_: str, named: Collection[str]) -> str:
    """Return the cluster of a row that names none: its id, marked where that is the name of others' cluster."""
    while id_ in named:
        id_ = f"{id_} alone"
    return id_
