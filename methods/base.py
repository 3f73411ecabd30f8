"""The base as it is: no training at all.

The floor of a comparison. A method that does not beat it has learnt nothing.
"""

from __future__ import annotations

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec


class Base(Method):
    """The untouched base."""

    def policy(self, given: Given) -> PolicySpec:
        """Return the base."""
        return given.base
