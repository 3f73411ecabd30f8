"""From files to the program's rows: one at a time, renamed, in their format, with what is told of them counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import floor
from pathlib import Path
from typing import Any, TypeVar

from bench.core.cells import is_finite, spelt
from bench.core.data import Data, Mixture
from bench.core.errors import DataError
from bench.core.row_formats.listing import BY_NAME, FIRST_ROWS, PLAIN_COLUMNS, Recognised, recognise, why
from bench.core.row_formats.pairs import scores_of
from bench.core.row_formats.program_row import ProgramRow
from bench.core.row_formats.ratings import as_pairs
from bench.core.row_formats.row_format import OR, RawRow, RowFormat, RowsMade, named
from bench.core.rows import kind_of, rows_or_errors

R = TypeVar("R")
TURNS_TOLD = "an earlier turn of the assistant, a demonstration of its own (train_on: assistant)"
MOST_TOGETHER = 1_000  # successive rows of one prompt
# Columns that a row of any format may have beside those of the format, by the program's names.
BESIDE = ("id", "kind", "cluster", "facts", "probability", "margin", "finish", "chosen_finish", "rejected_finish")


@dataclass
class RowsSeen:
    """What came of a file so far. ``read``: rows of it. ``made``: rows made of these. ``told``: how often what.

    ``with_margin``, ``good`` and ``bad`` are known where all rows were looked at (``bench.core.datasets.check_rows``).
    """

    read: int = 0
    made: int = 0
    with_margin: int | None = None
    good: int = 0
    bad: int = 0
    told: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Raw:
    """One row of a file, or why it cannot be read."""

    place: str
    number: int
    values: RawRow | DataError


NameOf = Callable[[Data], str]


def program_rows(
    data: Data | Mixture, name_of: NameOf, seen: RowsSeen, *, as_lists: bool = False
) -> Iterator[ProgramRow | DataError]:
    """Yield the rows of files under the program's names, a DataError in the place of one that cannot be used.

    ``name_of``: how messages name a file. ``seen`` is brought up to date. ``as_lists``: several rated responses
    stay one row.
    """
    if isinstance(data, Mixture):
        for part in data.parts:
            yield from repeated(program_rows(part.data, name_of, seen, as_lists=as_lists), part.weight)
        return
    where = name_of(data)
    one = None if data.format is None else BY_NAME.get(data.format)
    if data.format is not None and one is None:
        raise DataError(f"{where}: no format is called '{data.format}'")
    raw = _raw_rows(data, where, seen)
    made = _plain(raw, data) if one is None else _formatted(raw, data, one, seen, as_lists=as_lists)
    if data.train_on == "assistant":
        made = (part for row in made for part in _by_turn(row, seen))
    for row in made:
        if isinstance(row, ProgramRow):
            seen.made += 1
        yield row


def _by_turn(row: ProgramRow | DataError, seen: RowsSeen) -> list[ProgramRow | DataError]:
    """Return a row for every turn of the assistant in a chat with its answer: those before it are its prompt.

    So each is read as it is when a policy answers there, also by a template that lays out earlier answers otherwise. A
    turn with no user's before it answers nothing: it is told, and not trained on.
    """
    if isinstance(row, DataError):
        return [row]
    values = renamed(row.values, row.columns)
    chat = values.get("prompt")
    if not isinstance(chat, list):
        return [row]
    roles = [turn.get("role") if isinstance(turn, Mapping) else None for turn in chat]
    places = [place for place, role in enumerate(roles) if role == "assistant" and "user" in roles[:place]]
    if unasked := roles.count("assistant") - len(places):
        seen.told["a turn of the assistant before any of the user's is not trained on"] += unasked
    if not places:
        return [row]
    seen.told[TURNS_TOLD] += len(places)
    earlier = {name: value for name, value in values.items() if name != "finish"}
    found = [{**earlier, "prompt": chat[:place], "response": chat[place].get("content")} for place in places]
    return [ProgramRow(row.place, row.number, one, {}, part) for part, one in enumerate([*found, values], start=1)]


def repeated(rows: Iterable[R], weight: float) -> Iterator[R]:
    """Yield each row as often as a part of that weight has it; see ``bench.core.data.Mixture``."""
    for number, row in enumerate(rows, start=1):
        for _ in range(times(number, weight)):
            yield row


def times(number: int, weight: float) -> int:
    """Return how often the row of that number, from 1, stands in a part of that weight."""
    return floor(number * weight) - floor((number - 1) * weight)


def recognised(data: Data, rows_of: str, where: str) -> Recognised:
    """Return the format that the first rows of a file are of; ``data.format`` is what was named, where it was.

    Raises DataError, which names the file, where they are of none or may be of two, and where there are no rows.
    """
    rows = [as_far_as_there(row, data.columns) for row in first_rows(data, where)]
    if data.format is not None:
        one = BY_NAME[data.format]
        return Recognised(data.format, why(one, rows))
    try:
        return recognise(rows, rows_of)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def unread_columns(data: Data, rows_of: str, where: str) -> tuple[str, ...]:
    """Return the columns of the first rows of a file, by the file's names, that nobody reads; raises DataError."""
    own = {name for name, column in data.columns.items() if column is not None}
    one = None if data.format is None else BY_NAME[data.format]
    rows = [as_far_as_there(row, data.columns) for row in first_rows(data, where)]
    formatted = None if one is None else set().union(*(one.read_of(row) for row in rows))
    # A file that serves as prompts by its format is read whole; of one in our own columns its prompt is read alone.
    read = {*(PLAIN_COLUMNS[rows_of] if formatted is None else formatted), *BESIDE, *own, *data.facts}
    there = (name for row in rows for name in row)
    back = {name: column for name, column in data.columns.items() if column is not None}
    scores = {"score_chosen", "score_rejected"} if data.margins is not None else set()
    return tuple(back.get(str(name), str(name)) for name in dict.fromkeys(there) if name not in read | scores)


