"""One prompt with everything recorded about it: responses, scores, verdicts with what the judge wrote, claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.core.metrics import RATING
from bench.results.responses import turns

SCORE_COLUMNS = ("task", "prompt", "method", "run", "draw", "metric", "source", "value", "status")

# Lengths and endings differ between almost any two responses, so they do not make methods disagree.
INCIDENTAL = frozenset({"response_tokens", "response_characters", "response_words", "divergence", "divergence_k3"})


@dataclass(frozen=True)
class ResponseScore:
    """One value of a response: its metric, who measured it where that was not the task, None where undefined.

    ``text``: what a judge wrote that rated the response.
    """

    metric: str
    judge: str | None
    value: float | None
    text: str = ""


@dataclass(frozen=True)
class MarkedClaim:
    """One claim of a response, which of its characters make it (None: no stretch of it), and what was found of it."""

    text: str
    start: int | None
    end: int | None
    label: str
    evidence: str


@dataclass(frozen=True)
class ResponseView:
    """One method's answer to the prompt at one training seed and draw."""

    method: str
    seed: int
    draw: int
    text: str
    finish: str
    scores: tuple[ResponseScore, ...] = ()
    claims: tuple[MarkedClaim, ...] = ()


@dataclass(frozen=True)
class Ballot:
    """One judge's verdict in one order: its preference for ``method`` over ``versus``, or why there is none.

    ``order``: where the response of ``method`` stood. ``text``: what the judge wrote.
    """

    judge: str
    method: str
    versus: str
    seed: int
    draw: int
    order: str
    value: float | None
    status: str
    text: str = ""


@dataclass(frozen=True)
class PromptView:
    """Everything recorded about one prompt of one task. ``chat``: (role, content) of every turn."""

    task: str
    prompt: str
    kind: str
    chat: tuple[tuple[str, str], ...]
    responses: tuple[ResponseView, ...]
    ballots: tuple[Ballot, ...]

    def at(self, seed: int) -> PromptView:
        """Return the same prompt with only what belongs to one training seed."""
        responses = tuple(one for one in self.responses if one.seed == seed)
        ballots = tuple(one for one in self.ballots if one.seed == seed)
        return PromptView(self.task, self.prompt, self.kind, self.chat, responses, ballots)

    def disagree(self) -> bool:
        """Return whether a judge prefers one method, or two responses of a seed and draw differ in a score."""
        if any(mean != 0.5 for mean in self.preferences().values()):
            return True
        scores: dict[tuple[int, int, str, str | None], set[float]] = {}
        for one in self.responses:
            for score in one.scores:
                if score.value is not None and score.metric not in INCIDENTAL:
                    scores.setdefault((one.seed, one.draw, score.metric, score.judge), set()).add(score.value)
        return any(len(values) > 1 for values in scores.values())

    def preferences(self) -> dict[tuple[str, str, str, int, int], float]:
        """Return the mean over orders of every verdict that is usable, by judge, method, versus, seed and draw."""
        values: dict[tuple[str, str, str, int, int], list[float]] = {}
        for one in self.ballots:
            if one.value is not None:
                values.setdefault((one.judge, one.method, one.versus, one.seed, one.draw), []).append(one.value)
        return {cell: sum(found) / len(found) for cell, found in values.items()}


@dataclass(frozen=True)
class Tables:
    """The tables of a results folder that prompts are shown from; ``verdicts`` and ``claims`` may be empty."""

    responses: pa.Table
    records: pa.Table
    verdicts: pa.Table
    claims: pa.Table

    def of(self, prompts: Collection[str]) -> Tables:
        """Return the rows on prompts with these ids."""
        wanted = pa.array(sorted(set(prompts)), pa.string())
        tables = (self.responses, self.records, self.verdicts, self.claims)
        return Tables(*(table.filter(pc.is_in(table["prompt"], value_set=wanted)) for table in tables))


def prompt_views(prompts: Sequence[tuple[str, str]], tables: Tables) -> list[PromptView]:
    """Return what is known of the prompts, given as (task, prompt id), in that order."""
    part = tables.of([name for _, name in prompts])
    own = part.records.filter(pc.is_null(part.records["versus"])).select(SCORE_COLUMNS)
    scores = _grouped(own.to_pylist(), "task", "prompt", "method", "run", "draw")
    claims = _grouped(part.claims.to_pylist(), "task", "prompt", "method", "run", "draw")
    pairs = part.verdicts.filter(pc.is_valid(part.verdicts["versus"]))
    ballots = _grouped(pairs.to_pylist(), "task", "prompt")
    alone = part.verdicts.filter(pc.is_null(part.verdicts["versus"]))
    ratings = _grouped(alone.to_pylist(), "task", "prompt", "method", "run", "draw")
    responses = _grouped(part.responses.to_pylist(), "task", "prompt")
    views = []
    for place in prompts:
        rows = responses.get(place, [])
        if rows:
            answers = []
            for row in rows:
                cell = (*place, row["method"], row["run"], row["draw"])
                texts = {one["judge"]: one["text"] for one in ratings.get(cell, ())}
                own = tuple(_score(one, texts) for one in scores.get(cell, ()))
                answers.append(_response(row, own, claims.get(cell, ())))
            votes = tuple(_ballot(row) for row in ballots.get(place, []))
            views.append(PromptView(*place, rows[0]["kind"], tuple(turns(rows[0]["chat"])), tuple(answers), votes))
    return views


def _grouped(rows: Iterable[Mapping[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    """Return the rows by the values of these columns."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def _response(
    row: Mapping[str, Any], scores: tuple[ResponseScore, ...], claims: Iterable[Mapping[str, Any]]
) -> ResponseView:  # fmt: skip
    """Return one answer with its scores and claims."""
    return ResponseView(
        method=row["method"],
        seed=row["run"],
        draw=row["draw"],
        text=row["text"],
        finish=row["finish"],
        scores=scores,
        claims=tuple(
            MarkedClaim(one["text"], one["start"], one["end"], one["label"], one["evidence"])
            for one in sorted(claims, key=lambda one: one["index"])
        ),
    )


def _score(row: Mapping[str, Any], texts: Mapping[str, str]) -> ResponseScore:
    """Return one value; ``texts``: what judges wrote by name, which belongs to their ratings."""
    judge = None if row["source"] == "task" else row["source"]
    text = texts.get(row["source"], "") if row["metric"] == RATING.name else ""
    return ResponseScore(row["metric"], judge, row["value"], text)


def _ballot(row: Mapping[str, Any]) -> Ballot:
    """Return one verdict."""
    names = ("judge", "method", "versus", "draw", "order", "value", "status", "text")
    return Ballot(seed=row["run"], **{name: row[name] for name in names})
