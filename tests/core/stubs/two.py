"""Two methods in one file."""

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec


class One(Method):
    def policy(self, given: Given) -> PolicySpec:
        return given.base


class Two(Method):
    def policy(self, given: Given) -> PolicySpec:
        return given.base
