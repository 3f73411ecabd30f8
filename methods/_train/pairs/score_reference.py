"""A frozen reference's log-probabilities: computed once, read by many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from bench.core.data import DataSpec
from bench.core.errors import DataError, StageError
from bench.core.lengths import LengthCounts, told
from bench.core.policy import PolicySpec
from bench.core.stage import Stage, StageIO
from bench.models.hf import HFPolicy
from bench.models.lengths import FittedRows, fit_rows, none_left
from bench.models.load import load_policy
from bench.models.local import Groups, LocalPolicy, charge_reading, longest
from bench.models.packing.layout import Group
from bench.models.tokenised.token_rows import TokenRows, preference_rows
from methods._train.loop.batches import micro_batches
from methods._train.loop.loop import write_diagnostics
from methods._train.loop.tune import Examples, examples_of
from methods._train.pairs.contexts import tokens_of
from methods._train.pairs.logprobs import PairLogprobs

FILE = "logprobs.safetensors"
# Tokens of one forward pass, padding included; chosen on a two-core machine, changes results by rounding only.
TOKENS_AT_ONCE = 8192


def write_reference(
    spec: PolicySpec, data: DataSpec, io: StageIO, *, max_length: int, responses: Literal["pairs", "mismatched"]
) -> None:
    """Score the responses of every row, and write them to ``io.out``."""
    policy = load_policy(spec, io)
    rows = preference_rows(data, policy, io)
    scoring = rows if responses == "pairs" else mismatched(rows)
    fit, lengths = fit_rows("preferences", scoring, longest(policy, max_length))
    if not fit:
        raise StageError(none_left(lengths))
    save_file(scored(policy, fit, len(rows), io), io.out / FILE)
    write_diagnostics(told([lengths]), io)


@torch.inference_mode()
def scored(policy: LocalPolicy, fit: FittedRows, count: int, io: StageIO) -> dict[str, torch.Tensor]:
    """Return ``logprob`` (float32 sums in nats) and ``tokens`` (int64), both of shape (rows, responses per row).

    ``count``: the rows of the data; those that were dropped, and are not among ``fit``, have 0 in both.
    """
    wide = fit.responses.shape[1]
    sums = torch.zeros(count, wide)
    counts = torch.zeros(count, wide, dtype=torch.int64)
    padded: list[int] = (fit.prompts.sum(1) + fit.prompts.shape[1] * (fit.responses - 1).sum(1)).tolist()
    done = 0
    for numbers in micro_batches(np.arange(len(fit)), padded, TOKENS_AT_ONCE):
        batch = [fit[number] for number in numbers]
        groups: list[Groups] = [tuple(Group(prompt, one.responses) for prompt in one.prompts) for one in batch]
        found = policy.token_logprobs(groups)
        places = [one.row for one in batch]
        sums[places] = found.sum().view(-1, wide).cpu()
        counts[places] = found.mask.sum(-1).view(-1, wide).cpu()
        charge_reading(policy, [[tokens_of(group) for group in row] for row in groups], io)
        done += len(numbers)
        io.progress(done, len(fit), "row")
    if not bool(torch.isfinite(sums).all()):
        raise StageError("the reference gives a response a log-probability that is not finite. Check its weights.")
    return {"logprob": sums, "tokens": counts}


def pair_examples(policy: HFPolicy, rows: TokenRows, max_length: int) -> tuple[Examples, LengthCounts]:
    """Return one example per pair that can be learnt from, its responses in the order chosen, rejected.

    See ``methods._train.loop.tune.examples_of`` for what else is returned, and for what is dropped.
    """
    return examples_of(policy, "preferences", rows, max_length)


def mismatched_examples(policy: HFPolicy, rows: TokenRows, max_length: int) -> tuple[Examples, dict[int, int]]:
    """Return each row's prompt with a response to another one (see ``mismatched``), and its place by the row's number.

    A row that does not fit is not there, and no pair of it. Raises DataError when all rows have the same prompt.
    """
    found, _ = examples_of(policy, "preferences", mismatched(rows), max_length)
    return found, {row: place for place, row in enumerate(found.rows())}


def mismatched(rows: TokenRows) -> TokenRows:
    """Return rows with a response to another prompt each: of the next row that has one.

    Of pairs, rows of even number borrow a chosen response and the others a rejected one, so that both kinds count
    alike. Raises DataError when all rows have the same prompt.
    """
    prompts = rows.prompt.tolist()
    # One that was cut before it had any text has no tokens to be scored.
    usable = (rows.said | rows.ended)[rows.chosen].tolist()
    borrowed = [_borrowed(prompts, usable, number) for number in range(len(rows))]
    places = [number % rows.chosen.shape[1] for number in range(len(rows))]
    return rows.responding(rows.chosen[borrowed, places][:, None])


def _borrowed(prompts: Sequence[int], usable: Sequence[Sequence[bool]], number: int) -> int:
    """Return the row of which a response is borrowed for this one."""
    for step in range(1, len(prompts)):
        other = (number + step) % len(prompts)
        if prompts[other] != prompts[number] and usable[other][number % len(usable[other])]:
            return other
    raise DataError(
        "all rows have the same prompt, or responses without text, so no response belongs to another prompt. KTO needs "
        "at least two."
    )


def read_pairs(stage: Stage, io: StageIO, rows: int, examples: Examples, device: torch.device) -> PairLogprobs:
    """Return the reference's log-probabilities of the pairs, row by row of the data.

    Raises StageError when they are of other data, or of other tokens of an example's responses (a reference that reads
    less than the policy cuts more).
    """
    found = _read(stage, io, rows, device)
    scored_tokens = found["tokens"][torch.from_numpy(examples.fitted.kept)].cpu().numpy()
    (other,) = np.nonzero((scored_tokens != examples.fitted.responses).any(1))
    if len(other):
        place = int(other[0])
        raise StageError(
            f"{stage.label()} scored {scored_tokens[place].tolist()} tokens of the responses of row "
            f"{examples.rows()[place] + 1}, and the policy reads {examples.fitted.responses[place].tolist()}: their "
            "tokenizers differ, or one of them can read less and had its responses cut. Lower given.max_length to what "
            "both can read."
        )
    sums, tokens = found["logprob"], found["tokens"]
    return PairLogprobs(sums[:, 0], sums[:, 1], tokens[:, 0], tokens[:, 1])


def read_single(stage: Stage, io: StageIO, rows: int, device: torch.device) -> torch.Tensor:
    """Return the reference's log-probabilities of rows with one response each. Shape: (rows,)."""
    return _read(stage, io, rows, device)["logprob"][:, 0]


def read_mismatched(stage: Stage, io: StageIO, rows: int, device: torch.device) -> torch.Tensor:
    """Return the reference's log-probabilities of the mismatched responses. Shape: (rows,)."""
    return read_single(stage, io, rows, device)


def _read(stage: Stage, io: StageIO, rows: int, device: torch.device) -> dict[str, torch.Tensor]:
    found = load_file(io.read(stage) / FILE)
    if len(found["logprob"]) != rows:
        raise StageError(
            f"{stage.label()} scored {len(found['logprob'])} rows, but the data have {rows}. "
            "The reference must be computed on the data that is trained on."
        )
    return {name: values.to(device) for name, values in found.items()}
