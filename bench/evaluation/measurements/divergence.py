"""How far a policy has moved from another one: the KL divergence of its responses, estimated on its own samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.metrics import DIVERGENCE, DIVERGENCE_K3, MetricInfo
from bench.core.policy import BestOf, Decoding, PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt, Task
from bench.evaluation.generate import NO_RESPONSE, Generate, is_answered, read_rows
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows, as_metric
from bench.results.records import RECORDS, TOO_LONG
from bench.results.tables import TableFile

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
    VERSION: ClassVar[int] = 2

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
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    responses: Generate
    reference: PolicySpec

    def run(self, io: StageIO) -> None:
        """Write ``divergences.parquet``: one row per prompt and draw.

        Every row is undefined, with the reason, where one of the policies has no likelihood, or the two do not share a
        tokenizer; a row is ``too_long`` where the prompt left no room for a response, or the reference cannot read
        both.
        """
        answers = read_rows(io, self.responses)
        why = without_likelihood(self.responses.policy) or without_likelihood(self.reference)
        found = self._undefined(answers, why) if why is not None else self._estimated(answers, io)
        pq.write_table(pa.Table.from_pylist(found, schema=DIVERGENCES_SCHEMA), io.out / DIVERGENCES)

    def _estimated(self, answers: Sequence[Mapping[str, Any]], io: StageIO) -> list[dict[str, Any]]:
        from bench.models.likelihood.divergence import OtherTokens, divergences  # noqa: PLC0415 - torch loads here, not when planning

        chats = {prompt.id: prompt.chat for prompt in self.responses.task.prompts()}
        written = [(chats[row["prompt"]], row["tokens"]) for row in answers if is_answered(row)]
        try:
            found = iter(divergences(self.responses.policy, self.reference, written, io))
        except OtherTokens as error:
            return self._undefined(answers, str(error))
        rows = []
        for row in answers:
            same = {"prompt": row["prompt"], "draw": row["draw"]}
            estimates = next(found) if is_answered(row) else NO_RESPONSE
            if isinstance(estimates, tuple):
                k1, k3 = estimates
                rows.append({**same, "value": k1, "k3": k3, "status": "ok", "text": ""})
                continue
            why = estimates if isinstance(estimates, str) else estimates.why
            rows.append({**same, "value": None, "k3": None, "status": TOO_LONG, "text": why})
        return rows

    def _undefined(self, answers: Sequence[Mapping[str, Any]], why: str) -> list[dict[str, Any]]:
        nothing: dict[str, Any] = {"value": None, "k3": None, "status": "undefined", "text": why}
        return [{"prompt": row["prompt"], "draw": row["draw"], **nothing} for row in answers]


def without_likelihood(spec: PolicySpec) -> str | None:
    """Return why a policy has no likelihood of its own responses; None when it has one."""
    if spec.kind == "instructed":
        return without_likelihood(spec.base)
    if spec.kind in WITH_LIKELIHOOD:
        return None
    bound = divergence_bound(spec)
    if bound is not None:
        return f"the best of several samples has no likelihood; its divergence is at most {bound:.6g} nats"
    if spec.kind == "outputs":
        return "outputs made elsewhere are texts, and no policy here says how likely they were"
    return f"a policy of kind {spec.kind} has no likelihood of its own responses"


def divergence_bound(spec: PolicySpec) -> float | None:
    """Return what the KL divergence of the best of n samples from one cannot exceed; None for any other policy."""
    return spec.most_divergence() if isinstance(spec, BestOf) else None


class DivergenceFrom(Measurement):
    """How far every arm's policy has moved from the one that ``divergence`` names."""

    NAME: ClassVar[str] = "divergence"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 4
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS,)

    def cells(self, design: Design) -> Iterator[Cell[Divergence]]:
        """Yield the divergence of every arm on every task at every seed; none where the comparison asks for none.

        The samples are the answers that are scored, where those are samples at temperature 1; else further ones.
        """
        reference = design.evaluation.divergence
        if reference is None:
            return
        for task, arm, seed, policy in design.each():
            responses = Generate(policy=policy, task=sampled(task), draws=design.evaluation.draws, seed=seed)
            stage = Divergence(responses=responses, reference=design.policies[reference, seed])
            yield Cell(self, stage, arm, seed, task)

    def rows(self, cell: Cell[Divergence], payload: Payload, design: Design) -> Rows:
        """Yield one row per response and estimate."""
        rows = pq.read_table(payload(cell.stage) / DIVERGENCES)
        for column, metric in (("value", DIVERGENCE), ("k3", DIVERGENCE_K3)):
            estimate = rows.select(["prompt", "draw", column, "status"])
            yield RECORDS, as_metric(estimate.rename_columns(["prompt", "draw", "value", "status"]), metric.name)

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return both estimates, where a divergence is asked for."""
        return (DIVERGENCE, DIVERGENCE_K3) if design.evaluation.divergence else ()
