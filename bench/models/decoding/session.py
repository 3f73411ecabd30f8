"""Decoding sessions: the next token's logits of several rows, by the fastest way that a model was seen to do right.

Decoding with a cache must give what one pass over the whole text gives. It does not for every architecture: some
remember nothing under the name that others use, a state reads the padding on the left, or rows cannot leave. So each
model is tried once, when it first decodes, on a few short rows: ways in the order of ``WAYS``, until one is right.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.models.decoding.cache import growing_cache
from bench.models.decoding.encoded_session import EncodedSession
from bench.models.decoding.sampling import Steps
from bench.models.decoding.steps import BatchSession, LevelSession, Prompts, RereadingSession, Stated, StayingSession
from bench.models.packing.decoder import Decoder, varied
from bench.models.packing.encoder_decoder import EncoderDecoder
from bench.models.packing.halves import halves_of
from bench.models.packing.layout import lay_out_rows, predicting_states
from bench.models.packing.sharing import differs, trial_rows

log = logging.getLogger(__name__)

TRIAL_STEPS = 4  # tokens that a trial writes behind each prompt
_ATTENTION = {"full_attention", "sliding_attention"}


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
    decoder = halves_of(model)
    if isinstance(decoder, EncoderDecoder):
        return EncodedSession(decoder, prompts, pad_id)
    if decoder.rope is not None:
        return BoundedSession(decoder, prompts, pad_id, decoder.rope.boundary)
    return way_of(decoder).opens(decoder, prompts, pad_id)


def way_of(decoder: Decoder) -> Way:
    """Return how this model decodes: the first way whose states were those of a full pass over each row alone.

    It is tried once per model. A way that is slower than a cache with padding is logged, with what was wrong with the
    one before it.
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
            log.warning("%s: %s: %s", type(decoder.causal).__name__, way.said, reasons[-1])
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
        there = [list(range(len(prompts)))]  # the rows whose states are compared, before any token and after each
        for staying in stays:
            there.append(there[-1] if staying is None else staying)
        counts = [sum(row in rows for rows in there[1:]) for row in range(len(prompts))]
        alone = [
            predicting_states(decoder, lay_out_rows([(prompt, [*tokens[:count].tolist(), 0])], pad_id=0))
            for prompt, tokens, count in zip(prompts, written, counts, strict=True)
        ]
        return torch.stack([alone[row][step] for step, rows in enumerate(there) for row in rows])

    return differs(decoder, decoded, whole)


def _tell_once(decoder: Decoder, words: str) -> None:
    if decoder.causal not in _TOLD:
        _TOLD.add(decoder.causal)
        log.warning("%s: %s", type(decoder.causal).__name__, words)
