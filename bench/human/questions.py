"""The questions that a comparison has for annotators: which pairs, in which order, each shown once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from bench.core.errors import BenchError
from bench.core.judge import Pair
from bench.engine.manifest import MANIFEST
from bench.engine.store import Store
from bench.evaluation.generate import stored_rows
from bench.evaluation.judges._annotators import question_id, turned
from bench.evaluation.judges._prompt_file import transcript
from bench.evaluation.judges.human import Human
from bench.evaluation.measurement import Cell
from bench.evaluation.measurements.win_rate import JudgePairs, Presentation, presentations
from bench.pipeline.plan import Plan


@dataclass(frozen=True)
class AnnotatorQuestion:
    """A prompt and two responses as they are shown, and nothing about where they come from."""

    id: str
    prompt: str
    first: str
    second: str


def human_cells(plan: Plan, label: str | None = None) -> list[Cell[JudgePairs]]:
    """Return the cells that a human judge is to judge; ``label``: the judge of that name.

    Raises BenchError where the comparison has none, or has several and none is named.
    """
    judged = [cell for cell in (*plan.cells, *plan.waiting) if isinstance(cell.stage, JudgePairs)]
    cells = [cell for cell in judged if isinstance(cell.stage.judge, Human)]
    labels = list(dict.fromkeys(str(cell.judge_label) for cell in cells))
    if not labels:
        raise BenchError(
            f"{plan.comparison.path}: no person judges here. Add `human` to evaluate.win_rate.judges, and run it."
        )
    if label is None and len(labels) > 1:
        raise BenchError(f"several judges are people: {', '.join(labels)}. Say which by --judge NAME.")
    if label is not None and label not in labels:
        raise BenchError(f"no human judge is named {label!r}. There is {', '.join(labels)}.")
    return [cell for cell in cells if cell.judge_label == (labels[0] if label is None else label)]


def questions_for_annotators(cells: list[Cell[JudgePairs]], store: Store, seed: int) -> list[AnnotatorQuestion]:
    """Return every pair once, in an order and with sides that ``seed`` draws; pairs of equal responses are left out.

    Which side a response stands on depends on the seed and on the texts alone. Raises BenchError when responses have
    not been generated.
    """
    found: dict[str, tuple[str, AnnotatorQuestion]] = {}
    for cell in cells:
        for pair in pairs_of(cell, store):
            if pair.first == pair.second:
                continue
            both = sorted((question_id(pair), question_id(turned(pair))))
            shown = pair if question_id(pair) == both[_drawn(seed, "side", both[0]) % 2] else turned(pair)
            name = question_id(shown)
            asked = AnnotatorQuestion(name, transcript(pair.prompt.chat), shown.first, shown.second)
            found.setdefault(both[0], (name, asked))
    ordered = sorted(found, key=lambda which: (_drawn(seed, "order", which), which))
    return [found[which][1] for which in ordered]


def pairs_of(cell: Cell[JudgePairs], store: Store) -> Iterator[Pair]:
    """Yield the pairs of a cell of which both responses are there, each in one order."""
    for one in shown_in(cell, store):
        if one.order == "first" and one.answered:
            yield one.pair


def shown_in(cell: Cell[JudgePairs], store: Store) -> list[Presentation]:
    """Return what the judge of a cell sees. Raises BenchError when a response has not been generated."""
    stage = cell.stage
    for answers in (stage.a, stage.b):
        if not (store.place(answers) / MANIFEST).is_file():
            raise BenchError(
                f"the responses of {' and '.join(cell.arms)} (seed {cell.seed}, task {cell.task_name}) are not there "
                "yet. Run the comparison first: it runs everything but the human judge."
            )
    ours, theirs = (stored_rows(store.payload(answers)) for answers in (stage.a, stage.b))
    return presentations(stage.a.task, ours, theirs, stage.orders)


def _drawn(seed: int, *words: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join([str(seed), *words]).encode()).digest()[:8], "big")
