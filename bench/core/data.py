"""Data as values: files whose digest is known, several of them together, or what a stage made."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from bench.core.frozen import Frozen
from bench.core.stage import Stage


class HubFiles(Frozen):
    """Files of a data set on the Hugging Face hub: the repository at a commit, and which configuration of it.

    ``asked``: the branch, tag or commit that the comparison names.
    """

    repo: str
    commit: str
    config: str | None = None
    asked: str

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"asked"})


class Data(Frozen):
    """Rows of a local file, or of a folder of files, identified by the digest of their bytes.

    JSON Lines, JSON, Parquet, Arrow, CSV or TSV; all but Arrow also packed (``.gz``, ``.bz2``, ``.zst``). ``files``:
    those of the folder ``path`` that are read, in this order; none where ``path`` is a file. ``hub``: where the folder
    came from.

    ``columns`` renames: the program's column name (prompt, response, chosen, rejected) to the file's. None leaves a
    column unread that rows need not have (probability, margin, kind, facts). ``limit``: how many rows of the file are
    read. ``format``: one of ``bench.core.row_formats.listing``; None for the program's own columns. ``pairing``: which
    pairs are made of several rated responses. ``margins``: whether the difference of two scores is the margin of a
    pair. ``facts``: columns of prompts that are facts by their names. ``train_on``: of a chat as a demonstration the
    last turn of the assistant, or every one: each is a row of its own, whose prompt is all that stands before it.
    """

    kind: Literal["file"] = "file"
    path: str
    digest: str
    columns: dict[str, str | None] = {}
    limit: PositiveInt | None = None
    format: str | None = None
    files: tuple[str, ...] = ()
    split: str | None = None
    hub: HubFiles | None = None
    pairing: Literal["best_worst", "all"] = "best_worst"
    margins: Literal["scores"] | None = None
    facts: tuple[str, ...] = ()
    train_on: Literal["last", "assistant"] = "last"

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path", "files"})
    ADDED: ClassVar[frozenset[str]] = frozenset({"format", "split", "hub", "pairing", "margins", "facts", "train_on"})


class Weighted(Frozen):
    """A share of a mixture: each row stands ``weight`` times in it, see ``Mixture``."""

    data: Data
    weight: PositiveFloat = 1.0


class Mixture(Frozen):
    """Several files of rows as one data set, one behind the other.

    Of a part with the weight w, row number n (from 1) stands floor(n w) - floor((n - 1) w) times in succession: twice
    for 2, every second row once for 0.5. So a part of N rows gives floor(N w) of them, and nothing is drawn.
    """

    kind: Literal["mixture"] = "mixture"
    parts: Annotated[tuple[Weighted, ...], Field(min_length=1)]


class Made(Frozen):
    """Rows that a stage wrote as ``rows.jsonl`` in its payload."""

    kind: Literal["made"] = "made"
    by: Stage
    limit: PositiveInt | None = None


DataSpec = Annotated[Data | Mixture | Made, Field(discriminator="kind")]
"""Rows to train on: read, checked and renamed, before tokenisation."""
