"""Rows of data as tokens, mapped from files: what every stage that trains on data reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bench.core.data import DataSpec
from bench.core.datasets import is_unpaired
from bench.core.lengths import RowCounts
from bench.core.stage import StageIO
from bench.models.lengths import RowLengths, TokenRow, Yielding
from bench.models.response_tokens import Spelling
from bench.models.tokenised.content import RowKind
from bench.models.tokenised.keys import entry_key, prompts_key, responses_key, rows_key
from bench.models.tokenised.making import COLUMNS, RESPONSES, Making, Wording
from bench.models.tokenised.mapped import Entry, Ragged, ragged
from bench.models.tokenised.token_cache import kept_entries
from bench.models.tokenizer import ResponseWriter, RowReader, check_readable


@dataclass(frozen=True)
class PromptTokens:
    """The prompts of a data set as one reader reads them: their ids, and of each what may give way (start, stop)."""

    ids: Ragged
    content: Ragged

    def row(self, number: int) -> Yielding:
        """Return one prompt."""
        places = self.content.row(number)
        return Yielding(self.ids.row(number), tuple(map(range, places[::2], places[1::2])))


@dataclass(frozen=True)
class TokenRows(Sequence[TokenRow]):
    """The rows of a data set as tokens, a prompt per reader and the responses, each made when it is asked for.

    ``probability`` and ``margin``: the labels of pairs (1 and 0 for what has none); ``good``: the label of a response
    by itself (true for what has none); ``prompt``: the number of its
    prompt, equal for equal ones and counted from 0 in the order in which they first stand. All are of shape (rows,).
    ``source`` (rows,): which row of the data each is. ``chosen`` (rows, responses per row): which responses of the
    data, all end to end, are its own. ``said`` and ``ended`` (responses of the data,): whether one has any text, and
    whether whoever wrote it ended it. ``counts``: what was counted of the texts.
    """

    probability: NDArray[np.float64]
    margin: NDArray[np.float64]
    good: NDArray[np.bool_]
    prompt: NDArray[np.int64]
    said: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    prompts: tuple[PromptTokens, ...]
    ids: Ragged
    source: NDArray[np.int64]
    chosen: NDArray[np.int64]
    counts: RowCounts

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.source)

    @overload
    def __getitem__(self, number: int) -> TokenRow: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[TokenRow]: ...
    def __getitem__(self, number: int | slice) -> TokenRow | Sequence[TokenRow]:
        """Return a row, or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        own = self.chosen[number].tolist()
        return TokenRow(
            tuple(prompts.row(int(self.source[number])) for prompts in self.prompts),
            [self.ids.row(one) for one in own],
            self.ended[own].tolist(),
        )

    def lengths(self) -> RowLengths:
        """Return how long the rows are; no token is read for it."""
        return RowLengths(
            prompts=np.stack([prompts.ids.lengths()[self.source] for prompts in self.prompts], axis=1),
            responses=self.ids.lengths()[self.chosen],
            ended=self.ended[self.chosen],
        )

    def responding(self, chosen: NDArray[np.int64]) -> TokenRows:
        """Return the same rows with other responses of the data; see ``chosen``."""
        return replace(self, chosen=chosen)

    def picked(self, rows: NDArray[np.int64]) -> TokenRows:
        """Return these rows alone, in this order."""
        return replace(
            self,
            probability=self.probability[rows],
            margin=self.margin[rows],
            good=self.good[rows],
            prompt=self.prompt[rows],
            source=self.source[rows],
            chosen=self.chosen[rows],
        )


def preference_rows(data: DataSpec, policy: RowReader, io: StageIO) -> TokenRows:
    """Return the pairs of ``data`` as a policy reads them, responses in the order chosen, rejected.

    Of data whose responses are labelled each by itself, every row has one (``good`` says what it is labelled). Raises
    DataError as ``bench.core.datasets.read_preferences``, StageError for what the policy cannot read.
    """
    return token_rows(data, kind_of_pairs(data), readings_of(policy), policy.parts[0], io)


def kind_of_pairs(data: DataSpec) -> RowKind:
    """Return what the rows of preference data are: pairs, or responses that are labelled each by itself."""
    return "unpaired" if is_unpaired(data) else "preferences"


def demonstration_rows(data: DataSpec, policy: RowReader, io: StageIO) -> TokenRows:
    """Return the demonstrations of ``data`` as a policy reads them; see ``preference_rows``."""
    return token_rows(data, "demonstrations", readings_of(policy), policy.parts[0], io)


def row_counts(data: DataSpec, rows_of: RowKind, io: StageIO) -> RowCounts:
    """Return what was counted of the texts of data, without turning them into tokens."""
    making = Making(data, rows_of, {}, None, io)
    found = kept_entries({COLUMNS: entry_key(rows_key(data, rows_of, io), COLUMNS)}, io, making.make)
    return RowCounts.model_validate(found[COLUMNS].notes)


def readings_of(policy: RowReader) -> tuple[Wording, ...]:
    """Return who reads the prompts of a policy: every part of it, with its own instructions."""
    return tuple(Wording(part, part.spec) for part in policy.parts)


def token_rows(
    data: DataSpec, rows_of: RowKind, readings: Sequence[Wording], writer: ResponseWriter, io: StageIO
) -> TokenRows:
    """Return the rows of ``data``, their prompts in every one of the ``readings``, their responses as one writes them.

    What the store has of it is not made again: columns, the prompts of a reading and the responses are kept each by
    itself. Tokens are those of ``bench.models.tokenizer.token_row``, bit for bit.
    """
    rows = rows_key(data, rows_of, io)
    keys = [prompts_key(rows, reading) for reading in readings]
    names = [f"prompts-{place}" if key is None else key for place, key in enumerate(keys)]
    by_name = dict(zip(names, readings, strict=True))
    wanted = {
        COLUMNS: entry_key(rows, COLUMNS),
        RESPONSES: responses_key(rows, writer),
        **dict(zip(names, keys, strict=True)),
    }
    making = Making(data, rows_of, by_name, writer, io)
    found = kept_entries(wanted, io, making.make)
    for name, reading in zip(names, readings, strict=True):
        check_readable(reading.part, [found[name].notes["highest"]], "a prompt")
    _count_responses(found[RESPONSES], writer)
    return _rows_of(found, names)


def _count_responses(entry: Entry, writer: ResponseWriter) -> None:
    """Raise StageError where the model has no embedding for a token, and tell the writer how responses are spelt."""
    check_readable(writer, [entry.notes["highest"]], "a response")
    writer.tokens.remember(Spelling(frozenset(entry.notes["changed"]), frozenset(entry.notes["spelt"])))


def _rows_of(found: Mapping[str, Entry], names: Sequence[str]) -> TokenRows:
    columns = found[COLUMNS].arrays
    rows = len(columns["prompt"])
    written = ragged(found[RESPONSES], "ids")
    return TokenRows(
        probability=columns["probability"],
        margin=columns["margin"],
        good=columns["good"],
        prompt=columns["prompt"],
        said=columns["said"],
        ended=columns["ended"],
        prompts=tuple(PromptTokens(ragged(found[name], "ids"), ragged(found[name], "content")) for name in names),
        ids=written,
        source=np.arange(rows),
        chosen=np.arange(len(written)).reshape(rows, -1),
        counts=RowCounts.model_validate(found[COLUMNS].notes),
    )
