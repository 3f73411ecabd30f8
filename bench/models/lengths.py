"""What gives way where a prompt and its responses are longer than they may be, and how often that happened.

Never the beginning token, a template's headers, a system turn or an instruction: a model that lost them would read
another conversation than the one that it is asked about later. What gives way first is the content of the other turns,
from the beginning of the earliest on (keeping a dialogue's end follows the DPO reference code), then the responses'
ends. Pure arithmetic on tokens, so that a plan counts as a stage does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import StageError
from bench.core.lengths import LengthCounts, RowsOf, quantiles


@dataclass(frozen=True)
class Yielding:
    """The ids of a prompt, and the stretches of them that may give way, as ranges of places in order."""

    ids: Sequence[int]
    content: tuple[range, ...]

    def without(self, tokens: int) -> list[int]:
        """Return the ids without so many of what may give way, the earliest first; one token of it always stays."""
        places = [place for stretch in self.content for place in stretch]
        gone = frozenset(places[: min(tokens, len(places) - 1)] if places else ())
        return [token for place, token in enumerate(self.ids) if place not in gone] if gone else list(self.ids)


@dataclass(frozen=True)
class TokenRow:
    """A row of data as tokens: one prompt in each of its wordings, and the responses, the same behind all of them.

    ``ended``: for each response whether whoever wrote it ended it, so that its last token is the end token.
    """

    prompts: tuple[Yielding, ...]
    responses: Sequence[Sequence[int]]
    ended: Sequence[bool]


@dataclass(frozen=True)
class RowLengths:
    """How many tokens rows have: ``prompts`` (rows, wordings); ``responses``, and which ``ended`` (rows, responses)."""

    prompts: NDArray[np.int64]
    responses: NDArray[np.int64]
    ended: NDArray[np.bool_]


@runtime_checkable
class KnownLengths(Protocol):
    """Rows whose lengths are known without looking at their tokens."""

    def lengths(self) -> RowLengths:
        """Return how long the rows are."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A row that fits: its place in the data, counted from 0, a prompt per wording, and the responses."""

    row: int
    prompts: tuple[list[int], ...]
    responses: list[list[int]]


def fit(number: int, row: TokenRow, max_length: int) -> Fitted | None:
    """Return a row cut so that every wording of its prompt takes ``max_length`` tokens at most with each response.

    First the prompt gives way (see the module), down to half of ``max_length``; what is then still too long is cut from
    the end of the responses, whose end token is lost. All responses keep the same prompt, and all wordings lose the
    same number of tokens. None where what never gives way, one token of content and one of a response do not fit, and
    for a response without tokens. Raises StageError for a ``max_length`` below 2.
    """
    if max_length < 2:
        raise StageError(f"a length of {max_length} holds no prompt and response. Set max_length to at least 2.")
    if not all(row.responses):
        return None
    room = max(max_length - max(map(len, row.responses), default=0), max_length // 2, 1)
    over = max(0, *(len(prompt.ids) - room for prompt in row.prompts))
    prompts = tuple(prompt.without(over) for prompt in row.prompts)
    left = max_length - max(map(len, prompts))
    if left < 1:
        return None
    return Fitted(number, prompts, [list(response[:left]) for response in row.responses])


@dataclass(frozen=True)
class FittedRows:
    """The rows of a data set that can be learnt from, each cut to ``max_length`` when it is asked for.

    ``kept``, shape (rows,): their places in ``rows``. ``prompts`` (rows, wordings) and ``responses`` (rows, responses
    per row): how many tokens are left of each.
    """

    rows: Sequence[TokenRow]
    max_length: int
    kept: NDArray[np.int64]
    prompts: NDArray[np.int64]
    responses: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.kept)

    def __getitem__(self, number: int) -> Fitted:
        """Return one row."""
        place = int(self.kept[number])
        found = fit(place, self.rows[place], self.max_length)
        if found is None:
            raise IndexError(f"row {place} was found to fit and does not")
        return found

    def __iter__(self) -> Iterator[Fitted]:
        """Yield every row."""
        return (self[number] for number in range(len(self)))

    def at(self, numbers: Sequence[int] | NDArray[np.int64]) -> FittedRows:
        """Return some of these rows, by their numbers here."""
        own = np.asarray(numbers, dtype=np.int64)
        return FittedRows(self.rows, self.max_length, self.kept[own], self.prompts[own], self.responses[own])


