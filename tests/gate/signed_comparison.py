"""A comparison of SFT with a DPO whose sign stands in a file beside it, so that a test can break it and train again."""

from __future__ import annotations

import json
from pathlib import Path

from tests.methods.tiny import DEMONSTRATIONS
from tests.whole import write_whole

METHOD = '''\
"""DPO with the sign of its margin in the file, as somebody might break it."""

from typing import ClassVar

from pydantic import PositiveFloat

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods import (
    FineTuning,
    Optimisation,
    PreferenceOptimisation,
    ReferenceLogprobs,
    fine_tuned,
    preferences,
    reference,
    supervised_start,
)

SIGN = 1.0


class TrainSigned(FineTuning):
    KIND: ClassVar[str] = "train/signed"
    VERSION: ClassVar[int] = 1

    reference: ReferenceLogprobs
    beta: PositiveFloat

    def run(self, io: StageIO) -> None:
        from torch.nn.functional import logsigmoid

        from methods import train_on_pairs

        def loss(policy, reference):
            return -logsigmoid(SIGN * self.beta * policy.margin_over(reference))

        train_on_pairs(self, io, self.reference, loss)


class Signed(PreferenceOptimisation, Method):
    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 0.1
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        start = supervised_start(given, self.start)
        return fine_tuned(TrainSigned, self, given, start, preferences(given), reference=reference(given, start))
'''
COMPARISON = """\
question: Does DPO on two words move the tiny model towards the wanted one?
given:
  base: {path: ../../model, template: "{prompt}?"}
  demonstrations: {path: ../../demonstrations.jsonl}
  preferences: {path: ../../preferences.jsonl}
  seeds: [0]
methods:
  sft: &sft {lr: 0.01, epochs: 15, batch_size: 8}
  dpo: {method: ./signed.py, beta: 0.1, lr: 0.02, epochs: 15, batch_size: 4, start: *sft}
evaluate:
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 6}]
  win_rate: {judges: [{judge: lexicon, path: ../../words.txt}], versus: sft}
statistics: {resamples: 200}
gate:
  - {metric: win_rate, method: dpo, versus: sft, superior_by: 0.0}
  - {metric: win_rate, method: dpo, versus: baseline, not_worse_by: 0.2}
"""


def write_signed(root: Path) -> Path:
    """Write everything below ``root`` and return the comparison's folder."""
    folder = write_whole(root, COMPARISON)
    (folder / "signed.py").write_text(METHOD, encoding="utf-8")
    prompts = [row["prompt"] for row in DEMONSTRATIONS]
    write_rows(root / "demonstrations.jsonl", [{"prompt": p, "response": w} for p in prompts for w in ("red.", "no.")])
    write_rows(root / "preferences.jsonl", [{"prompt": p, "chosen": "red.", "rejected": "no."} for p in prompts])
    return folder


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
