"""Rows to train on: read, checked and renamed, before tokenisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bench.core.cells import chat_of, is_finite, is_missing, label_of, spelt, text_of
from bench.core.data import Data, DataSpec, Made
from bench.core.errors import DataError, did_you_mean
from bench.core.files import kind_at
from bench.core.frozen import digest_of_file
from bench.core.lengths import RowsOf
from bench.core.policy import Chat
from bench.core.rows import all_read, kind_of, read_rows, rows_or_errors
from bench.core.stage import Stage, StageIO
from bench.core.task import Prompt

R = TypeVar("R")
ROWS_FILE = "rows.jsonl"
EVEN = 0.5
_WORSE = (
    "{where}, row {number}: its response is the column `chosen`, and its probability, below 0.5, says that `rejected` "
    "is the better one. Leave such rows out, name another column, or write `columns: {{probability: null}}` beside the "
    "data's path to imitate `chosen` all the same."
)
# How a response stopped: by itself, or at the longest length that it might have.
FINISHES = ("end", "length")


@dataclass(frozen=True)
class Reply:
    """A response as text; ``ended`` is false where it was cut off while it was written, so that no end follows."""

    text: str
    ended: bool = True

    @property
    def finish(self) -> str:
        """The same as a column of data."""
        return "end" if self.ended else "length"


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the response to imitate. ``id`` is the row's own, or its number in the file, counted from 1.

    ``ended`` is false for a response that was cut off while it was written (column ``finish``: ``length``).
    """

    id: str
    prompt: Chat
    response: str
    ended: bool = True

    def replies(self) -> tuple[Reply]:
        """Return the response."""
        return (Reply(self.response, self.ended),)


@dataclass(frozen=True)
class Preference:
    """A prompt and two responses, of which ``chosen`` was preferred.

    ``probability`` is the soft label, the probability that ``chosen`` is the better one: 1 for a hard label. ``margin``
    says by how much it is better, in units of reward (Llama 2, arXiv:2307.09288, section 3.2.2): 0 without one.
    ``chosen_ended`` and ``rejected_ended`` are false for a response that was cut off while it was written.
    """

    id: str
    prompt: Chat
    chosen: str
    rejected: str
    probability: float = 1.0
    margin: float = 0.0
    chosen_ended: bool = True
    rejected_ended: bool = True

    def replies(self) -> tuple[Reply, Reply]:
        """Return the responses in the order chosen, rejected."""
        return (Reply(self.chosen, self.chosen_ended), Reply(self.rejected, self.rejected_ended))


def read_demonstrations(data: DataSpec, io: Finished) -> list[Demonstration]:
    """Return the rows of ``data`` with columns ``prompt`` and ``response``, and ``id`` where they have one.

    A prompt is a text (one user turn) or a list of ``{"role": ..., "content": ...}``. Raises DataError naming the
    file, the row and the column for anything that cannot be used, for a file whose bytes have changed, and where
    ``response`` is a preference's ``chosen`` and its ``probability`` says that it is the worse one. A column ``finish``
    (``end``, or ``length`` for a response that was cut off) is read where there is one. All rows are looked at first:
    the error is about every wrong one, of which ten are shown.
    """
    return list(each_demonstration(data, io))


def each_demonstration(data: DataSpec, io: Finished) -> Iterator[Demonstration]:
    """Yield the same one by one, for data that need not be in memory; the error comes behind the last row."""
    return _each_of(data, io, _demonstration)


def _demonstration(row: _Row) -> Demonstration:
    if row.imitates_the_worse():
        raise DataError(_WORSE.format(where=row.where, number=row.number))
    return Demonstration(row.id(), row.chat("prompt"), row.text("response"), ended=row.ended("finish"))


class Finished(Protocol):
    """What gives the payload folder of a finished stage."""

    def read(self, stage: Stage) -> Path:
        """Return the folder."""


def read_preferences(data: DataSpec, io: Finished) -> list[Preference]:
    """Return the rows of ``data`` with columns ``prompt``, ``chosen`` and ``rejected``; see read_demonstrations.

    Columns ``probability`` (in [0, 1]) and ``margin``, ``chosen_finish`` and ``rejected_finish`` are read where there
    are any.
    """
    return list(each_preference(data, io))


def each_preference(data: DataSpec, io: Finished) -> Iterator[Preference]:
    """Yield the same one by one, for data that need not be in memory; the error comes behind the last row."""
    return _each_of(data, io, _preference)


