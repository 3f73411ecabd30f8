"""How two programs are compared on a machine that others use too: alternately, and by ratios of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

HEADER = """\
| what | model | data | ours (median) | theirs (median) | ratio: median [min, max] | goal | met |
|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    """One line of the table. ``goal`` is the ratio to reach; ``at_most`` turns it into one not to exceed."""

    what: str
    model: str
    data: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float]
    goal: float | None
    at_most: bool = False

    def ratios(self) -> list[float]:
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def met(self) -> bool | None:
        if self.goal is None:
            return None
        found = median(self.ratios())
        return found <= self.goal if self.at_most else found >= self.goal

    def line(self) -> str:
        ratios = self.ratios()
        goal = "-" if self.goal is None else f"{'<=' if self.at_most else '>='} {self.goal:g}"
        told = {True: "yes", False: "**no**", None: "-"}[self.met()]
        return (
            f"| {self.what} | {self.model} | {self.data} | {median(self.ours):,.3g} {self.unit} | "
            f"{median(self.theirs):,.3g} {self.unit} | "
            f"**{median(ratios):.2f}** [{min(ratios):.2f}, {max(ratios):.2f}] | {goal} | {told} |"
        )


def alternately(
    ours: Callable[[int], float], theirs: Callable[[int], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Return what both measured in ``rounds`` rounds; round 0 is a warm-up and not counted.

    Each is given the number of the round. Who goes first changes from round to round, so that a load that comes or
    goes slowly falls on both.
    """
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        order = (0, 1) if number % 2 else (1, 0)
        for which in order:
            value = (ours, theirs)[which](number)
            if number:
                found[which].append(value)
    return found
