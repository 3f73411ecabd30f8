"""How far a policy has moved from another one: the KL divergence of its responses, estimated on its own samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.policy import BestOf, Decoding, PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt, Task
from bench.evaluation.generate import Generate, read_rows

DIVERGENCES = "divergences.parquet"
DIVERGENCES_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("k3", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
# Policies whose log-probabilities are those of what they write.
WITH_LIKELIHOOD = frozenset({"pretrained", "built", "tuned", "proxy"})


class Sampled(Task):
    """The prompts of another task, answered at temperature 1 from the whole distribution.

    A divergence is an expectation over a policy's own distribution; answers decoded greedily, or from a part of it,
    are no samples of that.
    """

    NAME: ClassVar[str] = "sampled"
    VERSION: ClassVar[int] = 1

    task: Task

    def prompts(self) -> Sequence[Prompt]:
        """Return the other task's prompts."""
        return self.task.prompts()

    def decoding(self) -> Decoding:
        """Return the other task's decoding with nothing but its length kept."""
        return Decoding(max_new_tokens=self.task.decoding().max_new_tokens)


def sampled(task: Task) -> Task:
    """Return a task with the same prompts whose answers are samples; the task itself where they are already."""
    free = Sampled(task=task)
    return task if task.decoding() == free.decoding() else free


class Divergence(Stage):
    """Per response of one generation, two estimates of the KL divergence of its policy pi from ``reference``.

    With l_t = log pi_ref(y_t) - log pi(y_t): ``value`` is k1, the sum of -l_t, and ``k3`` the sum of
    exp(l_t) - 1 - l_t (Schulman, "Approximating KL divergence", 2020). Both have the sequence's KL divergence as their
    expectation; k3 is never negative and varies less while the policies are close. Nothing is clamped. A response cut
    at the longest length counts as far as it goes.
    """

    KIND: ClassVar[str] = "divergence"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    responses: Generate
    reference: PolicySpec

    def run(self, io: StageIO) -> None:
        """Write ``divergences.parquet``: one row per prompt and draw.

        Every row is undefined, with the reason, where one of the policies has no likelihood. Raises StageError when
        the two do not share a tokenizer.
        """
        answers = read_rows(io, self.responses)
        why = without_likelihood(self.responses.policy) or without_likelihood(self.reference)
        if why is not None:
            nothing: dict[str, Any] = {"value": None, "k3": None, "status": "undefined", "text": why}
            rows = [{"prompt": row["prompt"], "draw": row["draw"], **nothing} for row in answers]
        else:
            from bench.models.likelihood.divergence import divergences  # noqa: PLC0415 - torch loads here, not when planning

            chats = {prompt.id: prompt.chat for prompt in self.responses.task.prompts()}
            written = [(chats[row["prompt"]], row["tokens"]) for row in answers]
            found = divergences(self.responses.policy, self.reference, written, io)
            rows = [
                {"prompt": row["prompt"], "draw": row["draw"], "value": k1, "k3": k3, "status": "ok", "text": ""}
                for row, (k1, k3) in zip(answers, found, strict=True)
            ]
        pq.write_table(pa.Table.from_pylist(rows, schema=DIVERGENCES_SCHEMA), io.out / DIVERGENCES)


def without_likelihood(spec: PolicySpec) -> str | None:
    """Return why a policy has no likelihood of its own responses; None when it has one."""
    if spec.kind == "instructed":
        return without_likelihood(spec.base)
    if spec.kind in WITH_LIKELIHOOD:
        return None
    bound = divergence_bound(spec)
    if bound is not None:
        return f"the best of several samples has no likelihood; its divergence is at most {bound:.6g} nats"
    return f"a policy of kind {spec.kind} has no likelihood of its own responses"


def divergence_bound(spec: PolicySpec) -> float | None:
    """Return what the KL divergence of the best of n samples from one cannot exceed; None for any other policy."""
    return spec.most_divergence() if isinstance(spec, BestOf) else None
