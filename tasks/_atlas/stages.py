"""The stages of the world: pretraining a base model, and writing demonstrations, prompts and preferences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import PositiveInt

from bench.core.errors import StageError
from bench.core.policy import Decoding, Policy, PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import user
from tasks._atlas import WORLD_VERSION
from tasks._atlas.annotator import Annotator
from tasks._atlas.draws import Draws
from tasks._atlas.fields import Pretraining, Teaching
from tasks._atlas.gold import utility
from tasks._atlas.grammar import read, words_in
from tasks._atlas.knowledge import held_out_words
from tasks._atlas.questions import AtlasQuestion, training_question
from tasks._atlas.writing import demonstration

ROWS_FILE = "rows.jsonl"
WORD = re.compile(r"\w+")
SAMPLED_AT_ONCE = 256
"""Questions answered together while sampling pairs. It is part of what a seed means: labels and answers take turns."""
MOST_QUESTIONS_PER_PAIR = 20


class PretrainAtlas(Pretraining):
    """A base model of the world; see ``Pretraining``."""

    KIND: ClassVar[str] = "atlas/pretrain"
    VERSION: ClassVar[int] = WORLD_VERSION
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from tasks._atlas.pretraining import pretrain

        pretrain(self, io)


class TeachLabeller(Teaching):
    """A labeller of the world; see ``Teaching``."""

    KIND: ClassVar[str] = "atlas/labeller"
    VERSION: ClassVar[int] = WORLD_VERSION
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from tasks._atlas.labelling import teach

        teach(self, io)


class AtlasDemonstrations(Stage):
    """Questions of the train split, answered by demonstrators: ``rows.jsonl`` of id, prompt, response, kind."""

    KIND: ClassVar[str] = "atlas/demonstrations"
    VERSION: ClassVar[int] = WORLD_VERSION

    world_seed: int
    rows: PositiveInt

    def run(self, io: StageIO) -> None:
        """Write the demonstrations."""
        draws = Draws("atlas", self.world_seed, "demonstrations")
        rows = []
        for number in range(self.rows):
            question = training_question(self.world_seed, draws)
            response = demonstration(self.world_seed, question, draws)
            rows.append({**_head("demonstration", number, question), "response": response})
        _write(rows, io)


class AtlasTrainingPrompts(Stage):
    """Questions of the train split without answers: ``rows.jsonl`` of id, prompt, kind, facts.

    ``kind`` and ``facts`` are what the gold utility needs of a prompt, so the gold judge can rate answers to these.
    """

    KIND: ClassVar[str] = "atlas/prompts"
    VERSION: ClassVar[int] = WORLD_VERSION + 1

    world_seed: int
    rows: PositiveInt

    def run(self, io: StageIO) -> None:
        """Write the prompts."""
        draws = Draws("atlas", self.world_seed, "train prompts")
        questions = (training_question(self.world_seed, draws) for _ in range(self.rows))
        _write(({**_head("prompt", row, one), **_facts(one)} for row, one in enumerate(questions)), io)


class AtlasPreferences(Stage):
    """Pairs of sampled responses, labelled by the simulated annotator.

    ``sampler`` answers each question of the train split twice. A pair that the annotator cannot tell apart is dropped,
    as is one that names a held-out entity by a slip, and more questions are asked until there are ``rows`` pairs.
    ``rows.jsonl`` has id, prompt, chosen, rejected, kind, facts (see AtlasTrainingPrompts), and the gold utilities
    ``chosen_gold`` and ``rejected_gold``, which no method reads.
    """

    KIND: ClassVar[str] = "atlas/preferences"
    VERSION: ClassVar[int] = WORLD_VERSION + 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    world_seed: int
    sampler: PolicySpec
    annotator: Annotator
    decoding: Decoding
    rows: PositiveInt

    def run(self, io: StageIO) -> None:
        """Sample and label the pairs."""
        from bench.models.load import load_policy

        policy = load_policy(self.sampler, io)
        draws = Draws("atlas", self.world_seed, "preferences")
        labels = Draws("atlas", self.world_seed, "labels")
        held_out = held_out_words(self.world_seed)
        pairs: list[dict[str, Any]] = []
        asked = 0
        while len(pairs) < self.rows:
            if asked > MOST_QUESTIONS_PER_PAIR * self.rows + SAMPLED_AT_ONCE:
                raise StageError(
                    f"{asked} questions gave only {len(pairs)} of {self.rows} pairs: the sampler's two answers are "
                    "nearly always worth the same. Sample at a higher temperature or from another policy."
                )
            asked += SAMPLED_AT_ONCE
            questions = [training_question(self.world_seed, draws) for _ in range(SAMPLED_AT_ONCE)]
            for question, responses in zip(questions, self._sampled(policy, questions, draws, io), strict=True):
                labelled = labelled_pair(question, responses, self.annotator, labels)
                clean = not held_out.intersection(WORD.findall(" ".join(responses)))
                if labelled is not None and clean and len(pairs) < self.rows:
                    pairs.append({**_head("preference", len(pairs), question), **labelled, **_facts(question)})
                    io.meter.labels += 1
            io.progress(len(pairs), self.rows, "pair")
        _write(pairs, io)

    def _sampled(
        self, policy: Policy, questions: list[AtlasQuestion], draws: Draws, io: StageIO
    ) -> list[tuple[str, str]]:
        """Return two responses to each question."""
        chats = [user(question.text) for question in questions for _ in range(2)]
        seeds = [draws.below(2**53) for _ in chats]
        texts = [one.text for one in policy.generate(chats, self.decoding, seeds=seeds, io=io)]
        return list(zip(texts[::2], texts[1::2], strict=True))


def labelled_pair(
    question: AtlasQuestion, responses: tuple[str, str], annotator: Annotator, draws: Draws
) -> dict[str, Any] | None:
    """Return the responses as chosen and rejected with their gold utilities, None when they are worth the same."""
    prompt = question.prompt()
    gold = [utility(prompt.kind, prompt.facts, read(response)) for response in responses]
    seen = [annotator.perceived(value, words_in(text)) for value, text in zip(gold, responses, strict=True)]
    if seen[0] == seen[1]:
        return None
    best = 0 if annotator.choose_first(seen[0] - seen[1], draws) else 1
    return {
        "chosen": responses[best],
        "rejected": responses[1 - best],
        "chosen_gold": gold[best],
        "rejected_gold": gold[1 - best],
    }


def _head(word: str, number: int, question: AtlasQuestion) -> dict[str, str]:
    return {"id": f"{word}-{number:05d}", "prompt": question.text, "kind": question.kind}


def _facts(question: AtlasQuestion) -> dict[str, dict[str, str]]:
    return {"facts": question.prompt().facts}


def _write(rows: Iterable[Mapping[str, Any]], io: StageIO) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (io.out / ROWS_FILE).write_text(text, encoding="utf-8")
