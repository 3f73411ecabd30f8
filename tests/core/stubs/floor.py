"""A method without training."""

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec


class Floor(Method):
    """Returns the base."""

    def policy(self, given: Given) -> PolicySpec:
        return given.base