def _preference(row: _Row) -> Preference:
    return Preference(
        row.id(),
        row.chat("prompt"),
        row.text("chosen"),
        row.text("rejected"),
        probability=row.number_in("probability", default=1.0, most=1.0),
        margin=row.number_in("margin", default=0.0),
        chosen_ended=row.ended("chosen_finish"),
        rejected_ended=row.ended("rejected_finish"),
    )


def check_rows(data: Data, rows_of: RowsOf, where: str) -> None:
    """Raise the DataError that reading a file as such rows would raise; ``where`` is how messages name the file."""
    read: dict[RowsOf, Callable[[_Row], object]] = {
        "demonstrations": _demonstration, "preferences": _preference, "prompts": _prompt
    }  # fmt: skip
    empty = True
    for _ in all_read(_read(data, Path(data.path), where), read[rows_of], where):
        empty = False
    if empty:
        raise DataError(f"{where}: no rows")


def row_with_margin(data: DataSpec) -> int | None:
    """Return the number of the first row of a file with a margin other than 0, counted from 1.

    None where there is none, for rows that a stage has yet to make, and for a file that is not here. A file is read
    once, however many arms and seeds ask. Raises DataError as ``read_preferences``.
    """
    if isinstance(data, Made):
        return None
    return _row_with_margin(data.path, data.digest, tuple(sorted(data.columns.items())), data.limit)


@lru_cache(maxsize=64)
def _row_with_margin(
    path: str, digest: str, columns: tuple[tuple[str, str | None], ...], limit: int | None
) -> int | None:
    data = Data(path=path, digest=digest, columns=dict(columns), limit=limit)
    found = _first(data, lambda row: row.number_in("margin", default=0.0) != 0)
    return None if found is None else found.number


def check_demonstrations(data: DataSpec) -> None:
    """Raise the DataError of ``read_demonstrations`` for a file that imitates the worse response of a pair.

    Nothing is known of rows that a stage has yet to make.
    """
    found = _first(data, _Row.imitates_the_worse) if "response" in _renamed(data) else None
    if found is not None:
        raise DataError(_WORSE.format(where=found.where, number=found.number))


def read_utilities(data: DataSpec, io: StageIO) -> list[float | None]:
    """Return by how much the true utility of ``chosen`` is above that of ``rejected``, row by row.

    It is ``chosen_gold - rejected_gold``, columns that an embedded world writes and no method reads; None for a row
    without both.
    """
    found: list[float | None] = []
    for row in _all_of(data, io, lambda row: row):
        pair = [row.values.get(name) for name in ("chosen_gold", "rejected_gold")]
        numbers = [float(value) for value in pair if is_finite(value)]
        found.append(numbers[0] - numbers[1] if len(numbers) == 2 else None)
    return found


def read_prompts(data: DataSpec, io: StageIO) -> list[Prompt]:
    """Return the rows of ``data`` with a column ``prompt``, as prompts of their own cluster; see read_demonstrations.

    Columns ``kind`` (text) and ``facts`` (a mapping of texts, for judges that know the truth) are read where there are
    any. Ids are made unique by the row's number where two rows share one.
    """
    found: list[Prompt] = []
    taken: set[str] = set()
    for number, prompt in _all_of(data, io, _prompt):
        id_ = prompt.id
        while id_ in taken:  # more than once where a row's own id looks like one that was made unique
            id_ = f"{id_}#{number}"
        taken.add(id_)
        found.append(prompt if id_ == prompt.id else prompt.model_copy(update={"id": id_, "cluster": id_}))
    return found


def _prompt(row: _Row) -> tuple[int, Prompt]:
    """Return the number of a row and its prompt, whose id another row may have too."""
    id_, kind = row.id(), row.label("kind")
    kind = "prompt" if kind is None else kind
    return row.number, Prompt(id=id_, chat=row.chat("prompt"), cluster=id_, kind=kind, facts=row.facts())


