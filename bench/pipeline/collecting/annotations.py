"""From people's answers to one row per person, so that it can be said how far people agree."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from bench.engine.scheduler import Outcome
from bench.engine.store import Store
from bench.evaluation.generate import stored_rows
from bench.evaluation.judges._annotators import Answers
from bench.evaluation.judges.human import Human
from bench.evaluation.measurements.win_rate import presented
from bench.pipeline.plan import Plan
from bench.pipeline.planning.cells import Judged
from bench.results.annotations import ANNOTATIONS_SCHEMA


def has_people(plan: Plan) -> bool:
    """Tell whether a comparison asks people."""
    return any(isinstance(cell.judge.judge, Human) for cell in (*plan.judged, *plan.waiting))


def collect_annotations(plan: Plan, outcome: Outcome, store: Store) -> pa.Table:
    """Return what every person answered on the finished cells of human judges."""
    rows: list[dict[str, Any]] = []
    for cell in plan.judged:
        if isinstance(cell.judge.judge, Human) and outcome.finished(cell.stage.key):
            rows += annotation_rows(cell, cell.judge.judge, store)
    return pa.Table.from_pylist(rows, schema=ANNOTATIONS_SCHEMA)


def annotation_rows(cell: Judged, human: Human, store: Store) -> list[dict[str, Any]]:
    """Return the rows of one cell, each pair once, the method's response standing first."""
    answers = Answers(human.answers())
    ours, theirs = (stored_rows(store.payload(stage)) for stage in (cell.stage.a, cell.stage.b))
    same = {
        "judge": cell.judge.label,
        "task": cell.task.NAME,
        "method": cell.a,
        "versus": cell.b,
        "run": cell.run,
    }
    return [
        {
            **same,
            "prompt": shown.prompt,
            "cluster": shown.pair.prompt.cluster,
            "draw": shown.draw,
            "annotator": one.annotator,
            "value": one.preference,
            "answer": one.answer,
        }
        for shown in presented(cell.task, ours, theirs, "first")
        for one in answers.on(shown.pair)
    ]
