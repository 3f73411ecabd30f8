"""Seeded draws whose results depend on the seed alone: not on the process, the platform or a global generator."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Draws:
    """A stream of draws named by a path of words and numbers, such as ``("atlas", 7, "people")``.

    Only ``Random.random`` is used, because that is the one sequence that Python promises to keep for a given seed.
    A text seed is hashed with SHA-512, so equal names give equal streams in every process.
    """

    def __init__(self, *name: str | int) -> None:
        self._unit = Random("/".join(str(part) for part in name)).random

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        return self._unit()

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._unit() < probability

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        return int(self._unit() * bound)

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items, each equally likely."""
        return items[int(self._unit() * len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in random order (Fisher and Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = int(self._unit() * (last + 1))
            order[last], order[other] = order[other], order[last]
        return order

    def weighted(self, items: Sequence[Item], cumulative: Sequence[float]) -> Item:
        """Return one item, likely in proportion to its weight; ``cumulative`` holds the running sums of weights."""
        return items[bisect_right(cumulative, self._unit() * cumulative[-1])]

    def geometric(self, probability: float, most: int) -> int:
        """Return how often in a row an event of this probability happens, counted up to ``most``."""
        count = 0
        while count < most and self._unit() < probability:
            count += 1
        return count
