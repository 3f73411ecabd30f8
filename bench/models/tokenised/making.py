"""Turning data into tokens: one pass over the rows, some hundreds at a time, for all that is wanted of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from bench.core.data import DataSpec
from bench.core.datasets import Finished, Reply, each_demonstration, each_preference, each_unpaired
from bench.core.policy import PolicySpec
from bench.core.row_formats.reading import RowsSeen
from bench.core.stage import StageIO
from bench.models.response_tokens import ResponseTokens, Spelling
from bench.models.tokenised.content import Row, RowCounter, RowKind
from bench.models.tokenised.mapped import EntryWriter
from bench.models.tokenizer import PromptReader, ResponseWriter, yielding_all

# Rows that are in memory as texts at a time; chosen on a two-core machine, changes no token.
ROWS_AT_ONCE = 512
COLUMNS, RESPONSES = "columns", "responses"


@dataclass(frozen=True)
class Wording:
    """Who reads prompts, behind the instructions of ``spec``."""

    part: PromptReader
    spec: PolicySpec


@dataclass(frozen=True)
class Making:
    """The rows of a data set to be turned into tokens: the prompts in ``readings`` by name, responses by ``writer``."""

    data: DataSpec
    rows_of: RowKind
    readings: Mapping[str, Wording]
    writer: ResponseWriter | None
    io: StageIO

    def make(self, writers: Mapping[str, EntryWriter]) -> None:
        """Write the entries that there is a writer for."""
        content = RowCounter()
        highest = dict.fromkeys(writers, 0)
        changed: set[str] = set()
        spelt: set[str] = set()
        done, seen = 0, RowsSeen()
        for rows in _chunks(rows_one_by_one(self.data, self.rows_of, self.io, seen), ROWS_AT_ONCE):
            if COLUMNS in writers:
                for name, values in content.add(rows).items():
                    writers[COLUMNS].append(name, values)
            for name, reading in self.readings.items():
                if name in writers:
                    highest[name] = max(highest[name], _write_prompts(writers[name], reading, rows))
            if RESPONSES in writers and self.writer is not None:
                most, spelling = _write_responses(writers[RESPONSES], self.writer, rows)
                highest[RESPONSES] = max(highest[RESPONSES], most)
                changed |= spelling.changed
                spelt |= spelling.spelt
            done += len(rows)
            self.io.progress(done, done, "row", note="read")
        for name, writer in writers.items():
            if name == COLUMNS:
                writer.finish(content.counts(seen).model_dump())
            elif name == RESPONSES:
                writer.finish({"highest": highest[name], "changed": sorted(changed), "spelt": sorted(spelt)})
            else:
                writer.finish({"highest": highest[name]})


def rows_one_by_one(data: DataSpec, rows_of: RowKind, io: Finished, seen: RowsSeen) -> Iterator[Row]:
    """Return the rows of data of this kind, read as they are asked for; raises DataError behind the last."""
    match rows_of:
        case "demonstrations":
            return each_demonstration(data, io, seen)
        case "preferences":
            return each_preference(data, io, seen)
        case "unpaired":
            return each_unpaired(data, io, seen)


def _write_prompts(writer: EntryWriter, reading: Wording, rows: Sequence[Row]) -> int:
    """Write the prompts of rows; returns the highest id among them."""
    found = yielding_all(reading.part, reading.spec, [row.prompt for row in rows])
    highest = writer.append_rows("ids", [one.ids for one in found])
    writer.append_rows("content", [[edge for part in one.content for edge in (part.start, part.stop)] for one in found])
    return highest


def _write_responses(writer: EntryWriter, by: ResponseWriter, rows: Sequence[Row]) -> tuple[int, Spelling]:
    """Write the responses of rows; returns the highest id among them, and which texts are spelt oddly."""
    replies = [reply for row in rows for reply in row.replies()]
    highest = writer.append_rows("ids", written(by.tokens, replies))
    return highest, by.tokens.spelling_of(one.text for one in replies)


def written(tokens: ResponseTokens, replies: Sequence[Reply]) -> list[list[int]]:
    """Return the ids of responses; behind those that were cut off there is no end token."""
    whole = iter(tokens.ids_of([reply.text for reply in replies if reply.ended]))
    cut = iter(tokens.cut_ids_of([reply.text for reply in replies if not reply.ended]))
    return [next(whole if reply.ended else cut) for reply in replies]


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk
