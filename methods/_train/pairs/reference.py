"""A frozen reference's log-probabilities of preference data, as a stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt

from bench.core.data import DataSpec
from bench.core.policy import PolicySpec
from bench.core.stage import Resources, Stage, StageIO


class ReferenceLogprobs(Stage):
    """The frozen reference's log-probabilities of the responses in preference data, computed once.

    Every method and setting that starts from the same reference on the same data reads them, which saves a second
    model in memory and a forward pass per step. The payload is ``logprobs.safetensors``: float32 sums in nats and
    token counts, one per row of the data, in order.

    ``responses``: ``pairs`` scores the chosen and the rejected response of each row; ``mismatched`` scores the
    response of another row under each row's prompt (for KTO's estimate of the KL divergence).
    """

    KIND: ClassVar[str] = "reference_logprobs"
    VERSION: ClassVar[int] = 3
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    data: DataSpec
    max_length: PositiveInt
    responses: Literal["pairs", "mismatched"] = "pairs"

    def run(self, io: StageIO) -> None:
        """Score every row, and write the log-probabilities."""
        from methods._train.pairs.score_reference import write_reference

        write_reference(self.policy, self.data, io, max_length=self.max_length, responses=self.responses)
