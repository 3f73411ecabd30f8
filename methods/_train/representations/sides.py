"""One side of preference pairs as demonstrations."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.core.data import DataSpec, Made
from bench.core.datasets import Preference, read_preferences
from bench.core.stage import Stage, StageIO


class Side(Stage):
    """Rows of ``prompt`` and ``response``, the response being the chosen or the rejected one of each pair.

    A pair whose label is below one half is read the other way round, one at one half is left out, and where there are
    such pairs ``diagnostics.json`` has their numbers (``methods._train.pairs.labels.in_order``). A response that was
    cut off is marked by ``finish``, so that no end is taught behind it.
    """

    KIND: ClassVar[str] = "side"
    VERSION: ClassVar[int] = 2

    data: DataSpec
    side: Literal["chosen", "rejected"]

    def run(self, io: StageIO) -> None:
        """Write the rows."""
        from methods._train.feedback.label_pairs import write_rows
        from methods._train.pairs.labels import in_order

        rows, order = in_order(read_preferences(self.data, io), self.label())
        if counts := order.counts():
            io.diagnose(counts)
        write_rows(io, (self._demonstration(row) for row in rows))

    def _demonstration(self, row: Preference) -> dict[str, object]:
        chosen, rejected = row.replies()
        reply = chosen if self.side == "chosen" else rejected
        turns = [turn.model_dump() for turn in row.prompt]
        found: dict[str, object] = {"id": row.id, "prompt": turns, "response": reply.text}
        return found if reply.ended else {**found, "finish": reply.finish}


def side_of(data: DataSpec, side: Literal["chosen", "rejected"]) -> Made:
    """Return one side of preference pairs as data for supervised fine-tuning."""
    return Made(by=Side(data=data, side=side))
