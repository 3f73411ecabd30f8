"""What every fine-tuning stage does around its loss: load, tokenise, fit, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch

from bench.core.errors import StageError
from bench.core.lengths import LengthCounts, RowsOf
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.lengths import FittedRows, fit_rows, none_left
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_trainable, load_whole, save_adapter, save_weights
from bench.models.local import longest
from bench.models.masters import master_of, set_master
from bench.models.quantised.load_packed import quantised_of
from bench.models.tokenised.token_rows import TokenRows
from methods._train.fine_tuning import FineTuning
from methods._train.loop import ranks
from methods._train.loop.loop import LossSum, Training, fit, write_diagnostics

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


@dataclass(frozen=True)
class Examples(Sequence[Example]):
    """Rows that fit, as examples; each is made of its tokens, which are mapped, when it is asked for."""

    fitted: FittedRows

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.fitted)

    @overload
    def __getitem__(self, number: int) -> Example: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Example]: ...
    def __getitem__(self, number: int | slice) -> Example | Sequence[Example]:
        """Return an example, or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        row = self.fitted[number]
        return Example(row.row, Group(row.prompts[0], row.responses))

    def rows(self) -> list[int]:
        """Return the number of each example's row in the data, counted from 0."""
        found: list[int] = self.fitted.kept.tolist()
        return found

    def tokens(self) -> list[int]:
        """Return for each example what ``Example.tokens`` gives."""
        wide = self.fitted.responses.shape[1]
        found: list[int] = (wide * self.fitted.prompts[:, 0] + self.fitted.responses.sum(1)).tolist()
        return found

    def padded(self) -> list[int]:
        """Return for each example what ``Example.padded`` gives."""
        found: list[int] = (self.fitted.prompts[:, 0] + (self.fitted.responses - 1).sum(1)).tolist()
        return found

    def where(self, wanted: Callable[[int], bool]) -> Examples:
        """Return the examples of those rows of the data of which that is so."""
        return Examples(self.fitted.at([place for place, row in enumerate(self.rows()) if wanted(row)]))


def examples_of(policy: HFPolicy, data: RowsOf, rows: TokenRows, max_length: int) -> tuple[Examples, LengthCounts]:
    """Return the rows that can be learnt from, and what was cut and dropped (``bench.models.lengths``).

    Rows keep their numbers in the data. Raises StageError when no row is left.
    """
    found, counts = fit_rows(data, rows, longest(policy, max_length))
    if not found:
        raise StageError(none_left(counts))
    return Examples(found), counts


def training_of(
    policy: HFPolicy, examples: Examples, loss_of: Callable[[Sequence[Example]], LossSum]
) -> Training[Example]:
    """Return the training of a policy on examples, with their lengths."""
    return Training(policy.model, examples, tokens=examples.tokens(), padded=examples.padded(), loss_of=loss_of)


def train(stage: FineTuning, io: StageIO, policy: HFPolicy, training: Training[Any]) -> None:
    """Run a training as the stage says, and write the policy to ``io.out / "policy"``, from the main process only."""
    fit(training, stage.optimisation, io, budget=stage.budget, seed=stage.seed)
    if ranks.is_main():
        store(stage, io, policy)


def store(stage: FineTuning, io: StageIO, policy: HFPolicy) -> None:
    """Write a trained policy to ``io.out / "policy"``: the new adapter, or whole weights as ``stage.keep`` says.

    Where they are rounded, the policy in memory is rounded too, so that what is measured next is what was stored, and
    the diagnostics say what is left: ``weights``, ``changed`` in training, and ``kept`` after rounding.
    """
    folder = io.out / POLICY_FOLDER
    if (packed := quantised_of(policy.model)) is not None:
        write_diagnostics(packed.told(), io)
    if spelling := policy.tokens.counts().told():
        write_diagnostics(spelling, io)
    if stage.lora is not None:
        save_adapter(policy, folder)
        return
    if stage.keep == "bfloat16":
        write_diagnostics({"rounded_to_bfloat16": _rounded(policy, load_whole(stage.init, io))}, io)
    save_weights(policy, folder, stage.keep)


@torch.no_grad()
def _rounded(policy: HFPolicy, start: HFPolicy) -> dict[str, int]:
    """Round the trained weights to bfloat16, and return how many there are, were changed, and are still changed."""
    before = dict(start.model.named_parameters())
    found = {"weights": 0, "changed": 0, "kept": 0}
    for name, parameter in policy.model.named_parameters():
        own, old = master_of(parameter), before[name].to(parameter.device)
        rounded = own.bfloat16()
        found["weights"] += own.numel()
        found["changed"] += int((own != old).sum())
        found["kept"] += int(((own != old) & (rounded != old.bfloat16())).sum())
        set_master(parameter, rounded.float())
    return found
