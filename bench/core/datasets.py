"""Rows to train on: read, checked and renamed, before tokenisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

from pydantic import Field, TypeAdapter

from bench.core.cells import is_finite, text_of
from bench.core.data import Data, DataSpec, Made, Mixture
from bench.core.errors import DataError
from bench.core.files import kind_at
from bench.core.frozen import digest, digest_of_file
from bench.core.lengths import RowsOf
from bench.core.policy import Chat
from bench.core.row_formats.file_digests import check_digest
from bench.core.row_formats.listing import gives
from bench.core.row_formats.program_row import ProgramRow
from bench.core.row_formats.reading import NameOf, RowsSeen, program_rows
from bench.core.row_formats.row_facts import known_facts
from bench.core.row_formats.unpaired import label_in
from bench.core.rows import all_read
from bench.core.stage import Stage, StageIO
from bench.core.task import Prompt

R = TypeVar("R")
ROWS_FILE = "rows.jsonl"
_FILES: TypeAdapter[Data | Mixture] = TypeAdapter(Annotated[Data | Mixture, Field(discriminator="kind")])
_WORSE = (
    "{place}: its response is the column `chosen`, and its probability, below 0.5, says that `rejected` "
    "is the better one. Leave such rows out, name another column, or write `columns: {{probability: null}}` beside the "
    "data's path to imitate `chosen` all the same."
)


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


@dataclass(frozen=True)
class UnpairedResponse:
    """A prompt and a response that is good or bad by itself; ``ended`` is false for one that was cut off."""

    id: str
    prompt: Chat
    completion: str
    good: bool
    ended: bool = True

    def replies(self) -> tuple[Reply]:
        """Return the response."""
        return (Reply(self.completion, self.ended),)


@dataclass(frozen=True)
class RatedResponses:
    """A prompt and several responses, each with its score: higher is better; a rank from 1 on is its negative."""

    id: str
    prompt: Chat
    responses: tuple[str, ...]
    scores: tuple[float, ...]


def read_demonstrations(data: DataSpec, io: Finished) -> list[Demonstration]:
    """Return the rows of ``data`` with columns ``prompt`` and ``response``, and ``id`` where they have one.

    A prompt is a text (one user turn) or a list of ``{"role": ..., "content": ...}``. Raises DataError naming the
    file, the row and the column for anything that cannot be used, for a file whose bytes have changed, and where
    ``response`` is a preference's ``chosen`` and its ``probability`` says that it is the worse one. A column ``finish``
    (``end``, or ``length`` for a response that was cut off) is read where there is one. All rows are looked at first:
    the error is about every wrong one, of which ten are shown.
    """
    return list(each_demonstration(data, io, RowsSeen()))


def each_demonstration(data: DataSpec, io: Finished, seen: RowsSeen) -> Iterator[Demonstration]:
    """Yield the same one by one, for data that need not be in memory; what reading tells is put into ``seen``.

    The error about rows that are wrong comes behind the last one.
    """
    return _each_of(data, io, _demonstration, seen)


def _demonstration(row: ProgramRow) -> Demonstration:
    if row.imitates_the_worse():
        raise DataError(_WORSE.format(place=row.place))
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
    return list(each_preference(data, io, RowsSeen()))


def each_preference(data: DataSpec, io: Finished, seen: RowsSeen) -> Iterator[Preference]:
    """Yield the same one by one, for data that need not be in memory; what reading tells is put into ``seen``."""
    return _each_of(data, io, _preference, seen)


def _preference(row: ProgramRow) -> Preference:
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


def read_unpaired(data: DataSpec, io: Finished) -> list[UnpairedResponse]:
    """Return the rows of ``data`` with columns ``prompt``, ``completion`` and ``label``; see read_demonstrations."""
    return list(each_unpaired(data, io, RowsSeen()))


def each_unpaired(data: DataSpec, io: Finished, seen: RowsSeen) -> Iterator[UnpairedResponse]:
    """Yield the same one by one, for data that need not be in memory; what reading tells is put into ``seen``."""
    return _each_of(data, io, _labelled, seen)


def _labelled(row: ProgramRow) -> UnpairedResponse:
    try:
        good = label_in(row.get("label"))
    except DataError as error:
        raise DataError(f"{row.place}: {error}") from error
    return UnpairedResponse(row.id(), row.chat("prompt"), row.text("completion"), good=good, ended=row.ended("finish"))


def read_rankings(data: DataSpec, io: Finished) -> list[RatedResponses]:
    """Return the rows of ``data`` whose format rates or ranks several responses to a prompt, each row whole.

    Raises DataError for data of another format. ``read_preferences`` reads the same data as pairs.
    """
    return list(_all_of(data, io, _rated, as_lists=True))


def _rated(row: ProgramRow) -> RatedResponses:
    responses = row.get("responses")
    texts = tuple(text_of(one["text"], row.what("responses")) for one in responses)
    return RatedResponses(row.id(), row.chat("prompt"), texts, tuple(float(one["score"]) for one in responses))


def check_rows(data: Data, rows_of: RowsOf, where: str) -> RowsSeen:
    """Return what reading a file as such rows tells; raises the DataError that reading it would raise.

    ``where`` is how messages name the file.
    """
    read: dict[RowsOf, Callable[[ProgramRow], object]] = {
        "demonstrations": _demonstration,
        "preferences": _labelled if is_unpaired(data) else _preference,
        "prompts": _prompt,
    }
    seen = RowsSeen()

    def look(row: ProgramRow) -> None:
        found = read[rows_of](row)
        if isinstance(found, Preference) and found.margin != 0 and seen.with_margin is None:
            seen.with_margin = row.number
        if isinstance(found, UnpairedResponse):
            seen.good += found.good
            seen.bad += not found.good

    for _ in all_read(program_rows(data, lambda _: where, seen), look, where):
        pass
    if not seen.made:
        raise DataError(_no_rows(where, seen))
    return seen


def _no_rows(where: str, seen: RowsSeen) -> str:
    """Return that there are no rows, and why those of the file were all left out."""
    told = "; ".join(f"{count:,} x {what}" for what, count in seen.told.most_common(3))
    return f"{where}: no rows" if not seen.read else f"{where}: none of its {seen.read:,} rows is used ({told})"


def is_unpaired(data: DataSpec) -> bool:
    """Return whether the responses of a data set are labelled each on its own, by its format."""
    return not isinstance(data, Made) and any(gives(one.format) == "unpaired" for one in files_in(data))


def row_with_margin(data: DataSpec) -> int | None:
    """Return the number of the first row of a file with a margin other than 0, counted from 1.

    None where there is none, for rows that a stage has yet to make, and for a file that is not here. A file is read
    once, however many arms and seeds ask. Raises DataError as ``read_preferences``.
    """
    if isinstance(data, Made) or is_unpaired(data):
        return None
    facts = known_facts(data, "preferences")
    return _row_with_margin(data.model_dump_json()) if facts is None else facts.with_margin


@lru_cache(maxsize=64)
def _row_with_margin(data: str) -> int | None:
    found = _first(_FILES.validate_json(data), lambda row: row.number_in("margin", default=0.0) != 0)
    return None if found is None else found.number


def classes_in(data: DataSpec) -> tuple[int, int] | None:
    """Return how many responses of a file of labelled ones are good and how many bad; None where that is not known.

    A file is read once, however many arms and seeds ask. Raises DataError as ``read_unpaired``.
    """
    if isinstance(data, Made):
        return None
    facts = known_facts(data, "preferences")
    return _classes_in(data.model_dump_json()) if facts is None else (facts.good, facts.bad)


@lru_cache(maxsize=64)
def _classes_in(data: str) -> tuple[int, int] | None:
    found = _FILES.validate_json(data)
    if any(kind_at(Path(one.path)) is None for one in files_in(found)):
        return None
    good = [_labelled(row).good for row in _rows(found)]
    return sum(good), len(good) - sum(good)


def check_demonstrations(data: DataSpec) -> None:
    """Raise the DataError of ``read_demonstrations`` for a file that imitates the worse response of a pair.

    Nothing is known of rows that a stage has yet to make.
    """
    renamed = not isinstance(data, Made) and any("response" in one.columns for one in files_in(data))
    found = _first(data, ProgramRow.imitates_the_worse) if renamed else None
    if found is not None:
        raise DataError(_WORSE.format(place=found.place))


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


def read_prompts(data: DataSpec, io: Finished) -> list[Prompt]:
    """Return the rows of ``data`` with a column ``prompt``, as prompts of their own cluster; see read_demonstrations.

    Columns ``kind`` (text), ``cluster`` and ``facts`` (a mapping of texts, for judges that know the truth) are read
    where there are any. Ids are made unique by the row's number where two rows share one.
    """
    found: list[Prompt] = []
    taken: set[str] = set()
    for number, prompt in _all_of(data, io, _prompt):
        id_ = prompt.id
        while id_ in taken:  # more than once where a row's own id looks like one that was made unique
            id_ = f"{id_}#{number}"
        taken.add(id_)
        own = {"cluster": id_} if prompt.cluster == prompt.id else {}
        found.append(prompt if id_ == prompt.id else prompt.model_copy(update={"id": id_, **own}))
    return found


def _prompt(row: ProgramRow) -> tuple[int, Prompt]:
    """Return the number of a row and its prompt, whose id another row may have too."""
    id_, kind, cluster = row.id(), row.label("kind"), row.label("cluster")
    kind = "prompt" if kind is None else kind
    cluster = id_ if cluster is None else cluster
    return row.number, Prompt(id=id_, chat=row.chat("prompt"), cluster=cluster, kind=kind, facts=row.facts())


def _all_of(data: DataSpec, io: Finished, read: Callable[[ProgramRow], R], *, as_lists: bool = False) -> Sequence[R]:
    """Return what ``read`` makes of every row; raises DataError about all that are wrong, and where there are none."""
    return list(_each_of(data, io, read, RowsSeen(), as_lists=as_lists))


def _each_of(
    data: DataSpec, io: Finished, read: Callable[[ProgramRow], R], seen: RowsSeen, *, as_lists: bool = False
) -> Iterator[R]:
    """Yield what ``read`` makes of every row; raises DataError about all that are wrong, and where there are none."""
    if isinstance(data, Made):
        where = f"the rows of {data.by.label()}"
        file: Data | Mixture = Data(path=str(io.read(data.by) / ROWS_FILE), digest="", limit=data.limit)
    else:
        for one in files_in(data):
            check_digest(one)
        where, file = " and ".join(dict.fromkeys(one.path for one in files_in(data))), data
    name_of: NameOf = (lambda _: where) if isinstance(data, Made) else _path_of
    empty = True
    for found in all_read(program_rows(file, name_of, seen, as_lists=as_lists), read, where):
        empty = False
        yield found
    if empty:
        raise DataError(_no_rows(where, seen))


def digest_of_rows(data: DataSpec, io: Finished) -> str:
    """Return the sha256 of the bytes that hold the rows; raises DataError for a file whose bytes have changed."""
    if isinstance(data, Made):
        return digest_of_file(io.read(data.by) / ROWS_FILE)
    for one in files_in(data):
        check_digest(one)
    return digest([one.digest for one in files_in(data)])


def _path_of(data: Data) -> str:
    return data.path


def files_in(data: Data | Mixture) -> tuple[Data, ...]:
    """Return the data of every part."""
    return (data,) if isinstance(data, Data) else tuple(part.data for part in data.parts)


def _first(data: DataSpec, wanted: Callable[[ProgramRow], bool]) -> ProgramRow | None:
    """Return the first row of a file of which that is so; None where there is no row to look at yet."""
    if isinstance(data, Made) or any(kind_at(Path(one.path)) is None for one in files_in(data)):
        return None
    return next((row for row in _rows(data) if wanted(row)), None)


def _rows(data: Data | Mixture) -> Iterator[ProgramRow]:
    for row in program_rows(data, _path_of, RowsSeen()):
        if isinstance(row, DataError):
            raise row
        yield row


def rows_known(data: DataSpec) -> int | None:
    """Return how many rows a data set has at most, None where a stage has yet to make them."""
    if isinstance(data, Made):
        return data.limit
    facts = known_facts(data, "preferences")
    return sum(1 for _ in _rows(data)) if facts is None else facts.rows
