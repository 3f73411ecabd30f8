"""Critique and revision by principles: the supervised half of Constitutional AI (arXiv:2212.08073, section 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

import yaml
from pydantic import Field, NonNegativeInt

from bench.core.data import DataSpec
from bench.core.datasets import Reply, read_demonstrations, read_prompts
from bench.core.frozen import Frozen
from bench.core.policy import Chat, Completion, Decoding, Message, PolicySpec
from bench.core.reward import CutResponses
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt
from bench.evaluation.generate import row_seed
from methods._train.feedback.label_pairs import (
    PROMPTS_AT_ONCE,
    as_row,
    check_some_left,
    unrepeated,
    write_lines,
    write_rows,
    write_written,
    written_counts,
)
from methods._train.loop.resumable import Row, in_parts

CONSTITUTION_FILE = Path(__file__).resolve().parents[2] / "_data" / "constitution.yaml"
REVISIONS_FILE = "revisions.jsonl"
_Text = Annotated[str, Field(min_length=1)]


class Principle(Frozen):
    """One principle: how its breach is asked for, how an answer is rewritten by it, and what a labeller prefers."""

    name: _Text
    critique: _Text
    revision: _Text
    choice: _Text


@cache
def named_principles() -> dict[str, tuple[Principle, ...]]:
    """Return the constitutions that come with this program, by name."""
    found = yaml.safe_load(CONSTITUTION_FILE.read_text(encoding="utf-8"))
    return {name: tuple(Principle.model_validate(one) for one in principles) for name, principles in found.items()}


class Revise(Stage):
    """A policy answers each prompt, criticises its answer by a principle and rewrites it, ``rounds`` times.

    A principle is drawn anew, each as likely as the others, for every prompt and round. The policy reads the prompt and
    its latest answer, not the earlier critiques, so the context does not grow with the rounds.

    ``rows.jsonl``: demonstrations of the answers of every round (of the first answers where ``rounds`` is 0), then
    those of ``helpful``, where there are any. ``finish`` marks answers that were cut, so that no end is taught behind
    them; ``cut_responses: leave_out`` leaves them out of what is taught. A prompt is left out from where it, or what
    was said so far, leaves no room for what is to be written; ``diagnostics.json`` counts both. ``revisions.jsonl``:
    per prompt and round, principle, critique, answer. The noise of a text depends on (seed, prompt, round, kind of
    text, position).
    """

    KIND: ClassVar[str] = "revise"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    prompts: DataSpec
    helpful: DataSpec | None
    principles: Annotated[tuple[Principle, ...], Field(min_length=1)]
    rounds: NonNegativeInt
    decoding: Decoding
    cut_responses: CutResponses = "keep"
    seed: NonNegativeInt

    def run(self, io: StageIO) -> None:
        """Write the rows and the revisions; goes on behind the last finished part of the prompts."""
        prompts = unrepeated(read_prompts(self.prompts, io))
        helpful = [] if self.helpful is None else read_demonstrations(self.helpful, io)
        rounds = in_parts(io, "revisions", prompts, PROMPTS_AT_ONCE, lambda part: self._revised(part, io))
        taught = [row for row in rounds if row["finish"] != "no_room" and (row["round"] > 0 or self.rounds == 0)]
        too_long = sum(row["finish"] == "no_room" for row in rounds)
        told = written_counts(Counter(row["finish"] for row in taught), len(prompts), too_long, self.cut_responses)
        check_some_left(self, told)
        by_id = {prompt.id: prompt for prompt in prompts}
        rows = [
            {**as_row(by_id[row["id"]]), "response": row["response"], "finish": row["finish"]}
            for row in taught
            if row["finish"] == "end" or self.cut_responses == "keep"
        ]
        rows += [
            {
                "id": row.id,
                "prompt": [turn.model_dump() for turn in row.prompt],
                "response": row.response,
                "finish": Reply(row.response, row.ended).finish,
            }
            for row in helpful
        ]
        write_rows(io, rows)
        write_lines(io, REVISIONS_FILE, rounds)
        write_written(io, told)

    def _revised(self, prompts: Sequence[Prompt], io: StageIO) -> list[Row]:
        """Return what happened to each prompt in each round, round 0 being its first answer.

        A prompt's last row has ``finish``: ``no_room`` where what was to be written next had no room.
        """
        answers = self._written(prompts, [prompt.chat for prompt in prompts], "answer", io)
        rows = [_row(prompt, 0, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        alive = _with_room(prompts, answers)
        for number in range(1, self.rounds + 1):
            drawn = {one.id: principle_of(self.principles, self.seed, one.id, number) for one, _ in alive}
            asked = [turns(one.chat, answer.text.strip(), drawn[one.id].critique) for one, answer in alive]
            own = [one for one, _ in alive]
            critiques = self._written(own, asked, f"critique {number}", io)
            lost = [_row(one, number, found) for one, found in zip(own, critiques, strict=True) if not _room(found)]
            chats = dict(zip((one.id for one in own), asked, strict=True))
            alive = _with_room(own, critiques)
            asked = [turns(chats[one.id], found.text.strip(), drawn[one.id].revision) for one, found in alive]
            own = [one for one, _ in alive]
            answers = self._written(own, asked, f"revision {number}", io)
            rows += lost
            rows += [
                {**_row(one, number, answer), "principle": drawn[one.id].name, "critique": critique.text.strip()}
                for (one, critique), answer in zip(alive, answers, strict=True)
            ]
            alive = _with_room(own, answers)
        return rows

    def _written(self, prompts: Sequence[Prompt], chats: Sequence[Chat], what: str, io: StageIO) -> list[Completion]:
        from bench.models.kept import kept_policy

        seeds = [row_seed(self.seed, f"{what}\x1f{prompt.id}", 0) for prompt in prompts]
        return kept_policy(self.policy, io).generate(chats, self.decoding, seeds=seeds, io=io)


def _room(written: Completion) -> bool:
    return written.finish != "no_room"


def _with_room(prompts: Sequence[Prompt], written: Sequence[Completion]) -> list[tuple[Prompt, Completion]]:
    """Return the prompts, each with what was written to it, where there was room for it."""
    return [(prompt, one) for prompt, one in zip(prompts, written, strict=True) if _room(one)]


def turns(chat: Chat, answer: str, asked: str) -> Chat:
    """Return a conversation that goes on with an answer and the next request."""
    return (*chat, Message(role="assistant", content=answer), Message(role="user", content=asked))


def principle_of(principles: Sequence[Principle], seed: int, prompt: str, number: int) -> Principle:
    """Return the principle of a prompt in a round: each is as likely as the others."""
    return principles[row_seed(seed, f"principle\x1f{prompt}", number) % len(principles)]


def _row(prompt: Prompt, number: int, answer: Completion) -> Row:
    return {"id": prompt.id, "round": number, "response": answer.text.strip(), "finish": answer.finish}
