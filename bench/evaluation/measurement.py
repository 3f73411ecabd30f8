"""What is measured of arms: cells to plan, and the one contract that every measurement fulfils.

A measurement is one file in ``bench/evaluation/measurements``; its name is the file's name. It says which stages it
needs (``cells``), what their payloads hold (``rows``), and what is measured (``metrics``). Whoever plans, names stages,
collects rows, looks for what is missing or forecasts a cost goes over the cells and knows no measurement by name.
"""
# The base class of a kind of plug-in is abstract, and says so.
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

import pyarrow as pa

from bench.config.comparison import Comparison, Evaluation, Named
from bench.core.benchmark import LmEvalTask
from bench.core.frozen import children
from bench.core.judge import Judge
from bench.core.metrics import MetricInfo
from bench.core.plugins import Kind, find, own
from bench.core.policy import PolicySpec
from bench.core.stage import Stage
from bench.core.task import Task
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.generate import Generate
from bench.results.records import TASK_SOURCE
from bench.results.responses import chat_text
from bench.results.tables import TableFile

S = TypeVar("S", bound=Stage)
# Gives the payload folder of a finished stage.
Payload: TypeAlias = Callable[[Stage], Path]
# Tables, each with the file that it belongs to.
Rows: TypeAlias = Iterator[tuple[TableFile, pa.Table]]
# Gives the rows of a generation, or stand-ins for those that are not written yet.
Written: TypeAlias = Callable[[Generate], Sequence[Mapping[str, Any]]]
# Columns that are facts of the prompt.
PROMPT_FACTS: dict[str, Callable[[Any], str]] = {
    "cluster": lambda prompt: prompt.cluster,
    "kind": lambda prompt: prompt.kind,
    "chat": lambda prompt: chat_text(prompt.chat),
}


@dataclass(frozen=True)
class Cell(Generic[S]):
    """One stage, and what its rows are about.

    ``arm`` and ``task`` are None where a judge is measured and no arm; ``seed`` is the training seed, None where
    nothing depends on it. ``versus``: the arm that the arm is compared with. ``judge``: the judge as tables name it.
    ``call``: 1 for the same judge asked once more with other noise, else 0.
    """

    measurement: Measurement
    stage: S
    arm: str | None
    seed: int | None
    task: Task | LmEvalTask | None
    versus: str | None = None
    judge: Named | None = None
    call: int = 0

    @property
    def task_name(self) -> str | None:
        """The task's name."""
        return self.task.NAME if isinstance(self.task, Task) else self.task.name if self.task is not None else None

    @property
    def judge_label(self) -> str | None:
        """The judge as tables name it."""
        return None if self.judge is None else self.judge.label

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the cell is about."""
        return tuple(arm for arm in (self.arm, self.versus) if arm is not None)

    def label(self) -> str:
        """Return what the cell is about, in short."""
        about = " by ".join(part for part in (" vs ".join(self.arms), self.judge_label) if part)
        further = ("second call" if self.call else None, None if self.seed is None else f"seed {self.seed}")
        return ", ".join(part for part in (about, *further) if part)

    def columns(self) -> dict[str, str | int | None]:
        """Return what the cell is about, by the names of columns."""
        judge = self.judge_label
        about = {"task": self.task_name, "method": self.arm, "versus": self.versus, "run": self.seed}
        return about | {"judge": judge, "source": TASK_SOURCE if judge is None else judge, "call": self.call}


@dataclass(frozen=True)
class Design:
    """What all measurements plan over: the comparison, and its policies by arm and training seed."""

    comparison: Comparison
    policies: Mapping[tuple[str, int], PolicySpec]

    @property
    def evaluation(self) -> Evaluation:
        """What the comparison asks for."""
        return self.comparison.evaluation

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return self.comparison.given.seeds

    @cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """Everything that is measured where the comparison asks for it, in order."""
        return measurements(self.evaluation.measurements)

    @cached_property
    def answers(self) -> dict[tuple[str, str, int], Generate]:
        """The responses of every task, arm and seed, as the stages that write them."""
        return {
            (task.NAME, arm, seed): Generate(policy=policy, task=task, draws=self.evaluation.draws, seed=seed)
            for task in self.evaluation.tasks
            for (arm, seed), policy in self.policies.items()
        }

    def each(self) -> Iterator[tuple[Task, str, int, PolicySpec]]:
        """Yield every task with every arm at every seed, and its policy."""
        for task in self.evaluation.tasks:
            for (arm, seed), policy in self.policies.items():
                yield task, arm, seed, policy

    def pairs(self) -> Iterator[tuple[Task, str, str]]:
        """Yield every task with every pair of arms that is compared."""
        for task in self.evaluation.tasks:
            for a, b in self.evaluation.contrasts:
                yield task, a, b

    def bound(self, judges: tuple[Named, ...], seed: int) -> tuple[Named, ...]:
        """Return the judges of one seed: those that take something from an arm have that arm's at this seed."""
        return tuple(
            Named(label=named.label, judge=named.judge.bound(lambda arm: self.policies[arm, seed])) for named in judges
        )


