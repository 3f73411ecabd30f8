"""What files of data are, told before a run: their format, what nobody reads of them, and what is odd about rows."""

from __future__ import annotations

from pathlib import Path

from bench.core.data import Data
from bench.core.datasets import files_in, read_prompts
from bench.core.lengths import DataFindings, FilesAsked, FilesOfRows, RowCounts, RowsOf
from bench.core.row_formats.listing import PLAIN
from bench.core.row_formats.reading import recognised, unread_columns
from bench.core.stage import StageIO
from bench.models.tokenised.content import RowKind, prompt_counts
from bench.models.tokenised.token_rows import kind_of_pairs, row_counts


def found_in(asked: FilesAsked, io: StageIO) -> DataFindings:
    """Return what is known of files of data; raises DataError as reading them does."""
    files = files_in(asked.data)
    names = [name_of(one) for one in files]
    known = [recognised(one, asked.rows_of, name) for one, name in zip(files, names, strict=True)]
    formats = [PLAIN if one.format is None else one.format for one in files]
    rows_are = "prompts" if asked.rows_of == "prompts" else kind_of_rows(asked.data, asked.rows_of)
    several = len(set(formats)) > 1
    unused = [unread_columns(one, asked.rows_of, name) for one, name in zip(files, names, strict=True)]
    return DataFindings(
        rows_of=asked.rows_of,
        rows_are=rows_are,
        files=" + ".join(names),
        format=" + ".join(formats if several else dict.fromkeys(formats)),
        why="; ".join(dict.fromkeys(one.why for one in known)),
        unused=tuple(dict.fromkeys(column for columns in unused for column in columns)),
        counts=_counts(asked, io),
    )


def kind_of_rows(data: FilesOfRows, rows_of: RowsOf) -> RowKind:
    """Return what the rows of data are that is no list of prompts."""
    return "demonstrations" if rows_of == "demonstrations" else kind_of_pairs(data)


def name_of(data: Data) -> str:
    """Return how a person knows a file: its name, or the repository at its commit."""
    return Path(data.path).name if data.hub is None else f"{data.hub.repo}@{data.hub.commit[:12]}"


def _counts(asked: FilesAsked, io: StageIO) -> RowCounts:
    if asked.rows_of == "prompts":
        prompts = [prompt.chat for prompt in read_prompts(asked.data, io)]
        return prompt_counts(prompts, len(prompts))
    return row_counts(asked.data, kind_of_rows(asked.data, asked.rows_of), io)
