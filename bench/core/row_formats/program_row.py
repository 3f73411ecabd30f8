"""A row as the program names its columns: every cell is checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.cells import chat_of, is_finite, is_missing, label_of, spelt, text_of
from bench.core.errors import DataError, did_you_mean
from bench.core.policy import Chat
from bench.core.row_formats.listing import FORMATS
from bench.core.rows import kind_of

EVEN = 0.5
# How a response stopped: by itself, or at the longest length that it might have.
FINISHES = ("end", "length")


@dataclass(frozen=True)
class ProgramRow:
    """One row under the program's names of its columns, and where it stands.

    ``place``: how an error message names it. ``number``: that of the row of the file, from 1. ``columns``: as of
    ``Data``, where the values have the file's names. ``part``: which of several that one row of the file gave, from 1.
    """

    place: str
    number: int
    values: Mapping[str, Any]
    columns: Mapping[str, str | None]
    part: int | None = None

    def get(self, name: str) -> Any:
        """Return what is in a column that every row needs."""
        column = self.columns.get(name, name)
        if column is None:
            raise DataError(f"{self.place}: `columns: {{{name}: null}}` leaves out a column that every row needs")
        if column not in self.values:
            renamed = f" (it stands for {name!r})" if column != name else ""
            how = f"To rename one, write `columns: {{{name}: the file's name}}` beside the data's path."
            raise DataError(
                f"{self.place}: no column {column!r}{renamed}. {did_you_mean(column, self.values)} {how}"
                f"{self._looks_like()}"
            )
        return self.values[column]

    def _looks_like(self) -> str:
        """Return which format the row is of, where it is read as one of the program's own columns and is not."""
        found = next((one.name for one in FORMATS if one.fits_row(self.values)), None)
        return "" if found is None else f" Rows like this have the format `{found}`."

    def id(self) -> str:
        """Return the row's own id, or its number, and which of several it is."""
        own = self.label("id")
        found = str(self.number) if own is None else own
        return found if self.part is None else f"{found}.{self.part}"

    def label(self, name: str) -> str | None:
        """Return the name in a cell that rows need not have; see ``bench.core.cells.label_of``."""
        return label_of(self.optional(name), self.what(name))

    def facts(self) -> dict[str, str]:
        """Return what is known of a prompt, a text or a number each; a fact left empty is none."""
        cell = self.optional("facts")
        if is_missing(cell):
            return {}
        if not isinstance(cell, Mapping):
            raise DataError(
                f"{self.what('facts')} are {kind_of(cell)}, wanted a mapping of texts. Where the column is something "
                "else, write `columns: {facts: null}` beside the data's path."
            )
        named = {str(name): label_of(value, f"{self.what('facts')}: {name}") for name, value in cell.items()}
        return {name: value for name, value in named.items() if value is not None}

    def what(self, name: str) -> str:
        """Return how an error message names a cell."""
        return f"{self.place}: {name}"

    def optional(self, name: str) -> Any:
        """Return the value of a column that rows need not have, None where it is missing or left unread."""
        column = self.columns.get(name, name)
        return None if column is None else self.values.get(column)

    def imitates_the_worse(self) -> bool:
        """Return whether the response is a preference's ``chosen``, and its label says that the other is better."""
        renamed = self.columns.get("response") == "chosen"
        return renamed and self.number_in("probability", default=1.0, most=1.0) < EVEN

    def text(self, name: str) -> str:
        """Return the text in a column that every row needs."""
        value = self.get(name)
        if isinstance(value, list):
            raise DataError(f"{self.what(name)} is {kind_of(value)}, wanted a text.{self._looks_like()}")
        return text_of(value, self.what(name))

    def number_in(self, name: str, *, default: float, most: float | None = None) -> float:
        """Return a finite number, at least 0 and at most ``most``; ``default`` where the column is missing or null."""
        value = self.optional(name)
        if value is None:
            return default
        if isinstance(value, bool) or not is_finite(value) or value < 0 or (most is not None and value > most):
            wanted = "a number of at least 0" if most is None else f"a number from 0 to {most:g}"
            raise DataError(f"{self.place}: {name} is {spelt(value)}, wanted {wanted}")
        return float(value)

    def ended(self, name: str) -> bool:
        """Return whether a response ended by itself; one without such a column did."""
        value = self.optional(name)
        if value not in (None, *FINISHES):
            wanted = " or ".join(FINISHES)
            raise DataError(f"{self.place}: {name} is {spelt(value)}, wanted {wanted}")
        return bool(value != "length")

    def chat(self, name: str) -> Chat:
        """Return the chat in a column that every row needs; a text is one turn of the user."""
        return chat_of(self.get(name), self.what(name))
