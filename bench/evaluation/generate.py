"""Generating: one policy answers one task's prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import PositiveInt

from bench.core.lengths import SpellingCounts
from bench.core.policy import Outputs, PolicySpec
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.made_elsewhere import completions_of

COMPLETIONS = "completions.parquet"
# How a row says that its prompt was too long for the policy, and what is said where there is no response to measure.
NO_ROOM = "no_room"
NO_RESPONSE = "the prompt leaves no room for a response in what the policy can read"
COMPLETIONS_SCHEMA = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("draw", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.int32()), nullable=False),
        pa.field("finish", pa.string(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
    ]
)


class Generate(Stage):
    """Answers of one policy to every prompt of one task, ``draws`` times each.

    The noise of an answer depends on (seed, prompt, draw, position, token id) only. So two policies at the same seed
    meet the same noise, and batch size and the order of the prompts change an answer by the rounding of logits alone
    (docs/performance.md has how often). Other stages that draw responses to the same prompts have noise of their own:
    ``row_seed``. A prompt that leaves no room for the task's ``max_new_tokens`` in what the policy can read gets no
    answer: its rows say so in ``finish``. Outputs made elsewhere are taken as they stand. Where answers hold special
    tokens, ``diagnostics.json`` says how many.
    """

    KIND: ClassVar[str] = "generate"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    task: Task
    draws: PositiveInt
    seed: int

    def resources(self) -> Resources:
        """Return what the policy needs: nothing, where the answers are there already."""
        return Resources() if isinstance(self.policy, Outputs) else self.RESOURCES

    def run(self, io: StageIO) -> None:
        """Write ``completions.parquet``: one row per prompt and draw, in the task's order."""
        if isinstance(self.policy, Outputs):
            given = completions_of(self.policy, self.task, self.draws)
            pq.write_table(pa.Table.from_pylist(given, schema=COMPLETIONS_SCHEMA), io.out / COMPLETIONS)
            return
        from bench.models.best_of import open_policy  # noqa: PLC0415 - torch loads here and not when planning

        policy = open_policy(self.policy, io)
        prompts = self.task.prompts()
        rows = [(prompt, draw) for prompt in prompts for draw in range(self.draws)]
        completions = policy.generate(
            [prompt.chat for prompt, _ in rows],
            self.task.decoding(),
            seeds=[row_seed(self.seed, prompt.id, draw) for prompt, draw in rows],
            io=io,
        )
        pylist = [
            {
                "prompt": prompt.id,
                "draw": draw,
                "text": completion.text,
                "tokens": list(completion.tokens),
                "finish": completion.finish,
                "prompt_tokens": completion.prompt_tokens,
            }
            for (prompt, draw), completion in zip(rows, completions, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(pylist, schema=COMPLETIONS_SCHEMA), io.out / COMPLETIONS)
        written = [one for one in completions if one.finish != NO_ROOM]
        counts = SpellingCounts(written=sum(one.holds_special for one in written), responses=len(written))
        if spelling := counts.told():
            io.diagnose(spelling)


def row_seed(seed: int, prompt: str, draw: int) -> int:
    """Return the seed (63 bits) of one answer's noise.

    A stage that draws something else puts what it is before the prompt's name (``pair``, ``round 0``): a policy must
    not be evaluated with the noise of the responses that it was trained on, where a prompt has the same name in both.
    """
    text = f"{seed}\x1f{draw}\x1f{prompt}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def is_answered(row: Mapping[str, Any]) -> bool:
    """Return whether a row of a generation has a response: its prompt was not too long for the policy."""
    return bool(row["finish"] != NO_ROOM)


def read_rows(io: StageIO, generation: Generate) -> list[dict[str, Any]]:
    """Return the rows of one generation."""
    return stored_rows(io.read(generation))


def stored_rows(payload: Path) -> list[dict[str, Any]]:
    """Return the rows in the payload of a generation."""
    return pq.read_table(payload / COMPLETIONS).to_pylist()
