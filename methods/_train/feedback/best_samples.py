"""Winners as demonstrations: the best of several responses of a policy to each prompt."""

from __future__ import annotations

import json
from collections import Counter
from typing import ClassVar, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from bench.core.data import DataSpec, Made
from bench.core.datasets import ROWS_FILE, read_prompts
from bench.core.errors import BenchError
from bench.core.policy import Decoding, PolicySpec
from bench.core.reward import CutResponses, RewardSpec
from bench.core.stage import Resources, Stage, StageIO
from bench.evaluation.generate import row_seed
from methods._train.feedback.label_pairs import check_some_left, unrepeated, write_written, written_counts

# Prompts answered between two notes of progress; changes no result.
PROMPTS_AT_ONCE = 64


class BestOfSamples(Stage):
    """Rows of ``prompt`` and ``response``: the best by ``reward`` of ``n`` responses of ``policy`` to each prompt.

    Each prompt is answered once, also where rows of ``prompts`` repeat it. ``cut_responses``: a winner that was cut is
    kept, marked by ``finish``, so that no end is taught behind it; or only responses that ended can win, and a prompt
    without any is left out. Prompts that leave no room for a response are left out. ``diagnostics.json`` counts all.
    The noise of a response depends on (seed, round, prompt, number of the response, position), and is not that of an
    evaluation.
    """

    KIND: ClassVar[str] = "best_of_samples"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    prompts: DataSpec
    reward: RewardSpec
    n: PositiveInt
    decoding: Decoding
    cut_responses: CutResponses = "keep"
    round: NonNegativeInt
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.n > 1 and self.decoding.is_greedy:
            raise BenchError(
                f"the best of n: {self.n} responses is asked for, and decoding is greedy (temperature 0 or top_k 1), "
                "so all are equal. Set decoding.temperature above 0 and top_k above 1, or n: 1."
            )
        return self

    def run(self, io: StageIO) -> None:
        """Write the rows. Raises StageError when no prompt has a response to learn from."""
        from bench.models.best_of import BestOfPolicy, open_policy
        from bench.models.rewards import open_reward

        prompts = unrepeated(read_prompts(self.prompts, io))
        reward = open_reward(self.reward, io, asked_by=self)
        policy = BestOfPolicy(open_policy(self.policy, io), reward, self.n, self.cut_responses)
        finishes: Counter[str] = Counter()
        with (io.out / ROWS_FILE).open("w", encoding="utf-8") as file:
            for start in range(0, len(prompts), PROMPTS_AT_ONCE):
                part = prompts[start : start + PROMPTS_AT_ONCE]
                seeds = [prompt_seed(self.seed, self.round, prompt.id) for prompt in part]
                found = policy.answers(part, self.decoding, seeds=seeds, io=io)
                for prompt, best in zip(part, found, strict=True):
                    finishes[best.finish] += 1
                    if best.finish == "no_room" or (best.finish == "length" and self.cut_responses == "leave_out"):
                        continue
                    turns = [turn.model_dump() for turn in prompt.chat]
                    row = {"id": prompt.id, "prompt": turns, "response": best.text, "finish": best.finish}
                    file.write(json.dumps(row) + "\n")
        told = written_counts(finishes, len(prompts), finishes["no_room"], self.cut_responses)
        check_some_left(self, told)
        write_written(io, told)


def prompt_seed(seed: int, round_: int, prompt: str) -> int:
    """Return the seed (63 bits) of the responses to one prompt in one round."""
    return row_seed(seed, f"round {round_}\x1f{prompt}", 0)


def winners(samples: BestOfSamples) -> Made:
    """Return what a stage chose as data for supervised fine-tuning."""
    return Made(by=samples)
