"""A method without policy()."""

from bench.core.method import Method


class Unfinished(Method):
    beta: float = 1.0
