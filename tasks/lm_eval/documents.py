"""Documents of the local lm-eval tasks: facts of the embedded world, made when a task runs."""

from __future__ import annotations

from typing import Any

from tasks._atlas import DEFAULT_WORLD_SEED
from tasks._atlas.draws import Draws
from tasks._atlas.grammar import Statement, claim_sentence
from tasks._atlas.knowledge import Split, knowledge
from tasks._atlas.questions import pool

QUESTIONS = 200
CHOICES = 4


def facts(**_settings: Any) -> dict[str, Any]:
    """Return the split ``test``: a question about a person held out for evaluation, and four answers in random order.

    The three wrong answers state values that other people have. Questions, answers and their order depend on the
    world's seed only. The split ``examples`` asks about people to train on, for few-shot prompts.
    """
    import datasets  # noqa: PLC0415 - only where lm-eval runs

    asked: dict[str, tuple[Split, Draws]] = {
        "test": ("evaluation", Draws("atlas", DEFAULT_WORLD_SEED, "lm_eval")),
        "examples": ("train", Draws("atlas", DEFAULT_WORLD_SEED, "lm_eval", "examples")),
    }
    return {
        name: datasets.Dataset.from_list(_documents(DEFAULT_WORLD_SEED, split, draws))
        for name, (split, draws) in asked.items()
    }


def found(document: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return 1 where the true value stands in the answer, else 0."""
    return {"found": float(document["truth"] in results[0])}


def _documents(world_seed: int, split: Split, draws: Draws) -> list[dict[str, Any]]:
    people = knowledge(world_seed).people
    rows = []
    for question in pool(world_seed, split)["fact"][:QUESTIONS]:
        attribute = str(question.asked)
        truth = question.truth[attribute]
        others = [value for value in sorted({person.facts[attribute] for person in people}) if value != truth]
        values = draws.shuffled([truth, *draws.shuffled(others)[: CHOICES - 1]])
        rows.append(
            {
                "id": question.id,
                "question": question.text,
                "choices": [claim_sentence(Statement(attribute, value), 0) for value in values],
                "answer": values.index(truth),
                "truth": truth,
            }
        )
    return rows
