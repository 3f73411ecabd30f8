"""Critique and revision by principles: the supervised half of Constitutional AI (arXiv:2212.08073, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

import yaml
from pydantic import Field, NonNegativeInt

from bench.core.data import DataSpec
from bench.core.datasets import read_demonstrations, read_prompts
from bench.core.errors import StageError
from bench.core.frozen import Frozen
from bench.core.policy import Chat, Decoding, Message, PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Prompt
from bench.evaluation.generate import row_seed
from methods._train.feedback.label_pairs import PROMPTS_AT_ONCE, as_row, unrepeated, write_lines, write_rows
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
    those of ``helpful``, where there are any. ``revisions.jsonl``: per prompt and round, principle, critique, answer.
    The noise of a text depends on (seed, prompt, round, kind of text, position).
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
    seed: NonNegativeInt

    def run(self, io: StageIO) -> None:
        """Write the rows and the revisions; goes on behind the last finished part of the prompts."""
        prompts = unrepeated(read_prompts(self.prompts, io))
        helpful = [] if self.helpful is None else read_demonstrations(self.helpful, io)
        rounds = in_parts(io, "revisions", prompts, PROMPTS_AT_ONCE, lambda part: self._revised(part, io))
        taught = [row for row in rounds if row["round"] > 0 or self.rounds == 0]
        by_id = {prompt.id: prompt for prompt in prompts}
        rows = [{**as_row(by_id[row["id"]]), "response": row["response"]} for row in taught]
        rows += [
            {"id": row.id, "prompt": [turn.model_dump() for turn in row.prompt], "response": row.response}
            for row in helpful
        ]
        write_rows(io, rows)
        write_lines(io, REVISIONS_FILE, rounds)

    def _revised(self, prompts: Sequence[Prompt], io: StageIO) -> list[Row]:
        """Return what happened to each prompt in each round, round 0 being its first answer."""
        answers = self._written(prompts, [prompt.chat for prompt in prompts], "answer", io)
        rows: list[Row] = [_row(prompt, 0, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        for number in range(1, self.rounds + 1):
            drawn = [principle_of(self.principles, self.seed, prompt.id, number) for prompt in prompts]
            asked = [
                turns(prompt.chat, answer, principle.critique)
                for prompt, answer, principle in zip(prompts, answers, drawn, strict=True)
            ]
            critiques = self._written(prompts, asked, f"critique {number}", io)
            asked = [
                turns(chat, critique, principle.revision)
                for chat, critique, principle in zip(asked, critiques, drawn, strict=True)
            ]
            answers = self._written(prompts, asked, f"revision {number}", io)
            rows += [
                {**_row(prompt, number, answer), "principle": principle.name, "critique": critique}
                for prompt, answer, principle, critique in zip(prompts, answers, drawn, critiques, strict=True)
            ]
        return rows

    def _written(self, prompts: Sequence[Prompt], chats: Sequence[Chat], what: str, io: StageIO) -> list[str]:
        from bench.models.kept import kept_policy
        from bench.models.local import prompts_of

        seeds = [row_seed(self.seed, f"{what}\x1f{prompt.id}", 0) for prompt in prompts]
        policy = kept_policy(self.policy, io)
        for prompt, chat in zip(prompts, chats, strict=True):
            length = max(len(prompt) for prompt in prompts_of(policy, chat))
            if policy.context is not None and length + self.decoding.max_new_tokens > policy.context:
                raise StageError(
                    f"{self.label()}: prompt {prompt.id}: {length} tokens before the {what}, which may take "
                    f"{self.decoding.max_new_tokens}, and the policy's context is {policy.context}. Lower "
                    "decoding.max_new_tokens, leave out long prompts, or choose shorter principles (brief)."
                )
        return [one.text.strip() for one in policy.generate(chats, self.decoding, seeds=seeds, io=io)]


def turns(chat: Chat, answer: str, asked: str) -> Chat:
    """Return a conversation that goes on with an answer and the next request."""
    return (*chat, Message(role="assistant", content=answer), Message(role="user", content=asked))


def principle_of(principles: Sequence[Principle], seed: int, prompt: str, number: int) -> Principle:
    """Return the principle of a prompt in a round: each is as likely as the others."""
    return principles[row_seed(seed, f"principle\x1f{prompt}", number) % len(principles)]


def _row(prompt: Prompt, number: int, answer: str) -> Row:
    return {"id": prompt.id, "round": number, "response": answer}
