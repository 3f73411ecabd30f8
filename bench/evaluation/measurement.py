"""What measurements share: the judges of one seed, judges with other noise, and judges within a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from bench.config.comparison import Named
from bench.core.frozen import children
from bench.core.judge import Judge
from bench.core.policy import PolicySpec
from bench.core.stage import Stage


def reseeded(judge: Judge) -> Judge | None:
    """Return a judge with other noise; None for one that has no seed, or that reads none with its settings."""
    seed = getattr(judge, "seed", None)
    if not isinstance(seed, int):
        return None
    try:
        return judge.model_copy(update={"seed": seed + 1})
    except ValidationError:
        return None


def bound(judges: tuple[Named, ...], policies: dict[tuple[str, int], PolicySpec], run: int) -> tuple[Named, ...]:
    """Return the judges of one run: those that take something from an arm have that arm's at this run."""
    return tuple(Named(label=named.label, judge=named.judge.bound(lambda arm: policies[arm, run])) for named in judges)


def judges_in(value: Any) -> Iterator[Judge]:
    """Yield the judges in a value, those nested within stages left out."""
    for part in children(value):
        if isinstance(part, Judge):
            yield part
        if not isinstance(part, Stage):
            yield from judges_in(part)
