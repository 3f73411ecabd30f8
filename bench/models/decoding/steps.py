"""The kinds of decoding sessions, from the fastest to the one that is right for every model; see ``session``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.models.decoding.sampling import Steps
from bench.models.packing.decoder import Decoder
from bench.models.packing.layout import lay_out_rows, predicting_states
from bench.models.packing.sharing import passes_of

Prompts = Sequence[Sequence[int]]


class Stated(Steps, Protocol):
    """A session that shows the states behind its logits, which a trial compares."""

    def states(self) -> Tensor:
        """Return the last hidden state of each row. Shape: (batch, width)."""
        ...


class FromStates(ABC):
    """What all kinds have in common: the logits of the states that they show."""

    _decoder: Decoder

    @abstractmethod
    def states(self) -> Tensor:
        """Return the last hidden state of each row that has not left. Shape: (batch, width)."""

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._decoder.logits(self.states())


class Cached(FromStates):
    """Rows of ids, left-padded, with what the model remembers of them; none leaves. ``cache``: see ``Decoder.read``."""

    def __init__(self, decoder: Decoder, rows: Prompts, pad_id: int, cache: Any) -> None:
        width = max(len(row) for row in rows)
        lengths = torch.tensor([len(row) for row in rows], device=decoder.device)
        ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows])
        place = torch.arange(width, device=decoder.device) - (width - lengths)[:, None]
        self._decoder = decoder
        self._next_place = lengths[:, None]
        # Without padding the mask is left out, which is faster and means the same.
        self._attended = place >= 0 if len(set(map(len, rows))) > 1 else None
        hidden, self._cache = decoder.read(
            ids.to(decoder.device), attention_mask=self._attended, position_ids=place.clamp_min(0), cache=cache
        )
        self._hidden = hidden[:, -1]

    def states(self) -> Tensor:
        """Return the last hidden state of each row. Shape: (batch, width)."""
        return self._hidden

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        if self._attended is not None:
            self._attended = torch.nn.functional.pad(self._attended, (0, 1), value=True)
        hidden, self._cache = self._decoder.read(
            tokens[:, None], attention_mask=self._attended, position_ids=self._next_place, cache=self._cache
        )
        self._hidden = hidden[:, -1]
        self._next_place = self._next_place + 1


class BatchSession(Cached):
    """A decoding session over prompts of ids: left-padded, one row each, with a cache that rows can leave.

    Equal prompts (several samples of one) are read once; their rows start from copies of one cache.
    """

    def __init__(self, decoder: Decoder, rows: Prompts, pad_id: int, cache: Any) -> None:
        numbers: dict[tuple[int, ...], int] = {}
        which = [numbers.setdefault(tuple(row), len(numbers)) for row in rows]
        super().__init__(decoder, list(numbers), pad_id, cache)
        if len(numbers) < len(rows):
            self.keep(torch.tensor(which, device=decoder.device))

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers; a number may stand more than once. Call before ``push``."""
        self._cache.reorder_cache(rows)
        self._next_place = self._next_place[rows]
        self._hidden = self._hidden[rows]
        if self._attended is not None:
            self._attended = self._attended[rows]


class StayingSession(FromStates):
    """A decoding session whose rows are all computed to the end, because what the model remembers cannot be divided."""

    def __init__(self, decoder: Decoder, rows: Prompts, pad_id: int) -> None:
        self._decoder = decoder
        self._all = Cached(decoder, rows, pad_id, None)
        self._fed = torch.full((len(rows),), pad_id, device=decoder.device)
        self._shown = torch.arange(len(rows), device=decoder.device)

    def states(self) -> Tensor:
        """Return the last hidden state of each row that has not left. Shape: (batch, width)."""
        return self._all.states()[self._shown]

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row that has not left; the others get any. Shape: (batch,)."""
        self._fed[self._shown] = tokens
        self._all.push(self._fed)

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Show these rows only, given by their numbers, each once."""
        self._shown = self._shown[rows]


class LevelSession(FromStates):
    """A decoding session without padding: rows of equal length together, each length in a session of its own."""

    def __init__(
        self, decoder: Decoder, rows: Prompts, pad_id: int, opens: Callable[[Decoder, Prompts, int], Stated]
    ) -> None:
        lengths = [len(row) for row in rows]
        self._decoder = decoder
        self._numbers = [
            torch.tensor([number for number, length in enumerate(lengths) if length == one], device=decoder.device)
            for one in dict.fromkeys(lengths)
        ]
        self._sessions = [opens(decoder, [rows[number] for number in part], pad_id) for part in self._numbers]

    def states(self) -> Tensor:
        """Return the last hidden state of each row. Shape: (batch, width)."""
        found = torch.cat([session.states() for session in self._sessions])
        return found[torch.cat(self._numbers).argsort()]

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        for numbers, session in zip(self._numbers, self._sessions, strict=True):
            session.push(tokens[numbers])

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers, each once."""
        wanted = rows.tolist()
        left: list[tuple[Tensor, Stated]] = []
        for numbers, session in zip(self._numbers, self._sessions, strict=True):
            places = {number: place for place, number in enumerate(numbers.tolist())}
            staying = [number for number in wanted if number in places]
            if staying:
                if len(staying) < len(places):
                    session.keep(torch.tensor([places[number] for number in staying], device=rows.device))
                    places = {number: place for place, number in enumerate(staying)}
                new = {number: place for place, number in enumerate(wanted)}
                left.append((torch.tensor([new[number] for number in places], device=rows.device), session))
        self._numbers = [numbers for numbers, _ in left]
        self._sessions = [session for _, session in left]


class RereadingSession(FromStates):
    """A decoding session without a cache: every token costs a pass over the whole rows, as they are scored."""

    def __init__(self, decoder: Decoder, rows: Prompts, pad_id: int) -> None:
        self._decoder = decoder
        self._pad_id = pad_id
        self._rows = [list(row) for row in rows]
        self._hidden = self._read()

    def _read(self) -> Tensor:
        numbers: list[int] = []
        states: list[Tensor] = []
        for part in passes_of(self._decoder, [len(row) for row in self._rows]):
            layout = lay_out_rows([(self._rows[number], [self._pad_id]) for number in part], self._pad_id)
            numbers += part
            states.append(predicting_states(self._decoder, layout))
        return torch.cat(states)[torch.tensor(numbers, device=self._decoder.device).argsort()]

    def states(self) -> Tensor:
        """Return the last hidden state of each row. Shape: (batch, width)."""
        return self._hidden

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        for row, token in zip(self._rows, tokens.tolist(), strict=True):
            row.append(token)
        self._hidden = self._read()

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers."""
        self._rows = [self._rows[number] for number in rows.tolist()]
        self._hidden = self._hidden[rows]
