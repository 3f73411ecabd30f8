"""The meter: what a stage consumed, counted by the bench and not reported by the method."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Self

# Model FLOPs per parameter and token that is read or written, not trained on.
READ_FLOPS = 2.0


@dataclass
class Meter:
    """Counts of what was consumed; additive, so that the cost of an arm is the sum over its stages.

    ``flops`` are model FLOPs (6 per parameter and trained token, 2 per parameter and other token), not measured
    ones; ``seconds`` are wall-clock seconds of the stage, resumed parts included. ``api_calls``, ``api_tokens`` and
    ``usd`` are what requests to models behind an API cost, answers from the store left out.
    """

    examples: int = 0
    trained_tokens: int = 0
    generated_tokens: int = 0
    read_tokens: int = 0
    flops: float = 0.0
    labels: int = 0
    judgements: int = 0
    api_calls: int = 0
    api_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Self) -> Meter:
        """Return the sum, field by field."""
        return Meter(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})

    def as_dict(self) -> dict[str, float]:
        """Return the counts by name."""
        return asdict(self)
