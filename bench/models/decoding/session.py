"""Decoding sessions: the next token's logits of several rows, by the fastest way that a model was seen to do right.

Decoding with a cache must give what one pass over the whole text gives. It does not for every architecture: some
remember nothing under the name that others use, a state reads the padding on the left, or rows cannot leave. So each
model is tried once, when it first decodes, on a few short rows: ways in the order of ``WAYS``, until one is right.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.models.decoding.cache import growing_cache
from bench.models.decoding.sampling import Steps
from bench.models.packing.decoder import Decoder, decoder_of, varied
from bench.models.packing.layout import lay_out_rows, predicting_states
from bench.models.packing.sharing import differs, passes_of, trial_rows

log = logging.getLogger(__name__)

TRIAL_STEPS = 4  # tokens that a trial writes behind each prompt
_ATTENTION = {"full_attention", "sliding_attention"}
Prompts = Sequence[Sequence[int]]


class Stated(Steps, Protocol):
    """A session that shows the states behind its logits, which a trial compares."""

    def states(self) -> Tensor:
        """Return the last hidden state of each row. Shape: (batch, width)."""
        ...


class Cached:
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
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._decoder.logits(self._hidden)

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


class StayingSession:
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
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._decoder.logits(self.states())

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row that has not left; the others get any. Shape: (batch,)."""
        self._fed[self._shown] = tokens
        self._all.push(self._fed)

    @torch.inference_mode()
    def keep(self, rows: Tensor) -> None:
        """Show these rows only, given by their numbers, each once."""
        self._shown = self._shown[rows]


class LevelSession:
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
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._decoder.logits(self.states())

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


class RereadingSession:
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
    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._decoder.logits(self._hidden)

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


