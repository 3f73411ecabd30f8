"""What several methods plan alike: the supervised start, and the fields of a fine-tuning stage."""

from __future__ import annotations

from typing import Any

from bench.core.data import DataSpec
from bench.core.errors import BenchError
from bench.core.method import Given
from bench.core.policy import PolicySpec, Tuned
from methods._train.settings import Optimisation
from methods._train.stages import ReferenceLogprobs, TrainSFT


def sft(given: Given, settings: Optimisation | None = None) -> PolicySpec:
    """Return the base after supervised fine-tuning on the demonstrations: the start of every preference method.

    Without ``settings`` it is what the method ``sft`` makes at its defaults; equal settings make the same stage, so
    one training serves all. Without demonstrations it is the base itself, which suits a base that already follows
    instructions.
    """
    if given.demonstrations is None:
        return given.base
    optimisation = Optimisation() if settings is None else settings.optimisation()
    stage = TrainSFT(**fine_tuning(given, given.base, given.demonstrations, optimisation))
    return Tuned(base=given.base, by=stage)


def fine_tuning(given: Given, init: PolicySpec, data: DataSpec, settings: Optimisation) -> dict[str, Any]:
    """Return the fields that every fine-tuning stage has, from what is given and a method's settings."""
    return {
        "init": init,
        "data": data,
        "lora": given.lora,
        "optimisation": settings.optimisation(),
        "budget": given.budget,
        "max_length": given.max_length,
        "seed": given.seed,
    }


def preferences(given: Given) -> DataSpec:
    """Return the preference data; raises BenchError when none are given."""
    if given.preferences is None:
        raise BenchError("this method learns from pairs: add given.preferences to the comparison file")
    return given.preferences


def reference(given: Given, policy: PolicySpec) -> ReferenceLogprobs:
    """Return the stage that scores the preference data with a frozen reference, shared by all who use it."""
    return ReferenceLogprobs(policy=policy, data=preferences(given), max_length=given.max_length)
