"""A method with fields of every type, and needs."""

from typing import ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt, model_validator

from bench.core.frozen import Frozen
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec


class Schedule(Frozen):
    warmup: PositiveInt = 10
    shape: Literal["linear", "cosine"] = "linear"


class Tuned(Method):
    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    epochs: PositiveInt = 1
    loss: Literal["sigmoid", "hinge"] = "sigmoid"
    layers: tuple[int, ...] = ()
    schedule: Schedule = Schedule()
    shuffle: bool = True
    note: str | None = None

    @model_validator(mode="after")
    def _agree(self) -> "Tuned":
        if self.loss == "hinge" and self.epochs > 5:
            raise ValueError("hinge loss takes at most 5 epochs")
        return self

    def policy(self, given: Given) -> PolicySpec:
        return given.base
