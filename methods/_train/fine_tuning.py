"""The fields that every fine-tuning stage has."""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeInt, PositiveInt

from bench.core.data import DataSpec
from bench.core.method import Budget, Lora
from bench.core.policy import Kept, PolicySpec
from bench.core.stage import Resources, Stage
from methods._train.settings import Optimisation


class FineTuning(Stage):
    """A stage that changes ``init`` by training: the fields all of them have.

    It writes ``policy/`` (a LoRA adapter over ``init``, or whole weights when ``lora`` is None) and ``log.jsonl``, so
    its result is ``Tuned(base=init, by=stage)``. ``keep``: what whole weights are stored in (an adapter is stored in
    float32); what is computed in is the policy's (``bench.core.policy.computed_in``). Prompt and response take
    ``max_length`` tokens at most; see ``bench.models.lengths`` for what gives way.
    """

    RESOURCES: ClassVar[Resources] = Resources(accelerator=True, distributed=True)

    init: PolicySpec
    data: DataSpec
    lora: Lora | None
    keep: Kept = "float32"
    optimisation: Optimisation
    budget: Budget | None
    max_length: PositiveInt
    seed: NonNegativeInt

    def wordings(self) -> tuple[PolicySpec, ...]:
        """Return as whom every prompt is read, instructions included: a plan counts lengths by it."""
        return (self.init,)