def first_rows(data: Data, where: str, most: int = FIRST_ROWS) -> list[RawRow]:
    """Return the first rows of a file with the file's names, those left out that cannot be read.

    Raises DataError where there are no rows, and for the first one where none of them can be read.
    """
    raw = list(islice(_raw_rows(data.model_copy(update={"limit": None}), where, RowsSeen()), most))
    found = [one.values for one in raw if not isinstance(one.values, DataError)]
    if found:
        return found
    if raw and isinstance(raw[0].values, DataError):
        raise raw[0].values
    raise DataError(f"{where}: holds no rows")


def _raw_rows(data: Data, where: str, seen: RowsSeen) -> Iterator[_Raw]:
    """Yield the rows of all files of a data set."""
    number = 0
    for file, of_file in files_of(data, where):
        for in_file, (_, values) in enumerate(rows_or_errors(file, of_file), start=1):
            number += 1
            if data.limit is not None and number > data.limit:
                return
            seen.read += 1
            place = f"{of_file}, row {in_file}"
            if isinstance(values, Mapping | DataError):
                yield _Raw(place, number, values)
            else:
                yield _Raw(place, number, DataError(f"{place}: {kind_of(values)}, wanted named columns"))


def files_of(data: Data, where: str) -> list[tuple[Path, str]]:
    """Return the files of a data set with how messages name them."""
    if not data.files:
        return [(Path(data.path), where)]
    return [(Path(data.path) / name, f"{where}/{name}") for name in data.files]


def _plain(rows: Iterable[_Raw], data: Data) -> Iterator[ProgramRow | DataError]:
    for raw in rows:
        if isinstance(raw.values, DataError):
            yield raw.values
        elif not (data.facts or data.margins):
            yield ProgramRow(raw.place, raw.number, raw.values, data.columns)
        else:
            try:
                values = renamed(raw.values, data.columns)
                yield ProgramRow(raw.place, raw.number, {**values, **_asked_of(values, values, data)}, {})
            except DataError as error:
                yield DataError(f"{raw.place}: {error}")


