"""Which model answered: a server's word for it, held against the name that was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.core.stage import StageIO
from bench.evaluation.api.replies import Answer

# Where a stage's diagnostics say it: answers by the model asked for, then by the one that the server names.
SERVED = "served_models"


def tell_served(asked: str, answers: Sequence[Answer], io: StageIO) -> None:
    """Add to the stage's diagnostics how many answers which model gave, where it is not the one asked for.

    An alias (a name without its date) and another model behind a router look alike here, so both are told. A server
    that names no model tells nothing.
    """
    told: Counter[str] = io.kept.setdefault(f"{SERVED} {asked}", Counter())
    told.update(answer.served for answer in answers if answer.served is not None)
    if told.keys() - {asked}:
        before = io.kept.setdefault(SERVED, {})
        before[asked] = dict(sorted(told.items()))
        io.diagnose({SERVED: before})