@dataclass(frozen=True)
class _Row:
    """One raw row, with what an error message needs to say where it stands."""

    where: str
    number: int
    values: Mapping[str, Any]
    columns: Mapping[str, str | None]

    def get(self, name: str) -> Any:
        column = self.columns.get(name, name)
        if column is None:
            raise DataError(f"{self.where}: `columns: {{{name}: null}}` leaves out a column that every row needs")
        if column not in self.values:
            renamed = f" (it stands for {name!r})" if column != name else ""
            raise DataError(
                f"{self.where}, row {self.number}: no column {column!r}{renamed}. {did_you_mean(column, self.values)} "
                f"To rename one, write `columns: {{{name}: the file's name}}` beside the data's path."
            )
        return self.values[column]

    def id(self) -> str:
        """Return the row's own id, or its number."""
        own = self.label("id")
        return str(self.number) if own is None else own

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
        return f"{self.where}, row {self.number}: {name}"

    def optional(self, name: str) -> Any:
        """Return the value of a column that rows need not have, None where it is missing or left unread."""
        column = self.columns.get(name, name)
        return None if column is None else self.values.get(column)

    def imitates_the_worse(self) -> bool:
        """Return whether the response is a preference's ``chosen``, and its label says that the other is better."""
        renamed = self.columns.get("response") == "chosen"
        return renamed and self.number_in("probability", default=1.0, most=1.0) < EVEN

    def text(self, name: str) -> str:
        return text_of(self.get(name), self.what(name))

    def number_in(self, name: str, *, default: float, most: float | None = None) -> float:
        """Return a finite number, at least 0 and at most ``most``; ``default`` where the column is missing or null."""
        value = self.optional(name)
        if value is None:
            return default
        if isinstance(value, bool) or not is_finite(value) or value < 0 or (most is not None and value > most):
            wanted = "a number of at least 0" if most is None else f"a number from 0 to {most:g}"
            raise DataError(f"{self.where}, row {self.number}: {name} is {spelt(value)}, wanted {wanted}")
        return float(value)

    def ended(self, name: str) -> bool:
        """Return whether a response ended by itself; one without such a column did."""
        value = self.optional(name)
        if value not in (None, *FINISHES):
            wanted = " or ".join(FINISHES)
            raise DataError(f"{self.where}, row {self.number}: {name} is {spelt(value)}, wanted {wanted}")
        return bool(value != "length")

    def chat(self, name: str) -> Chat:
        return chat_of(self.get(name), self.what(name))


def _all_of(data: DataSpec, io: Finished, read: Callable[[_Row], R]) -> Sequence[R]:
    """Return what ``read`` makes of every row; raises DataError about all that are wrong, and where there are none."""
    return list(_each_of(data, io, read))


def _each_of(data: DataSpec, io: Finished, read: Callable[[_Row], R]) -> Iterator[R]:
    """Yield what ``read`` makes of every row; raises DataError about all that are wrong, and where there are none."""
    if isinstance(data, Made):
        where = f"the rows of {data.by.label()}"
        rows = _read(data, io.read(data.by) / ROWS_FILE, where)
    else:
        _check_digest(data, Path(data.path))
        where, rows = data.path, _read(data, Path(data.path), data.path)
    empty = True
    for found in all_read(rows, read, where):
        empty = False
        yield found
    if empty:
        raise DataError(f"{where}: no rows")


def digest_of_rows(data: DataSpec, io: Finished) -> str:
    """Return the sha256 of the bytes that hold the rows; raises DataError for a file whose bytes have changed."""
    if isinstance(data, Made):
        return digest_of_file(io.read(data.by) / ROWS_FILE)
    _check_digest(data, Path(data.path))
    return data.digest


def _read(data: DataSpec, path: Path, where: str) -> Iterator[_Row | DataError]:
    """Yield the rows of a file, a DataError in the place of one that cannot be read."""
    columns = _renamed(data)
    for number, (_, values) in enumerate(rows_or_errors(path, where), start=1):
        if data.limit is not None and number > data.limit:
            break
        if isinstance(values, DataError):
            yield values
        elif isinstance(values, Mapping):
            yield _Row(where, number, values, columns)
        else:
            yield DataError(f"{where}, row {number}: {kind_of(values)}, wanted named columns")


def _renamed(data: DataSpec) -> Mapping[str, str | None]:
    return {} if isinstance(data, Made) else data.columns


def _first(data: DataSpec, wanted: Callable[[_Row], bool]) -> _Row | None:
    """Return the first row of a file of which that is so; None where there is no row to look at yet."""
    if isinstance(data, Made) or kind_at(Path(data.path)) != "file":
        return None
    for row in _read(data, Path(data.path), data.path):
        if isinstance(row, DataError):
            raise row
        if wanted(row):
            return row
    return None


def _check_digest(data: Data, path: Path) -> None:
    if kind_at(path) != "file":
        raise DataError(f"{data.path}: no such file")
    found = digest_of_file(path)
    if found != data.digest:
        raise DataError(
            f"{data.path}: its bytes have changed since the comparison was planned (sha256 {found[:12]}..., "
            f"wanted {data.digest[:12]}...). Plan again to use the new content, or restore the old file."
        )


def rows_known(data: DataSpec) -> int | None:
    """Return how many rows a data set has at most, None where a stage has yet to make them."""
    if isinstance(data, Made):
        return data.limit
    rows = sum(1 for _ in read_rows(Path(data.path), data.path))
    return rows if data.limit is None else min(rows, data.limit)
