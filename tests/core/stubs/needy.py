"""A method that needs what no comparison gives."""

from typing import ClassVar

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec


class Needy(Method):
    NEEDS: ClassVar[frozenset[str]] = frozenset({"preference"})

    def policy(self, given: Given) -> PolicySpec:
        return given.base
