"""Rows of data as a model reads them, for people: what is whose, and what is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice

from bench.core.datasets import read_prompts
from bench.core.lengths import ExamplesAsked, ShownRow, Stretch
from bench.core.policy import Chat
from bench.core.row_formats.reading import RowsSeen
from bench.core.stage import StageIO
from bench.models.chat import lay_out
from bench.models.spelling import decode
from bench.models.tokenised.content import Row
from bench.models.tokenised.findings import kind_of_rows
from bench.models.tokenised.making import rows_one_by_one, written
from bench.models.tokenizer import ResponseWriter

_NAMES = {"demonstrations": ("response",), "preferences": ("chosen", "rejected"), "unpaired": ("completion",)}


def shown_rows(asked: ExamplesAsked, reader: ResponseWriter, io: StageIO) -> tuple[ShownRow, ...]:
    """Return the first rows of data, nothing of them cut; raises DataError and StageError as reading them does."""
    if asked.rows_of == "prompts":
        prompts = read_prompts(asked.data, io)[: asked.most]
        return tuple(ShownRow(prompt=prompt_stretches(reader, one.chat)) for one in prompts)
    kind = kind_of_rows(asked.data, asked.rows_of)
    rows = rows_one_by_one(asked.data, kind, io, RowsSeen())
    return tuple(_shown(row, _NAMES[kind], reader) for row in islice(rows, asked.most))


def _shown(row: Row, names: Sequence[str], reader: ResponseWriter) -> ShownRow:
    responses = written(reader.tokens, row.replies())
    learnt = [
        (name, (Stretch(text=decode(reader.tokenizer, ids), who="assistant", learnt=True),))
        for name, ids in zip(names, responses, strict=True)
    ]
    return ShownRow(prompt=prompt_stretches(reader, row.prompt), responses=tuple(learnt))


def prompt_stretches(reader: ResponseWriter, chat: Chat) -> tuple[Stretch, ...]:
    """Return a prompt in stretches: what the template writes, and what each turn says."""
    laid_out = lay_out(reader.tokenizer, chat, reader.template)
    whose = ["template"] * len(laid_out.ids)
    for content in laid_out.contents:
        whose[content.start : content.stop] = [content.role] * (content.stop - content.start)
    found, at = [], 0
    for who, group in groupby(whose):
        length = sum(1 for _ in group)
        found.append(
            Stretch.model_validate({"text": decode(reader.tokenizer, laid_out.ids[at : at + length]), "who": who})
        )
        at += length
    return tuple(found)
