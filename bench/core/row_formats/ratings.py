"""Several responses to one prompt, rated or ranked: kept as lists, and taken as pairs where a method wants pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

from bench.core.cells import is_finite, spelt
from bench.core.errors import DataError
from bench.core.row_formats.pairs import CHOSEN, REJECTED
from bench.core.row_formats.published_pairs import marked_prompt
from bench.core.row_formats.row_format import (
    RawRow,
    RowFormat,
    RowsMade,
    cell,
    is_text,
    is_turns,
    list_in,
    named,
    text_in,
)
from bench.core.row_formats.transcripts import is_transcript, prompt_written
from bench.core.row_formats.turns import behind_system, opened, split_last, turns_in

Pairing = Literal["best_worst", "all"]
TIED = "left out: no response is rated above another"
EQUAL = "responses that are rated alike make no pair"


def ranking(prompt: Any, responses: Sequence[tuple[str, float]], told: tuple[str, ...] = ()) -> RowsMade:
    """Return the row of a prompt with responses and their scores; it is left out where all scores are equal."""
    if len({score for _, score in responses}) < 2:
        return RowsMade((), (*told, TIED))
    listed = [{"text": text, "score": score} for text, score in responses]
    return RowsMade(({"prompt": prompt, "responses": listed},), told)


def as_pairs(row: RawRow, pairing: Pairing) -> RowsMade:
    """Return the pairs of a row of rated responses, each with the scores of both.

    ``best_worst``: the response with the highest score against the one with the lowest, of equals the first. ``all``:
    every two that differ in score.
    """
    rest = {name: value for name, value in row.items() if name != "responses"}
    ordered = sorted(row["responses"], key=lambda one: -one["score"])  # stable: of equals the first stays first
    if pairing == "best_worst":
        worst = next(one for one in ordered if one["score"] == ordered[-1]["score"])
        return RowsMade((_pair(rest, ordered[0], worst),))
    pairs = [(one, other) for one, other in combinations(ordered, 2) if one["score"] > other["score"]]
    equal = len(pairs) < len(ordered) * (len(ordered) - 1) // 2
    return RowsMade([_pair(rest, one, other) for one, other in pairs], (EQUAL,) if equal else ())


def _pair(rest: RawRow, one: RawRow, other: RawRow) -> RawRow:
    scores = {"score_chosen": one["score"], "score_rejected": other["score"]}
    return {**rest, "chosen": one["text"], "rejected": other["text"], **scores}


def _score(value: Any, what: str) -> float:
    """Return a score as a number: one, or a text that writes one, as UltraFeedback has it."""
    try:
        found = float(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if isinstance(found, bool) or not is_finite(found):
        raise DataError(f"{what} is {spelt(value)}, wanted a number")
    return float(found)


# UltraFeedback ------------------------------------------------------------------------------------------------------

_OVERALL = ("overall_score", "fine-grained_score", "fine_grained_score")


def _is_ultrafeedback(row: RawRow) -> bool:
    completions = row["completions"]
    return is_turns(completions) and "response" in completions[0]


def _ultrafeedback(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    prompt, told = opened(cell(row, "instruction|prompt"), "instruction")
    found: list[tuple[str, float]] = []
    rated_by = set()
    for number, one in enumerate(list_in(row, "completions"), start=1):
        what = f"completions, number {number}"
        if not isinstance(one, Mapping) or not is_text(one.get("response")):
            raise DataError(f"{what} has no text under `response`")
        by, score = _rated(one, what)
        rated_by.add(by)
        found.append((one["response"], score))
    if not found:
        return RowsMade((), ("left out: no completions",))
    if len(rated_by) > 1:
        raise DataError(f"completions are rated by {' and '.join(sorted(rated_by))}, which are not one scale")
    return ranking(prompt, found, (*told, f"responses are rated by {rated_by.pop()}"))


def _rated(completion: Mapping[str, Any], what: str) -> tuple[str, float]:
    """Return by what a completion is rated and its score: an overall score, else the mean rating of its annotations."""
    for name in _OVERALL:
        if completion.get(name) is not None:
            return f"`{name}`", _score(completion[name], f"{what}: {name}")
    annotations = completion.get("annotations")
    given = [
        one["Rating"]
        for one in (annotations.values() if isinstance(annotations, Mapping) else ())
        if isinstance(one, Mapping) and one.get("Rating") not in (None, "N/A")
    ]
    if not given:
        raise DataError(f"{what} has no `overall_score`, and no `Rating` in its annotations")
    ratings = [_score(rating, f"{what}: Rating") for rating in given]
    return "the mean `Rating` of its annotations", sum(ratings) / len(ratings)


ULTRAFEEDBACK = RowFormat(
    name="ultrafeedback",
    gives="rankings",
    about="UltraFeedback as published: `instruction`, and `completions` with `response` and `overall_score`",
    needed=("instruction|prompt", "completions"),
    fits=_is_ultrafeedback,
    make=_ultrafeedback,
)


# Nectar -------------------------------------------------------------------------------------------------------------


def _is_nectar(row: RawRow) -> bool:
    answers = row["answers"]
    return is_text(row["prompt"]) and is_turns(answers) and "rank" in answers[0]


def _nectar(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    written = row["prompt"]
    prompt = prompt_written(written, "prompt") if is_transcript(written) else written
    found = []
    for number, one in enumerate(list_in(row, "answers"), start=1):
        if not isinstance(one, Mapping) or not is_text(one.get("answer")):
            raise DataError(f"answers, number {number} has no text under `answer`")
        found.append((one["answer"], -_score(one.get("rank"), f"answers, number {number}: rank")))
    return ranking(prompt, found)


NECTAR = RowFormat(
    name="nectar",
    gives="rankings",
    about="Nectar: `prompt` and `answers`, each with `answer` and `rank` (1 is the best)",
    needed=("prompt", "answers"),
    fits=_is_nectar,
    make=_nectar,
)


# HelpSteer ----------------------------------------------------------------------------------------------------------


def _is_helpsteer(row: RawRow) -> bool:
    return is_text(row["response"]) and is_finite(row["helpfulness"])


def _helpsteer(rows: Sequence[RawRow]) -> RowsMade:
    prompt, told = marked_prompt(rows[0]["prompt"])
    if len(rows) < 2:
        return RowsMade((), (*told, "left out: one response alone to its prompt"))
    found = []
    for row in rows:
        found.append((text_in(row, "response"), _score(row["helpfulness"], "helpfulness")))
    return ranking(prompt, found, told)


HELPSTEER = RowFormat(
    name="helpsteer",
    gives="rankings",
    about="HelpSteer 1 and 2: successive rows of one `prompt`, each with a `response` and its `helpfulness`",
    needed=("prompt", "response", "helpfulness"),
    optional=("correctness", "coherence", "complexity", "verbosity"),
    fits=_is_helpsteer,
    make=_helpsteer,
    together="prompt",
)


# Lists --------------------------------------------------------------------------------------------------------------

_LISTED = "responses|completions|candidates|generations"
_BY_SCORE, _BY_RANK = "scores|ratings|rewards", "ranks|ranking|rank"


def _is_scored_list(row: RawRow) -> bool:
    if all(named(row, entry) for entry in (CHOSEN, REJECTED)):
        return False  # pairs made of the list, which is kept beside them (distilabel)
    responses, scores = cell(row, _LISTED), cell(row, f"{_BY_SCORE}|{_BY_RANK}")
    lists = isinstance(responses, list) and isinstance(scores, list) and bool(responses)
    return lists and (is_text(responses[0]) or isinstance(responses[0], list))


def _scored_list(rows: Sequence[RawRow]) -> RowsMade:
    (row,) = rows
    asked, told = opened(cell(row, "prompt|instruction|question"), "prompt")
    prompt = behind_system(asked, cell(row, "system|system_prompt"), "system")
    by, sign = (_BY_SCORE, 1) if cell(row, _BY_SCORE) is not None else (_BY_RANK, -1)
    responses, scores = list_in(row, _LISTED), list_in(row, by)
    if len(responses) != len(scores):
        raise DataError("there are not as many scores or ranks as responses")
    found = [
        (_response(one, f"responses, number {number}"), sign * _score(score, f"scores, number {number}"))
        for number, (one, score) in enumerate(zip(responses, scores, strict=True), start=1)
    ]
    return ranking(prompt, found, told)


def _response(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    turns, _ = turns_in(value, what)
    whole = split_last(turns)
    if len(turns) == 1 and turns[0]["role"] == "assistant":
        return turns[0]["content"]
    if whole is None:
        raise DataError(f"{what} does not end with a turn of the assistant")
    return whole[1]


SCORED_LISTS = RowFormat(
    name="scored_lists",
    gives="rankings",
    about="`prompt`, a list of `responses` or `completions`, and a list of `scores` or `ratings`, or of `ranks`",
    needed=("prompt|instruction|question", _LISTED, f"{_BY_SCORE}|{_BY_RANK}"),
    optional=("system|system_prompt",),
    fits=_is_scored_list,
    make=_scored_list,
)

FORMATS = (ULTRAFEEDBACK, NECTAR, HELPSTEER, SCORED_LISTS)
