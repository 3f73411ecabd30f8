"""What asking models behind an API will cost: the calls that a plan needs, less those that are answered already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import DamagedArtefact
from bench.core.frozen import Frozen, children
from bench.core.stage import Stage
from bench.engine.store import Store
from bench.evaluation.api.answer_store import FILE, AnswerStore
from bench.evaluation.api.api_settings import ApiSettings
from bench.evaluation.api.questions import ApiQuestion
from bench.evaluation.api.replies import Answer
from bench.evaluation.api.spending import cost_of
from bench.evaluation.generate import Generate, stored_rows
from bench.evaluation.judges.api import Api
from bench.evaluation.measurement import Cell
from bench.results.wording import counted

# English text, roughly; only for an expectation, never for a limit.
CHARACTERS_PER_TOKEN = 4


class PaidCalls(Frozen):
    """What one model behind an API is to be asked.

    ``calls``: different questions on texts that are there, or will be; ``answered``: those in the store of answers.
    ``usd``: what the rest is likely to cost, None without prices. ``uncounted``: stages that ask the model about data
    or claims, whose questions are not known before they run. ``damaged``: what was found damaged among the answers.
    """

    model: str
    calls: int
    answered: int
    usd: float | None
    uncounted: int
    damaged: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the forecast in words."""
        rest = f"{self.calls - self.answered:,} to ask"
        cost = "" if self.usd is None else f", about {self.usd:.2g} USD"
        more = f", and {counted(self.uncounted, 'stage')} asking it about data or claims" if self.uncounted else ""
        told = "".join(f". {text}" for text in self.damaged)
        return f"{self.model}: {self.calls:,} judge calls, {self.answered:,} answered already, {rest}{cost}{more}{told}"


def paid_calls(waiting: Iterable[Stage], cells: Mapping[str, Cell[Any]], store: Store) -> tuple[PaidCalls, ...]:
    """Return the calls that waiting stages need, by model, in the order in which the plan names them.

    A re-asked answer (``ask_again``) is not foreseen. Texts that are yet to be written are taken to be as long as they
    can be.
    """

    def written(responses: Generate) -> list[dict[str, Any]]:
        return _rows(responses, store)

    by_model: dict[str, list[tuple[ApiSettings, list[ApiQuestion]]]] = {}
    uncounted: dict[str, int] = {}
    for stage in waiting:
        for asker in (part for part in children(stage) if isinstance(part, ApiSettings)):
            cell = cells.get(stage.key)
            found: list[ApiQuestion] = []
            if cell is not None and isinstance(asker, Api):
                for question in cell.measurement.questions(cell, asker, written):
                    found += asker.samples_of(question)
            by_model.setdefault(asker.model, []).append((asker, found))
            uncounted[asker.model] = uncounted.get(asker.model, 0) + (not found)
    return tuple(_of_model(model, parts, uncounted[model], store.answers) for model, parts in by_model.items())


def _rows(answers: Generate, store: Store) -> list[dict[str, Any]]:
    """Return the rows of a generation, or as many stand-ins, each with a text of its own."""
    with contextlib.suppress(DamagedArtefact):  # computed again
        if store.find(answers) is not None:
            return stored_rows(store.place(answers))
    length = CHARACTERS_PER_TOKEN * answers.task.decoding().max_new_tokens
    return [
        {"prompt": prompt.id, "draw": draw, "text": f"{answers.key} {draw}".ljust(length, "x"), "finish": "end"}
        for prompt in answers.task.prompts()
        for draw in range(answers.draws)
    ]


def _of_model(
    model: str, parts: Sequence[tuple[ApiSettings, list[ApiQuestion]]], uncounted: int, folder: Path
) -> PaidCalls:
    different = {question.key: (asker, question) for asker, questions in parts for question in questions}
    answered: dict[str, Answer] = {}
    known: list[Answer] = []
    damaged: list[str] = []
    if (folder / FILE).exists():
        with AnswerStore(folder, tell=damaged.append) as store:
            answered = store.answers([question for _, question in different.values()])
            known = store.costs_known(model)
    rest = [pair for key, pair in different.items() if key not in answered]
    priced = all(asker.prices is not None for asker, _ in parts)
    usd = sum(_expected(asker, question, known) for asker, question in rest) if priced else None
    return PaidCalls(
        model=model,
        calls=len(different),
        answered=len(answered),
        usd=usd,
        uncounted=uncounted,
        damaged=tuple(damaged),
    )


def _expected(asker: ApiSettings, question: ApiQuestion, known: Sequence[Answer]) -> float:
    """Return the USD that a question is likely to cost: by the mean answer, by max_tokens where none is known.

    What it reads is counted by its own length.
    """
    written = [answer.tokens[1] for answer in known if answer.tokens is not None]
    most = question.decoding.max_tokens
    mean = sum(written) / len(written) if written else most
    read = sum(len(turn["content"]) for turn in question.messages) / CHARACTERS_PER_TOKEN
    return cost_of((round(read), round(min(mean, most))), asker.prices).usd