class BoundedSession:
    """A decoding session that gives its cache up once a row outgrows the rotary frequencies that its keys have.

    See ``bench.models.packing.rope``. Beyond the boundary every token is read with the frequencies of the whole text.
    """

    def __init__(self, decoder: Decoder, rows: Prompts, pad_id: int, boundary: int) -> None:
        self._decoder = decoder
        self._pad_id = pad_id
        self._rows = [list(row) for row in rows]
        self._boundary = boundary
        self._cached = self._fits()
        self._session: Stated = (
            way_of(decoder).opens(decoder, rows, pad_id) if self._cached else RereadingSession(decoder, rows, pad_id)
        )

    def _fits(self) -> bool:
        fits = max(map(len, self._rows)) <= self._boundary
        if not fits:
            _tell_once(self._decoder, f"rows beyond {self._boundary} tokens are read anew at each token, without cache")
        return fits

    def logits(self) -> Tensor:
        """Return float32 logits of the next token, before temperature. Shape: (batch, vocabulary)."""
        return self._session.logits()

    @torch.inference_mode()
    def push(self, tokens: Tensor) -> None:
        """Append one token per row. Shape: (batch,)."""
        for row, token in zip(self._rows, tokens.tolist(), strict=True):
            row.append(token)
        if self._cached and not self._fits():
            self._cached = False
            self._session = RereadingSession(self._decoder, self._rows, self._pad_id)
        else:
            self._session.push(tokens)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, given by their numbers."""
        self._rows = [self._rows[number] for number in rows.tolist()]
        self._session.keep(rows)


@dataclass(frozen=True)
class Way:
    """A way to decode: its name, what is said of it in the log, and how a session of it is opened."""

    name: str
    said: str
    opens: Callable[[Decoder, Prompts, int], Stated]


def _growing(decoder: Decoder, rows: Prompts, pad_id: int) -> BatchSession:
    # Chunks and states have caches of their own; a short trial would not reach the end of a chunk.
    kinds = set(decoder.causal.config.to_dict().get("layer_types") or _ATTENTION)
    if not kinds <= _ATTENTION:
        raise ValueError(f"it has layers of the kind {', '.join(sorted(kinds - _ATTENTION))}")
    return BatchSession(decoder, rows, pad_id, growing_cache())


def _own(decoder: Decoder, rows: Prompts, pad_id: int) -> BatchSession:
    return BatchSession(decoder, rows, pad_id, None)


def _level(decoder: Decoder, rows: Prompts, pad_id: int) -> LevelSession:
    return LevelSession(decoder, rows, pad_id, _own)


def _staying(decoder: Decoder, rows: Prompts, pad_id: int) -> LevelSession:
    return LevelSession(decoder, rows, pad_id, StayingSession)


REREAD = Way("reread", "it decodes without a cache, a pass over the whole text for each token", RereadingSession)
# The two ways of full speed need no word in the log.
WAYS = (
    Way("cached", "", _growing),
    Way("own cache", "", _own),
    Way("level", "it decodes rows of equal length together", _level),
    Way("staying", "it decodes rows of equal length together, and computes those that have ended to the end", _staying),
    REREAD,
)
_FOUND: weakref.WeakKeyDictionary[nn.Module, Way] = weakref.WeakKeyDictionary()
_TOLD: weakref.WeakSet[nn.Module] = weakref.WeakSet()


@torch.inference_mode()
def open_session(model: nn.Module, prompts: Prompts, pad_id: int) -> Steps:
    """Return a decoding session over prompts of ids, one row each."""
    decoder = decoder_of(model)
    if decoder.rope is not None:
        return BoundedSession(decoder, prompts, pad_id, decoder.rope.boundary)
    return way_of(decoder).opens(decoder, prompts, pad_id)


def way_of(decoder: Decoder) -> Way:
    """Return how this model decodes: the first way whose states were those of a full pass over each row alone.

    It is tried once per model. A way that is slower than a cache with padding is logged, with what was wrong with it.
    """
    if decoder.causal not in _FOUND:
        reasons: list[str] = []
        for way in WAYS:
            reason = None if way is REREAD else _tried(decoder, way)
            if reason is None:
                break
            reasons.append(reason)
        _FOUND[decoder.causal] = way
        if way.said:
            log.warning("%s: %s: %s", type(decoder.causal).__name__, way.said, reasons[1])
    return _FOUND[decoder.causal]


def _tried(decoder: Decoder, way: Way) -> str | None:
    """Return what a way of decoding gets wrong, None where it is right.

    Prompts of several lengths, one of them twice, are written on with tokens that differ, and rows leave on the way.
    """
    prompts = trial_rows(decoder)
    prompts.append(prompts[0])
    written = varied(len(prompts) * TRIAL_STEPS, decoder.vocabulary, start=64).view(len(prompts), TRIAL_STEPS)
    leaving = {1: [0, 1, 3, 5], 2: [1, 3]}  # after so many tokens these rows stay, by their first numbers
    stays = [leaving.get(step) for step in range(TRIAL_STEPS)]

    def decoded() -> Tensor:
        session, rows = way.opens(decoder, prompts, 0), list(range(len(prompts)))
        found = [session.states()]
        for step, staying in enumerate(stays):
            if staying is not None:
                session.keep(torch.tensor([rows.index(row) for row in staying], device=decoder.device))
                rows = staying
            session.push(written[rows, step].to(decoder.device))
            found.append(session.states())
        return torch.cat(found)

    def whole() -> Tensor:
        counts = [0] * len(prompts)
        steps = [list(range(len(prompts)))]
        for staying in stays:
            steps.append(steps[-1] if staying is None else staying)
            for row in steps[-1]:
                counts[row] += 1
        rows = [(prompt, [*tokens[:count].tolist(), 0]) for prompt, tokens, count in
                zip(prompts, written, counts, strict=True)]
        alone = [predicting_states(decoder, lay_out_rows([row], pad_id=0)) for row in rows]
        return torch.stack([alone[row][step] for step, there in enumerate(steps) for row in there])

    return differs(decoder, decoded, whole)


def _tell_once(decoder: Decoder, words: str) -> None:
    if decoder.causal not in _TOLD:
        _TOLD.add(decoder.causal)
        log.warning("%s: %s", type(decoder.causal).__name__, words)
