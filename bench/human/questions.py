"""The questions that a comparison has for annotators: which pairs, in which order, each shown once.

They are made from what the run left beside the comparison: neither its store nor code of others is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.document.merged import comparison_file
from bench.core.errors import BenchError, DataError
from bench.core.judge import Pair
from bench.core.policy import Message
from bench.core.task import Prompt
from bench.evaluation.generate import is_answered
from bench.evaluation.judges._annotators import question_id, turned
from bench.evaluation.judges._prompt_file import transcript
from bench.evaluation.judges.human import Human
from bench.pipeline.recorded_run import RecordedRun, recorded_run
from bench.results.responses import RESPONSES, turns, without_responses
from bench.results.summary import SUMMARY


@dataclass(frozen=True)
class AnnotatorQuestion:
    """A prompt and two responses as they are shown, and nothing about where they come from."""

    id: str
    prompt: str
    first: str
    second: str


def run_before_asking(path: Path, overrides: Sequence[str]) -> RecordedRun:
    """Return the last run of a comparison; raises BenchError where there is none, whose responses people could read."""
    folder = comparison_file(path).parent
    if not SUMMARY.path(folder).exists():
        raise BenchError(
            f"{folder}: the responses are not there yet. Run the comparison first: it runs everything but the human "
            "judge."
        )
    return recorded_run(path, overrides)


def human_judge(run: RecordedRun, label: str | None = None) -> Human:
    """Return the human judge of a comparison; ``label``: the one of that name.

    Raises BenchError where the comparison has none, or has several and none is named.
    """
    people = {named.label: named.judge for named in run.comparison.evaluation.judges if isinstance(named.judge, Human)}
    if not people:
        raise BenchError(
            f"{run.comparison.path}: no person judges here. Add `human` to evaluate.win_rate.judges, and run it."
        )
    if label is None and len(people) > 1:
        raise BenchError(f"several judges are people: {', '.join(people)}. Say which by --judge NAME.")
    if label is not None and label not in people:
        raise BenchError(f"no human judge is named {label!r}. There is {', '.join(people)}.")
    return people[next(iter(people)) if label is None else label]


def pairs_of(run: RecordedRun) -> Iterator[Pair]:
    """Yield every pair of responses that is compared and of which both are there, in one order.

    Raises DataError for a run without responses.
    """
    table = RESPONSES.find(run.folder)
    if table is None:
        raise DataError(without_responses(run.folder))
    rows: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        rows.setdefault((row["task"], row["method"], row["run"]), []).append(row)
    comparison = run.as_run
    for task in (task.NAME for task in comparison.evaluation.tasks):
        for a, b in comparison.evaluation.contrasts:
            for seed in comparison.given.seeds:
                yield from _beside(rows.get((task, a, seed), ()), rows.get((task, b, seed), ()))


def _beside(ours: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]]) -> Iterator[Pair]:
    """Yield the pairs of two arms' responses to the same prompt and draw."""
    others = {(row["prompt"], row["draw"]): row for row in theirs}
    for row in ours:
        other = others.get((row["prompt"], row["draw"]))
        if other is not None and is_answered(row) and is_answered(other):
            chat = tuple(Message.model_validate({"role": role, "content": text}) for role, text in turns(row["chat"]))
            prompt = Prompt(id=row["prompt"], chat=chat, cluster=row["prompt"])
            yield Pair(prompt=prompt, first=row["text"], second=other["text"])


def questions_for_annotators(pairs: Iterable[Pair], seed: int) -> list[AnnotatorQuestion]:
    """Return every pair once, in an order and with sides that ``seed`` draws; pairs of equal responses are left out.

    Which side a response stands on depends on the seed and on the texts alone.
    """
    found: dict[str, tuple[str, AnnotatorQuestion]] = {}
    for pair in pairs:
        if pair.first == pair.second:
            continue
        both = sorted((question_id(pair), question_id(turned(pair))))
        shown = pair if question_id(pair) == both[_drawn(seed, "side", both[0]) % 2] else turned(pair)
        name = question_id(shown)
        asked = AnnotatorQuestion(name, transcript(pair.prompt.chat), shown.first, shown.second)
        found.setdefault(both[0], (name, asked))
    ordered = sorted(found, key=lambda which: (_drawn(seed, "order", which), which))
    return [found[which][1] for which in ordered]


def _drawn(seed: int, *words: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join([str(seed), *words]).encode()).digest()[:8], "big")
