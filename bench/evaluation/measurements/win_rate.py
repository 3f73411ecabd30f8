"""Win rates: one judge compares two policies' answers, prompt by prompt, in both presentation orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import StageError
from bench.core.judge import Judge, Pair, one_for_each
from bench.core.metrics import LENGTH_CONTROLLED, WIN_RATE, MetricInfo
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.generate import NO_RESPONSE, Generate, is_answered, read_rows, stored_rows
from bench.evaluation.judges._annotators import Annotations
from bench.evaluation.judges.human import Human
from bench.evaluation.measurement import Cell, Design, Measurement, Payload, Rows, Written, as_metric
from bench.results.annotations import ANNOTATIONS, ANNOTATIONS_SCHEMA
from bench.results.records import AUDIT, IMITATION, RECORDS, TOO_LONG
from bench.results.responses import VERDICTS
from bench.results.tables import TableFile

Orders = Literal["both", "first"]
PAYLOAD = "verdicts.parquet"
PAYLOAD_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("order", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


class JudgePairs(Stage):
    """Verdicts on ``a`` against ``b``. The judge sees two texts and no names.

    The bench makes the presentation orders and turns every verdict back, so a stored value is always the preference
    for ``a``, and ``order`` says where a's response stood.
    """

    KIND: ClassVar[str] = "judge"
    VERSION: ClassVar[int] = 1

    a: Generate
    b: Generate
    judge: Judge
    orders: Orders

    def resources(self) -> Resources:
        """Return what the judge needs."""
        return self.judge.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``verdicts.parquet``: one row per prompt, draw and order."""
        shown = stored_presentations(io, (self.a, self.b), self.orders)
        rows = verdict_rows(self.judge, self.a.task, shown, io)
        pq.write_table(pa.Table.from_pylist(rows, schema=PAYLOAD_SCHEMA), io.out / PAYLOAD)


@dataclass(frozen=True)
class Presentation:
    """Two responses to one prompt and draw as a judge sees them; ``order``: where a's response stands.

    ``answered``: false where one of the two is not there, because the prompt was too long; then no judge is asked.
    """

    prompt: str
    draw: int
    order: str
    pair: Pair
    answered: bool = True


def stored_presentations(io: StageIO, generations: tuple[Generate, Generate], orders: Orders) -> list[Presentation]:
    """Return every presentation of a's responses beside b's, in the order of a's rows.

    Raises StageError for two generations that answer different tasks.
    """
    a, b = generations
    if a.task != b.task:
        raise StageError(f"{a.label()}, {b.label()}: they answer different tasks, so they cannot be compared")
    return presentations(a.task, read_rows(io, a), read_rows(io, b), orders)


def presentations(
    task: Task, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], orders: Orders
) -> list[Presentation]:
    """Return every presentation of a's responses (the rows of its generation) beside b's."""
    prompts = {prompt.id: prompt for prompt in task.prompts()}
    others = {(row["prompt"], row["draw"]): row for row in theirs}
    found = []
    for row in ours:
        other = others[row["prompt"], row["draw"]]
        for order in ("first", "second") if orders == "both" else ("first",):
            first, second = (row, other) if order == "first" else (other, row)
            pair = Pair(
                prompt=prompts[row["prompt"]],
                first=first["text"],
                second=second["text"],
                first_ended=first["finish"] == "end",
                second_ended=second["finish"] == "end",
            )
            there = is_answered(row) and is_answered(other)
            found.append(Presentation(row["prompt"], row["draw"], order, pair, there))
    return found


def asked_pairs(shown: Sequence[Presentation]) -> list[Pair]:
    """Return what a judge is asked: the presentations of which both responses are there."""
    return [one.pair for one in shown if one.answered]


def verdict_rows(judge: Judge, task: Task, shown: Sequence[Presentation], io: StageIO) -> list[dict[str, Any]]:
    """Return a row of PAYLOAD_SCHEMA for each presentation, with the value as a preference for a."""
    asked = asked_pairs(shown)
    verdicts = one_for_each(judge, judge.compare(task, asked, io), len(asked))
    io.meter.judgements += len(verdicts)
    rows: list[dict[str, Any]] = []
    given = iter(verdicts)
    for one in shown:
        if not one.answered:
            same = {"prompt": one.prompt, "draw": one.draw, "order": one.order}
            rows.append({**same, "value": None, "status": TOO_LONG, "text": NO_RESPONSE})
            continue
        verdict = next(given)
        value = verdict.value if verdict.value is None or one.order == "first" else 1.0 - verdict.value
        rows.append(
            {
                "prompt": one.prompt,
                "draw": one.draw,
                "order": one.order,
                "value": value,
                "status": verdict.status,
                "text": verdict.text,
            }
        )
    return rows


