"""All formats, and which of them a file is of: what its columns and first rows say, or an error, and never a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bench.core.cells import is_missing, spelt
from bench.core.errors import DataError, abridged, did_you_mean, some_of
from bench.core.row_formats import pairs, published_pairs, ratings, supervised, trees, unpaired
from bench.core.row_formats.row_format import OR, Gives, RawRow, RowFormat, is_text, is_turns

FORMATS: tuple[RowFormat, ...] = (
    *pairs.FORMATS, *published_pairs.FORMATS, *ratings.FORMATS, *supervised.FORMATS, *trees.FORMATS, *unpaired.FORMATS
)  # fmt: skip
BY_NAME: Mapping[str, RowFormat] = {one.name: one for one in FORMATS}
PLAIN = "plain"  # what `format:` says for the program's own columns, which are no entry of the list
# What is given as data of a kind may have formats that give these.
SERVES: Mapping[str, tuple[Gives, ...]] = {
    "preferences": ("preferences", "rankings", "unpaired"),
    "demonstrations": ("demonstrations",),
    "prompts": ("prompts",),
}
# A file of these gives prompts too, where it has no column that says them alone.
_ALSO_PROMPTS: tuple[Gives, ...] = ("preferences", "rankings", "unpaired", "demonstrations")
FIRST_ROWS = 20
_SHOWN, _NAME = 8, 40  # columns, and characters of a name
_WRITTEN_OUT = re.compile(r"""\s*\[\s*\{\s*['"](role|content|from|value)['"]\s*:""")
PLAIN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "preferences": ("prompt", "chosen", "rejected"),
    "demonstrations": ("prompt", "response"),
    "prompts": ("prompt",),
}


@dataclass(frozen=True)
class Recognised:
    """The format of a file. ``name``: None for the program's own columns. ``why``: what told it, for a person."""

    name: str | None
    why: str


def recognise(rows: Sequence[Any], rows_of: str) -> Recognised:
    """Return the format of the first rows of a file, columns renamed; ``rows_of``: what the file is given as.

    Raises DataError, which does not name the file, where they are of none, and where they may be of two.
    """
    seen = [row for row in rows[:FIRST_ROWS] if isinstance(row, Mapping)]
    if not seen:
        return Recognised(None, "no row with named columns")
    _check_written_out(seen)
    columns = PLAIN_COLUMNS[rows_of]
    found = fitting(seen, rows_of)
    if _is_plain(seen[0], columns):  # a format that reads none of them is beside the point, and was never read
        found = [one for one in found if one.reads() >= set(columns)]
    if len(found) == 1:
        return Recognised(found[0].name, why(found[0], seen))
    if not found and all(name in seen[0] for name in columns):
        return Recognised(None, f"its columns {', '.join(f'`{name}`' for name in columns)}")
    if not found and rows_of == "prompts" and (other := _found(seen, _ALSO_PROMPTS)):
        found = other
        if len(found) == 1:
            return Recognised(found[0].name, why(found[0], seen))
    names = [one.name for one in found]
    if len(found) > 1:
        raise DataError(
            f"may be {' or '.join(names)} ({looks(seen[0])})\nsay which it is: `format: {names[0]}` beside the path"
        )
    raise DataError(_none_fits(seen[0], rows_of))


def _check_written_out(rows: Sequence[RawRow]) -> None:
    """Raise DataError where a cell is a list of turns written out as one text, as tables of text have it."""
    for row in rows:
        for name, value in row.items():
            if is_text(value) and _WRITTEN_OUT.match(value):
                raise DataError(
                    f"'{name}' is a list of turns written out as a text\nwrite the rows as JSON Lines or Parquet, in "
                    "which a cell can be a list; or name the format: `format: plain` reads the text as it stands"
                )


def _is_plain(row: RawRow, columns: Sequence[str]) -> bool:
    """Return whether a row has the program's own columns, and in them what they hold."""
    texts = all(is_text(row.get(name)) for name in columns if name != "prompt")
    return texts and (is_text(row.get("prompt")) or is_turns(row.get("prompt")))


def why(one: RowFormat, rows: Sequence[RawRow]) -> str:
    """Return which columns tell a format, and how many of the first rows fit it."""
    there = [name for entry in one.needed for name in entry.split(OR) if name in rows[0]]
    fit = sum(one.fits_row(row) for row in rows)
    return f"{', '.join(f'`{name}`' for name in there)}: fits {fit} of the first {len(rows)} rows"


def fitting(rows: Sequence[RawRow], rows_of: str) -> list[RowFormat]:
    """Return the formats of the list that any of the rows is of."""
    return _found(rows, SERVES[rows_of])


def _found(rows: Sequence[RawRow], gives: Sequence[Gives]) -> list[RowFormat]:
    return [one for one in FORMATS if one.gives in gives and any(one.fits_row(row) for row in rows)]


def format_named(name: str, rows_of: str) -> str | None:
    """Return the format that ``format:`` names, None for the program's own columns.

    Raises DataError for an unknown one, and for one whose rows are no data of the kind ``rows_of``.
    """
    if name == PLAIN:
        return None
    known = [PLAIN, *(one.name for one in serving(rows_of))]
    if name not in BY_NAME:
        raise DataError(f"no format is called '{name}'. {did_you_mean(name, known)}")
    if name not in known:
        raise DataError(
            f"the format '{name}' gives {BY_NAME[name].gives}, and this is read as {rows_of}\nknown: {', '.join(known)}"
        )
    return name


def serving(rows_of: str) -> list[RowFormat]:
    """Return the formats whose rows can be read as data of a kind; every format has prompts."""
    return [one for one in FORMATS if one.gives in SERVES[rows_of] or rows_of == "prompts"]


def gives(name: str | None) -> Gives | None:
    """Return what the format of that name gives; None for the program's own columns, and for a name of none."""
    one = None if name is None else BY_NAME.get(name)
    return None if one is None else one.gives


def looks(row: RawRow) -> str:
    """Return the first columns of a row with what is in them, in words."""
    found = some_of([f"{abridged(str(name), _NAME)}: {_kind(value)}" for name, value in islice(row.items(), _SHOWN)])
    return found if len(row) <= _SHOWN else f"{found}, ..."


def _kind(value: Any) -> str:
    if is_missing(value):
        return "nothing"
    if is_turns(value):
        return f"list of mappings ({', '.join(map(str, list(value[0])[:6]))})"
    return "text" if is_text(value) else spelt(value) if isinstance(value, bool) else type(value).__name__


def _none_fits(row: RawRow, rows_of: str) -> str:
    """Return what was seen of a file of no known format, and what would work."""
    columns = PLAIN_COLUMNS[rows_of]
    missing = [name for name in columns if name not in row]
    what = "column" if len(missing) == 1 else "columns"
    names = ", ".join(f"'{name}'" for name in missing)
    others = [one for one in FORMATS if one.gives not in (*SERVES[rows_of], "prompts") and one.fits_row(row)]
    lines = [
        f"no {what} {names} in the first row (it has {some_of([str(name) for name in row]) or 'none'})",
        f"it looks like this: {looks(row)}",
        *(f"it would be {one.name}, which gives {one.gives}; this is read as {rows_of}" for one in others[:1]),
        f"name the file's columns with `columns: {{{missing[0]}: ...}}`, or have one of these formats:",
        *(f"- {one.name}: {one.about}" for one in FORMATS if one.gives in SERVES[rows_of]),
    ]
    return "\n    ".join(lines).replace("\n    ", "\n", 1)  # the first of what to do is indented by whoever prints it