def fit_rows(data: RowsOf, rows: Sequence[TokenRow], max_length: int) -> tuple[FittedRows, LengthCounts]:
    """Return the rows of a data set that can be learnt from, cut to ``max_length``, and what was cut and dropped.

    Dropped are rows that do not fit at all, and pairs whose responses are the same tokens, in the data or once they are
    cut: their loss does not depend on the weights, and an optimiser that divides by the size of gradients would turn
    the rounding of theirs into steps.
    """
    counts = dict.fromkeys(
        ("rows", "prompts_cut", "responses_cut", "ends_lost", "unfinished", "identical", "became_identical", "dropped"),
        0,
    )
    lengths = rows.lengths() if isinstance(rows, KnownLengths) else lengths_of(rows)
    own, longest = lengths.prompts.max(1), lengths.responses.max(1)
    counts["rows"] = len(own)
    whole = (own + longest <= max_length) & (lengths.responses.min(1) > 0) & (max_length > 1)
    left = RowLengths(lengths.prompts.copy(), lengths.responses.copy(), lengths.ended)
    kept: list[int] = []
    for number, fits in enumerate(whole.tolist()):
        written = lengths.responses[number].tolist()
        # Of a row that is used as it stands no token is looked at, unless its responses may be the same.
        if fits and (len(written) != 2 or written[0] != written[1]):
            kept.append(number)
            continue
        row = rows[number]
        fitted = fit(number, row, max_length)
        if fitted is None:
            counts["dropped"] += 1
        elif len(written) == 2 and fitted.responses[0] == fitted.responses[1]:
            same = list(row.responses[0]) == list(row.responses[1])
            counts["identical" if same else "became_identical"] += 1
        else:
            kept.append(number)
            left.prompts[number] = [len(one) for one in fitted.prompts]
            left.responses[number] = [len(one) for one in fitted.responses]
            short = (left.responses[number] < lengths.responses[number]).tolist()
            counts["prompts_cut"] += len(fitted.prompts[0]) < len(row.prompts[0].ids)
            counts["responses_cut"] += sum(short)
            counts["ends_lost"] += sum(cut and ended for cut, ended in zip(short, row.ended, strict=True))
    places = np.array(kept, dtype=np.int64)
    counts["unfinished"] = int((~lengths.ended[places]).sum())
    known = {
        "prompt": quantiles(own.tolist()),
        "response": quantiles(lengths.responses.ravel().tolist()),
        "together": quantiles((own + longest).tolist()),
    }
    fitting = FittedRows(rows, max_length, places, left.prompts[places], left.responses[places])
    return fitting, LengthCounts(data=data, max_length=max_length, **counts, **known)


def lengths_of(rows: Sequence[TokenRow]) -> RowLengths:
    """Return how long rows are that are in memory."""
    return RowLengths(
        prompts=np.array([[len(prompt.ids) for prompt in row.prompts] for row in rows], dtype=np.int64),
        responses=np.array([[len(one) for one in row.responses] for row in rows], dtype=np.int64),
        ended=np.array([row.ended for row in rows], dtype=np.bool_),
    )


def fitting_prompts(prompts: Sequence[Sequence[int]], room: int) -> tuple[list[int], LengthCounts]:
    """Return the places of prompts of at most ``room`` tokens, and how many are longer; nothing is cut."""
    lengths = [len(prompt) for prompt in prompts]
    kept = [place for place, length in enumerate(lengths) if length <= room]
    dropped = len(prompts) - len(kept)
    counts = LengthCounts(
        data="prompts", rows=len(prompts), max_length=room, dropped=dropped, prompt=quantiles(lengths)
    )
    return kept, counts


def none_left(counts: LengthCounts) -> str:
    """Return why nothing can be learnt from a data set of which every row was dropped, and what to do."""
    same = counts.identical + counts.became_identical
    why = {
        f"{counts.dropped} do not fit into {counts.max_length} tokens": counts.dropped,
        f"in {counts.identical} both responses are the same tokens": counts.identical,
        f"in {counts.became_identical} they are the same once cut": counts.became_identical,
    }
    advice = "Give pairs whose responses differ, or raise given.max_length" if same else "Raise given.max_length"
    return (
        f"no row is left of {counts.rows} {counts.data}: {', '.join(text for text, some in why.items() if some)}. "
        f"{advice} as far as the model's context allows."
    )


def longest_of(max_length: int, context: int | None) -> int:
    """Return how many tokens prompt and response may take: ``max_length``, or the model's context if that is less."""
    return max_length if context is None else min(max_length, context)
