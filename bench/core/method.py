"""A method: its fields are its hyper-parameters, its YAML schema and its defaults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt

from bench.core.data import DataSpec
from bench.core.frozen import Frozen, Open
from bench.core.judge import Judge
from bench.core.policy import Kept, PolicySpec


class Lora(Frozen):
    """A low-rank adapter (Hu et al. 2021, arXiv:2106.09685) on every linear layer except the LM head.

    The update is scaled by ``alpha / rank``; ``targets`` names modules, and empty means all linear layers.
    """

    rank: PositiveInt = 8
    alpha: PositiveFloat = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: tuple[str, ...] = ()


class Settings(Frozen):
    """A group of settings, some of which stand for another value for an adapter than for all weights."""

    def stands_for(self, lora: Lora | None) -> Mapping[str, float]:
        """Return the numbers that settings of None stand for where this adapter is trained, or all weights (None)."""
        del lora
        return {}


def defaults_of(value: Frozen, lora: Lora | None) -> dict[str, float]:
    """Return the numbers that settings of None stand for, by their dotted names within the value.

    ``lora``: what the comparison has a method train, an adapter or all weights (None).
    """
    if isinstance(value, Method):
        value = value.written_out()
    found = dict(value.stands_for(lora)) if isinstance(value, Settings) else {}
    for name in type(value).model_fields:
        part = getattr(value, name)
        if isinstance(part, Settings | Method):
            found |= {f"{name}.{inner}": number for inner, number in defaults_of(part, lora).items()}
    return found


class Budget(Frozen):
    """The most that each training stage of every method may consume; ``value`` is counted in ``axis``."""

    axis: Literal["examples", "tokens", "flops", "seconds"]
    value: PositiveFloat


class Shared(Frozen):
    """What the comparison fixes for every method: the same base, data, adapter and budget for all.

    ``small`` is a smaller model of the base's family. ``prompts`` are those of on-policy training. ``keep``: what whole
    trained weights are stored in; see ``bench.core.policy.computed_in``. ``max_length``: the tokens that a prompt and a
    response may take together in training; a model that reads less is given less.
    """

    base: PolicySpec
    small: PolicySpec | None = None
    demonstrations: DataSpec | None = None
    preferences: DataSpec | None = None
    prompts: DataSpec | None = None
    labeller: Annotated[Judge | None, Field(description="stands in for a human labeller")] = None
    lora: Annotated[Lora | None, Field(description="the adapter of every method, or none for full fine-tuning")] = None
    keep: Annotated[Kept, Field(description="what whole trained weights are stored in; adapters: float32")] = "float32"
    budget: Budget | None = None
    max_length: PositiveInt = 1024


class Given(Shared):
    """What one method is given for one training seed of the comparison.

    ``start`` and ``reference`` are an arm's own: what it starts from in the place of its supervised start, and what its
    loss is measured against in the place of that start.
    """

    seed: int
    start: PolicySpec | None = None
    reference: PolicySpec | None = None


class Method(Open, ABC):
    """An alignment method. ``NEEDS`` names the fields of Given that must be there, whatever the settings."""

    NEEDS: ClassVar[frozenset[str]] = frozenset()

    def needs(self) -> frozenset[str]:
        """Return the fields of Given that must be there with these settings."""
        return self.NEEDS

    def written_out(self) -> Self:
        """Return the method with each method that a setting of None stands for in its place."""
        return self

    @abstractmethod
    def policy(self, given: Given) -> PolicySpec:
        """Return the policy this method makes of what is given. Pure: it plans and never trains."""
