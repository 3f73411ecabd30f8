"""Questions to a model behind an API, and the key of an answer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bench.core.policy import Chat

KEY_VERSION = 1
# Seeds beyond the first are 31 bits: some servers read a signed integer of 32.
_SEEDS = 2**31


def seed_of(seed: int, sample: int, again: int) -> int:
    """Return the seed that is sent with one attempt at one of several samples; none is sent twice with one ``seed``.

    The first attempt at the first sample has the seed itself. All others have an offset drawn from it plus the number
    of (sample, again) in Cantor's enumeration of pairs, so that they differ by construction and those of neighbouring
    seeds do not meet.
    """
    if sample == 0 and again == 0:
        return seed
    offset = int.from_bytes(hashlib.sha256(f"samples of {seed}".encode()).digest()[:4], "big")
    found = (offset + (sample + again) * (sample + again + 1) // 2 + again) % _SEEDS
    # The one place where the enumeration could meet the seed itself is that of the pair (0, 0).
    return found if found != seed else offset % _SEEDS


@dataclass(frozen=True)
class ApiDecoding:
    """Which model writes an answer, and how. All of it is in the key of the answer.

    ``version`` says what the name of the model leaves open (who serves it, a date); it is not sent.
    """

    model: str
    version: str | None
    max_tokens: int
    temperature: float | None
    seed: int | None


@dataclass(frozen=True)
class ApiQuestion:
    """One question: a chat, which of several ``sample`` answers to it is meant, and which attempt at a readable one.

    ``name`` is what an error message calls it and is in no key.
    """

    chat: Chat
    decoding: ApiDecoding
    sample: int = 0
    again: int = 0
    name: str = "a question"

    @cached_property
    def key(self) -> str:
        """The sha256 over everything that is sent, and the numbers of the sample and of the attempt."""
        return hashlib.sha256(self.written.encode()).hexdigest()

    @property
    def seed(self) -> int | None:
        """The seed that is sent: another one for each sample and attempt; None where none is sent."""
        seed = self.decoding.seed
        return None if seed is None else seed_of(seed, self.sample, self.again)

    def sent(self, limit: Literal["max_tokens", "max_completion_tokens"]) -> dict[str, Any]:
        """Return the fields of a request beside the chat; what is None is not sent.

        ``limit`` is the server's name of max_tokens.
        """
        decoding = self.decoding
        fields = {
            "model": decoding.model,
            limit: decoding.max_tokens,
            "temperature": decoding.temperature,
            "seed": self.seed,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @cached_property
    def written(self) -> str:
        """The question as JSON text, from which its key is computed."""
        body = {
            "key_version": KEY_VERSION,
            "model": self.decoding.model,
            "version": self.decoding.version,
            "max_tokens": self.decoding.max_tokens,
            "temperature": self.decoding.temperature,
            "seed": self.seed,
            "messages": self.messages,
            "sample": self.sample,
            "again": self.again,
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":"))

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat as a request holds it."""
        return [{"role": turn.role, "content": turn.content} for turn in self.chat]
