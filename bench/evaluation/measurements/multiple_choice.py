"""Multiple choice: MC1 and MC2, by how probable one policy finds each answer that a task offers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.metrics import MC1, MC2, MetricInfo
from bench.core.policy import PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Choice, Task, offers_choices
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows
from bench.evaluation.measurements.divergence import without_likelihood
from bench.evaluation.measurements.scores import SCORES, SCORES_SCHEMA
from bench.results.records import RECORDS, TOO_LONG
from bench.results.tables import TableFile


class WeighChoices(Stage):
    """MC1 and MC2 of one policy on every prompt of one task that offers choices.

    With l_i the log-probability of answer i, its end token included: MC1 is 1 where the best answer has a higher l than
    every wrong one, and MC2 is the sum of exp(l) over the right answers, the best included, divided by the sum over all
    (Lin et al. 2022, arXiv 2109.07958, section 3.2; there the end token is not scored).
    """

    KIND: ClassVar[str] = "weigh_choices"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    task: Task

    def run(self, io: StageIO) -> None:
        """Write ``scores.parquet``: two rows per prompt.

        They are undefined where the policy has no likelihood, and ``too_long`` where it cannot read prompt and answer.
        """
        asked = [(prompt, self.task.choices(prompt)) for prompt in self.task.prompts()]
        values: list[tuple[float | None, float | None]] = [(None, None)] * len(asked)
        unread: set[int] = set()
        if without_likelihood(self.policy) is None:
            from bench.models.likelihood.answers import choice_logprobs  # noqa: PLC0415 - torch loads here, not when planning
            from bench.models.load import load_policy  # noqa: PLC0415
            from bench.models.local import NoRoom  # noqa: PLC0415

            questions = [(prompt.chat, [choice.text for choice in choices]) for prompt, choices in asked]
            logprobs = choice_logprobs(load_policy(self.policy, io), questions, io)
            unread = {n for n, row in enumerate(logprobs) if isinstance(row, NoRoom)}
            values = [
                (None, None) if isinstance(row, NoRoom) else weighed(choices, row)
                for (_, choices), row in zip(asked, logprobs, strict=True)
            ]
        rows: list[dict[str, Any]] = [
            {
                "prompt": prompt.id,
                "draw": 0,
                "metric": metric.name,
                "value": value,
                "status": TOO_LONG if number in unread else "undefined" if value is None else "ok",
            }
            for number, ((prompt, _), both) in enumerate(zip(asked, values, strict=True))
            for metric, value in zip((MC1, MC2), both, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCORES_SCHEMA), io.out / SCORES)


def weighed(choices: Sequence[Choice], logprobs: Sequence[float]) -> tuple[float | None, float | None]:
    """Return MC1 and MC2; None for what lacks a best, a right or a wrong answer. A tie with a wrong answer is lost."""
    by_kind: dict[str, list[float]] = {"best": [], "right": [], "wrong": []}
    for choice, logprob in zip(choices, logprobs, strict=True):
        by_kind[choice.kind].append(logprob)
    wrong, right = by_kind["wrong"], by_kind["best"] + by_kind["right"]
    if not wrong or not right:
        return None, None
    first = float(max(by_kind["best"]) > max(wrong)) if by_kind["best"] else None
    most = max([*right, *wrong])
    mass = [sum(math.exp(one - most) for one in part) for part in (right, wrong)]
    return first, mass[0] / sum(mass)


class MultipleChoice(Measurement):
    """How probable a policy finds the right ones among the answers that a task offers."""

    NAME: ClassVar[str] = "multiple_choice"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 10
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS,)

    def cells(self, design: Design) -> Iterator[Cell[WeighChoices]]:
        """Yield every arm at every seed on every task that offers choices."""
        for task, arm, seed, policy in design.each():
            if offers_choices(task):
                yield Cell(self, WeighChoices(policy=policy, task=task), arm, seed, task)

    def rows(self, cell: Cell[WeighChoices], payload: Payload, design: Design) -> Rows:
        """Yield two rows per prompt."""
        yield RECORDS, pq.read_table(payload(cell.stage) / SCORES)

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return MC1 and MC2, where a task offers choices."""
        return (MC1, MC2) if any(map(offers_choices, design.evaluation.tasks)) else ()
