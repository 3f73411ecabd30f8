"""What every fine-tuning stage does around its loss: load, tokenise, fit, save."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.lengths import LengthCounts, RowsOf
from bench.core.policy import Chat
from bench.core.stage import DIAGNOSTICS_FILE, StageIO
from bench.models.hf import HFPolicy
from bench.models.lengths import fit_rows, none_left
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_trainable, save_adapter, save_weights
from bench.models.local import longest, token_row
from methods._train.fine_tuning import FineTuning
from methods._train.loop import ranks
from methods._train.loop.loop import LossSum, Training, fit

POLICY_FOLDER = "policy"


@dataclass(frozen=True)
class Example:
    """A prompt with its responses as tokens, and the number of its row in the data, counted from 0."""

    row: int
    group: Group

    def tokens(self) -> int:
        """Return the tokens that are scored or stand before them; each response counts with its prompt."""
        return sum(len(self.group.prompt) + len(response) for response in self.group.responses)

    def padded(self) -> int:
        """Return the tokens it takes up in a batch, its prompt computed once for all its responses."""
        return self.group.shared_length()


def loaded(stage: FineTuning, io: StageIO) -> HFPolicy:
    """Return the policy to train: ``stage.init`` with a new adapter, or all of its weights."""
    return load_trainable(stage.init, io, lora=stage.lora, seed=stage.seed)


def examples_of(
    policy: HFPolicy, data: RowsOf, rows: Iterable[tuple[Chat, Sequence[Reply]]], max_length: int
) -> tuple[list[Example], LengthCounts]:
    """Return the rows that can be learnt from as tokens, and what was cut and dropped (``bench.models.lengths``).

    Rows keep their numbers in the data. Raises StageError when no row is left.
    """
    read = (token_row(policy, chat, replies) for chat, replies in rows)
    found, counts = fit_rows(data, read, longest(policy, max_length))
    if not found:
        raise StageError(none_left(counts))
    return [Example(one.row, Group(one.prompts[0], one.responses)) for one in found], counts


def write_diagnostics(io: StageIO, lengths: Sequence[LengthCounts], more: Mapping[str, Any] | None = None) -> None:
    """Write ``diagnostics.json`` from the main process: ``lengths``, what was cut of each data set, and ``more``."""
    if ranks.is_main():
        found = {**(more or {}), "lengths": [one.model_dump() for one in lengths]}
        (io.out / DIAGNOSTICS_FILE).write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def training_of(
    policy: HFPolicy, examples: Sequence[Example], loss_of: Callable[[Sequence[Example]], LossSum]
) -> Training[Example]:
    """Return the training of a policy on examples, with their lengths."""
    return Training(
        policy.model,
        examples,
        tokens=[example.tokens() for example in examples],
        padded=[example.padded() for example in examples],
        loss_of=loss_of,
    )


def train(stage: FineTuning, io: StageIO, policy: HFPolicy, training: Training[Any]) -> None:
    """Run a training as the stage says, and write the policy to ``io.out / "policy"``, from the main process only."""
    fit(training, stage.optimisation, io, budget=stage.budget, seed=stage.seed)
    if not ranks.is_main():
        return
    save = save_weights if stage.lora is None else save_adapter
    save(policy, io.out / POLICY_FOLDER)