class Measurement(ABC):
    """Something that is measured of arms, or of what measures them.

    ``OPTIONAL``: it is planned only where ``evaluate.measurements`` names it; those of this program read keys of their
    own instead. ``ORDER``: where it stands in plans and lists; those of this program begin at 1, others come behind.
    ``LEAVES_OUT``: what nothing is concluded about where a cell's own stage has failed: its ``arm``, the ``judge``, or
    ``nothing``, where all conclusions stand without it. ``TABLES``: the files that its cells give rows of.
    """

    NAME: ClassVar[str]
    OPTIONAL: ClassVar[bool] = True
    ORDER: ClassVar[int] = 1000
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "arm"
    TABLES: ClassVar[tuple[TableFile, ...]] = ()

    @abstractmethod
    def cells(self, design: Design) -> Iterator[Cell[Any]]:
        """Yield the cells that a comparison asks for, none where it does not."""

    def rows(self, cell: Cell[Any], payload: Payload, design: Design) -> Rows:
        """Yield the rows of a finished cell, each table with the file it belongs to.

        Columns that ``filled`` knows may be left out.
        """
        yield from ()

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return what is measured in a comparison that asks for it.

        ``payloads``: those of its finished cells; without any, all that is known before a run.
        """
        return ()

    def tables(self, cell: Cell[Any]) -> tuple[TableFile, ...]:
        """Return the files that a cell gives rows of."""
        return self.TABLES

    def judge_calls(self, cell: Cell[Any]) -> int | None:
        """Return how often a cell calls its judge; None where that is not known before it runs."""
        return 0

    def questions(self, cell: Cell[Any], judge: Any, written: Written) -> Iterable[ApiQuestion]:
        """Return what a cell asks the judge ``api``, as far as that is known before it runs."""
        return ()


MEASUREMENT = Kind("measurement", Measurement, "bench.evaluation.measurements")


def measurements(named: Sequence[str] = ()) -> tuple[Measurement, ...]:
    """Return every measurement of this program that is no option, and those that are named, in order.

    Raises BenchError for a name that no measurement has, with the near matches.
    """
    always = [cls for cls in own(MEASUREMENT) if not cls.OPTIONAL]
    chosen = dict.fromkeys([*always, *(find(MEASUREMENT, name) for name in named)])
    return tuple(sorted((cls() for cls in chosen), key=lambda one: (one.ORDER, one.NAME)))


def filled(table: TableFile, cell: Cell[Any], rows: pa.Table) -> pa.Table:
    """Return rows in the schema of a file: their own columns, then facts of prompts, then what the cell is about.

    A column that is none of these is null.
    """
    own, about = rows.schema.names, cell.columns()
    facts = facts_of_prompts(
        cell, rows, [name for name in table.schema.names if name in PROMPT_FACTS.keys() - set(own)]
    )
    columns = {}
    for field in table.schema:
        if field.name in own:
            columns[field.name] = rows[field.name]
        else:
            constant = [about.get(field.name)] * rows.num_rows
            columns[field.name] = pa.array(facts.get(field.name, constant), field.type)
    return pa.table(columns).cast(table.schema)


def facts_of_prompts(cell: Cell[Any], rows: pa.Table, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Return columns of facts of the rows' prompts by name; the task's prompts are read only where one is wanted."""
    if not wanted or not isinstance(cell.task, Task):
        return {}
    prompts = {prompt.id: prompt for prompt in cell.task.prompts()}
    names = rows["prompt"].to_pylist()
    found = {}
    for fact in wanted:
        known = {name: PROMPT_FACTS[fact](prompts[name]) for name in dict.fromkeys(names)}
        found[fact] = [known[name] for name in names]
    return found


def as_metric(rows: pa.Table, name: str) -> pa.Table:
    """Return rows as values of one metric."""
    return rows.append_column("metric", pa.array([name] * rows.num_rows, pa.string()))


def judges_in(value: Any) -> Iterator[Judge]:
    """Yield the judges in a value, those nested within stages left out."""
    for part in children(value):
        if isinstance(part, Judge):
            yield part
        if not isinstance(part, Stage):
            yield from judges_in(part)