class WinRate(Measurement):
    """Which of two arms' responses a judge prefers."""

    NAME: ClassVar[str] = "win_rate"
    OPTIONAL: ClassVar[bool] = False
    ORDER: ClassVar[int] = 2
    LEAVES_OUT: ClassVar[Literal["arm", "judge", "nothing"]] = "judge"
    TABLES: ClassVar[tuple[TableFile, ...]] = (RECORDS, VERDICTS, AUDIT)

    def cells(self, design: Design) -> Iterator[Cell[JudgePairs]]:
        """Yield the verdicts of every judge on every pair, those of judges that cannot be asked yet among them."""
        for task, a, b in design.pairs():
            for seed in design.seeds:
                ours, theirs = design.answers[task.NAME, a, seed], design.answers[task.NAME, b, seed]
                for judge in design.bound(design.evaluation.judges, seed):
                    stage = JudgePairs(a=ours, b=theirs, judge=judge.judge, orders=design.evaluation.orders)
                    yield Cell(self, stage, a, seed, task, versus=b, judge=judge)

    def rows(self, cell: Cell[JudgePairs], payload: Payload, design: Design) -> Rows:
        """Yield one row per verdict, as a record and with the judge's text; and every annotation."""
        rows = pq.read_table(payload(cell.stage) / PAYLOAD)
        yield RECORDS, as_metric(rows, WIN_RATE.name)
        yield VERDICTS, rows
        yield AUDIT, as_metric(imitations_of(cell.stage, payload), IMITATION)
        if isinstance(cell.stage.judge, Human):
            yield ANNOTATIONS, annotations_of(cell.stage, cell.stage.judge, payload)

    def metrics(self, design: Design, payloads: Sequence[Path]) -> Iterable[MetricInfo]:
        """Return the win rate, and the one at equal length where it is asked for."""
        if not design.evaluation.judges:
            return ()
        return (WIN_RATE,) if design.evaluation.length_control.model == "none" else (WIN_RATE, LENGTH_CONTROLLED)

    def tables(self, cell: Cell[JudgePairs]) -> tuple[TableFile, ...]:
        """Return the files of records and verdicts; with a human judge, that of annotations too."""
        return (*self.TABLES, ANNOTATIONS) if isinstance(cell.stage.judge, Human) else self.TABLES

    def judge_calls(self, cell: Cell[JudgePairs]) -> int:
        """Return one call per response and presentation order."""
        return len(cell.stage.a.task.prompts()) * cell.stage.a.draws * orders_shown(cell.stage.orders)

    def questions(self, cell: Cell[JudgePairs], judge: Any, written: Written) -> Iterable[ApiQuestion]:
        """Return a question per presentation."""
        stage = cell.stage
        shown = presentations(stage.a.task, written(stage.a), written(stage.b), stage.orders)
        return list(judge.questions_on(asked_pairs(shown)))


def orders_shown(orders: Orders) -> int:
    """Return how often a pair is shown."""
    return 2 if orders == "both" else 1


def imitations_of(stage: JudgePairs, payload: Payload) -> pa.Table:
    """Return a row for each pair of responses of which one holds what parts the judge's question (``IMITATION``)."""
    ours, theirs = (stored_rows(payload(responses)) for responses in (stage.a, stage.b))
    rows = [
        {"prompt": shown.prompt, "draw": shown.draw, "order": shown.order, "value": 1.0, "status": "ok", "text": ""}
        for shown in presentations(stage.a.task, ours, theirs, "first")
        if shown.answered and any(map(stage.judge.is_imitated_by, (shown.pair.first, shown.pair.second)))
    ]
    return pa.Table.from_pylist(rows, schema=PAYLOAD_SCHEMA)


def annotations_of(stage: JudgePairs, human: Human, payload: Payload) -> pa.Table:
    """Return every annotation of each pair, the arm's response standing first."""
    annotations = Annotations(human.annotations())
    ours, theirs = (stored_rows(payload(responses)) for responses in (stage.a, stage.b))
    rows = [
        {
            "prompt": shown.prompt,
            "cluster": shown.pair.prompt.cluster,
            "draw": shown.draw,
            "annotator": one.annotator,
            "value": one.preference,
            "answer": one.answer,
        }
        for shown in presentations(stage.a.task, ours, theirs, "first")
        if shown.answered
        for one in annotations.on(shown.pair)
    ]
    named = ("prompt", "cluster", "draw", "annotator", "value", "answer")
    return pa.Table.from_pylist(rows, schema=pa.schema([ANNOTATIONS_SCHEMA.field(name) for name in named]))