def _formatted(
    rows: Iterable[_Raw], data: Data, one: RowFormat, seen: RowsSeen, *, as_lists: bool
) -> Iterator[ProgramRow | DataError]:
    for group in _groups(rows, data, one.together):
        if isinstance(group, DataError):
            yield group
            continue
        first = group[0]
        try:
            found = _made(group, data, one, as_lists=as_lists)
        except DataError as error:
            yield DataError(f"{first.place}: {error}")
            continue
        seen.told.update(found.told)
        several = len(found.rows) > 1
        for part, values in enumerate(found.rows, start=1):
            yield ProgramRow(first.place, first.number, values, {}, part if several else None)


def _made(group: Sequence[_Raw], data: Data, one: RowFormat, *, as_lists: bool) -> RowsMade:
    """Return the program's rows of rows that belong together; raises DataError without a place."""
    rows = [raw.values for raw in group if not isinstance(raw.values, DataError)]
    missing = [entry for row in rows for entry in one.needed if named(row, entry) is None]
    if missing:
        raise DataError(f"no column '{missing[0].replace(OR, ' or ')}', which {one.name} needs")
    found = one.make(rows)
    beside = {name: rows[0][name] for name in BESIDE if name in rows[0]}
    made: list[RawRow] = []
    told = list(found.told)
    for row in found.rows:
        if one.gives == "rankings" and not as_lists:
            pairs = as_pairs(row, data.pairing)
            made += pairs.rows
            told += pairs.told
        else:
            made.append(row)
    return RowsMade([{**beside, **row, **_asked_of(rows[0], row, data)} for row in made], tuple(told))


def _asked_of(raw: RawRow, row: RawRow, data: Data) -> dict[str, Any]:
    """Return the columns that a comparison asks for: facts by their names, the margin from two scores."""
    found: dict[str, Any] = {}
    if data.facts:
        for name in data.facts:
            if name not in raw:
                raise DataError(f"no column '{name}', which `facts` names")
        found["facts"] = {name: raw[name] for name in data.facts}
    if data.margins and "responses" not in row:  # a list is whole
        scores = scores_of(row)
        for name in ("score_chosen", "score_rejected"):
            if not is_finite(scores.get(name)) or isinstance(scores[name], bool):
                raise DataError(f"`margins: scores` needs {name}, which is {spelt(scores.get(name))}")
        found["margin"] = scores["score_chosen"] - scores["score_rejected"]
    return found


def _groups(rows: Iterable[_Raw], data: Data, together: str | None) -> Iterator[list[_Raw] | DataError]:
    """Yield the rows that belong together, renamed: each alone, or successive ones with one value in a column."""
    group: list[_Raw] = []
    for raw in rows:
        if isinstance(raw.values, DataError):
            yield raw.values
            continue
        try:
            one = _Raw(raw.place, raw.number, renamed(raw.values, data.columns))
        except DataError as error:
            yield DataError(f"{raw.place}: {error}")
            continue
        if group and not (together and _same(group[0], one, together)):
            yield group
            group = []
        group.append(one)
        if len(group) > MOST_TOGETHER:
            raise DataError(f"{raw.place}: more than {MOST_TOGETHER:,} successive rows have the same `{together}`")
    if group:
        yield group


def _same(one: _Raw, other: _Raw, column: str) -> bool:
    rows = [raw.values for raw in (one, other) if isinstance(raw.values, Mapping)]
    return len(rows) == 2 and column in rows[0] and rows[0][column] == rows[1].get(column)


def renamed(row: RawRow, columns: Mapping[str, str | None]) -> RawRow:
    """Return a row under the program's names; a column left unread, and one that has another name now, is not there.

    Only ``prompt`` may be read as something else too. Raises DataError, which names no place, for a column that the
    row has not.
    """
    if not columns:
        return row
    left = {*columns, *columns.values()} - {"prompt" if columns.get("prompt", "prompt") == "prompt" else None}
    found = {name: value for name, value in row.items() if name not in left}
    for name, column in columns.items():
        if column is not None:
            if column not in row:
                raise DataError(f"no column '{column}', which `columns: {{{name}: {column}}}` names")
            found[name] = row[column]
    return found


def as_far_as_there(row: RawRow, columns: Mapping[str, str | None]) -> RawRow:
    """Return a row under the program's names of those columns that it has."""
    return renamed(row, {name: column for name, column in columns.items() if column is None or column in row})
