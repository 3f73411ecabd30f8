"""Passages: an index of what is known, made once, and what it has nearest to every claim."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveInt

from bench.core.cells import rows_in, text_of
from bench.core.checker import PagesFile, Passage, Retriever, WorldPages
from bench.core.errors import DataError
from bench.core.frozen import digest_of_file
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluation.measurements.factuality.extract import PAYLOAD, ExtractClaims

PASSAGES, NEAREST = "passages.parquet", "nearest.parquet"
PASSAGES_SCHEMA = pa.schema(
    [pa.field("title", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False)]
)
NEAREST_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
SQLITE = frozenset({".db", ".sqlite", ".sqlite3"})
# FActScore's knowledge file joins the passages of a page by this; it parts words here.
SEPARATOR = "####SPECIAL####SEPARATOR####"


class IndexPassages(Stage):
    """The passages of a knowledge source, and a retriever's index of them; shared by all arms, seeds and tasks."""

    KIND: ClassVar[str] = "index_passages"
    VERSION: ClassVar[int] = 1

    source: PagesFile | WorldPages
    retriever: Retriever
    words: PositiveInt

    def resources(self) -> Resources:
        """Return what the retriever needs."""
        return self.retriever.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``passages.parquet`` and the index; raises DataError for a file that has changed or holds no pages."""
        pages = self.source.world.pages() if isinstance(self.source, WorldPages) else pages_in(self.source)
        passages = [Passage(title=title, text=text) for title, page in pages for text in cut(page, self.words)]
        if not passages:
            raise DataError("the knowledge source holds no text. Give a file with columns title and text.")
        rows = [passage.model_dump() for passage in passages]
        pq.write_table(pa.Table.from_pylist(rows, schema=PASSAGES_SCHEMA), io.out / PASSAGES)
        self.retriever.build(passages, io)


class RetrievePassages(Stage):
    """The passages nearest to every claim of one generation. The question is the prompt and the claim."""

    KIND: ClassVar[str] = "retrieve_passages"
    VERSION: ClassVar[int] = 1

    claims: ExtractClaims
    index: IndexPassages
    most: PositiveInt

    def resources(self) -> Resources:
        """Return what the retriever needs."""
        return self.index.retriever.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``nearest.parquet``: one row per claim and passage, the nearest at rank 0."""
        chats = {prompt.id: prompt.text for prompt in self.claims.responses.task.prompts()}
        claims = pq.read_table(io.read(self.claims) / PAYLOAD).to_pylist()
        place = io.read(self.index)
        passages = pq.read_table(place / PASSAGES).to_pylist()
        questions = [f"{chats[row['prompt']]} {row['text']}" for row in claims]
        nearest = self.index.retriever.nearest(place, questions, self.most, io)
        rows = [
            {**{name: row[name] for name in ("prompt", "draw", "index")}, "rank": rank, **passages[found]}
            for row, places in zip(claims, nearest, strict=True)
            for rank, found in enumerate(places)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=NEAREST_SCHEMA), io.out / NEAREST)


def pages_in(file: PagesFile) -> Iterator[tuple[str, str]]:
    """Yield the pages of a file as (title, text), in the file's order (SQLite: by title).

    Raises DataError for a file that is missing, has changed, or lacks the columns.
    """
    path = Path(file.path)
    if not path.is_file() or digest_of_file(path) != file.digest:
        raise DataError(
            f"{file.path}: the file is gone or has changed since the comparison was planned. Plan it again."
        )
    if path.suffix in SQLITE:
        yield from _documents(path)
        return
    for row in rows_in(path, file.path):
        yield row.stated("title"), row.text("text")


def cut(page: str, words: int) -> list[str]:
    """Return a page in passages of at most so many words, in order; sentences may be cut."""
    found = page.replace(SEPARATOR, " ").replace("<s>", " ").replace("</s>", " ").split()
    return [" ".join(found[start : start + words]) for start in range(0, len(found), words)]


def _documents(path: Path) -> list[tuple[str, str]]:
    """Return the rows of the table ``documents`` (title, text), the form of FActScore's knowledge file."""
    try:
        with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as base:
            rows = base.execute("SELECT title, text FROM documents ORDER BY title").fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path}: cannot be read as SQLite with a table documents(title, text): {error}") from error
    return [
        (text_of(title, f"{path}: a title"), _paragraphs(text, f"{path}: the text of {title!r}"))
        for title, text in rows
    ]


def _paragraphs(cell: object, what: str) -> str:
    """Return a page's text; some knowledge files hold a JSON list of paragraphs."""
    text = text_of(cell, what)
    if text.startswith("["):
        try:
            parts = json.loads(text)
        except json.JSONDecodeError:
            return text
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return "\n".join(parts)
    return text
