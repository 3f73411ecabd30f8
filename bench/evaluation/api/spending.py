"""What answers cost, and how much may be spent in one run."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from bench.core.frozen import Frozen
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.replies import Answer

RUN_VARIABLE = "ALIGNMENT_BENCH_RUN"
TOKENS_OF_A_PRICE = 1_000_000
# What a chat template puts around a message, at most, in tokens.
TOKENS_AROUND_A_MESSAGE = 32
_THIS_PROCESS = uuid.uuid4().hex
_Price = Annotated[float, Field(ge=0)]


class Prices(Frozen):
    """USD for a million tokens: those the model reads (``input``) and those it writes (``output``)."""

    input: _Price
    output: _Price


class SpendingLimit(Frozen):
    """The most that one run may spend on a model: USD, tokens read and written, or answered requests."""

    usd: PositiveFloat | None = None
    tokens: PositiveInt | None = None
    calls: PositiveInt | None = None

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.usd is None and self.tokens is None and self.calls is None:
            raise ValueError("name at least one of usd, tokens and calls")
        return self

    def admits(self, spent: Cost) -> bool:
        """Tell whether a total stays within every limit."""
        pairs = ((self.usd, spent.usd), (self.tokens, spent.tokens), (self.calls, spent.calls))
        # A hair is granted, because sums of many prices are rounded.
        return all(most is None or value <= most * (1 + 1e-12) for most, value in pairs)

    def __str__(self) -> str:
        parts = [f"{value:g} {name}" for name, value in self.model_dump().items() if value is not None]
        return " or ".join(parts)


@dataclass(frozen=True)
class Cost:
    """What requests cost: how many, tokens read and written, and USD (0 where no prices are given)."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Return the sum."""
        return Cost(self.calls + other.calls, self.tokens + other.tokens, self.usd + other.usd)


def cost_of(tokens: tuple[int, int], prices: Prices | None) -> Cost:
    """Return the cost of one request by the tokens it read and wrote."""
    read, written = tokens
    usd = 0.0 if prices is None else (read * prices.input + written * prices.output) / TOKENS_OF_A_PRICE
    return Cost(1, read + written, usd)


def most(question: ApiQuestion, prices: Prices | None) -> Cost:
    """Return the most that one request can cost.

    A token is at least one byte of text, so a message has no more tokens than bytes; a chat template adds a few.
    """
    read = sum(len(turn["content"].encode()) + TOKENS_AROUND_A_MESSAGE for turn in question.messages)
    return cost_of((read, question.decoding.max_tokens), prices)


def actual(answer: Answer, question: ApiQuestion, prices: Prices | None) -> Cost:
    """Return what an answer cost; the most it can have cost where the server does not count tokens."""
    return most(question, prices) if answer.tokens is None else cost_of(answer.tokens, prices)


def name_this_run() -> None:
    """Give this run a name of its own, which worker processes inherit; limits count what one run spends."""
    os.environ[RUN_VARIABLE] = uuid.uuid4().hex


def this_run() -> str:
    """Return the name of the run that this process belongs to, the process's own outside of one."""
    return os.environ.get(RUN_VARIABLE, _THIS_PROCESS)
