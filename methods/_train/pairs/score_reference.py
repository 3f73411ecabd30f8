"""A frozen reference's log-probabilities: computed once, read by many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from bench.core.data import DataSpec
from bench.core.datasets import Preference, Reply, UnpairedResponse, is_unpaired, read_preferences, read_unpaired
from bench.core.errors import DataError, StageError
from bench.core.lengths import LengthCounts, told
from bench.core.policy import Chat, PolicySpec
from bench.core.stage import Stage, StageIO
from bench.models.hf import HFPolicy
from bench.models.lengths import Fitted, fit_rows, none_left
from bench.models.load import load_policy
from bench.models.local import Groups, LocalPolicy, charge_reading, longest
from bench.models.packing.layout import Group
from bench.models.tokenizer import token_row
from methods._train.loop.batches import micro_batches
from methods._train.loop.loop import write_diagnostics
from methods._train.loop.tune import Example, examples_of
from methods._train.pairs.contexts import tokens_of
from methods._train.pairs.logprobs import PairLogprobs

FILE = "logprobs.safetensors"
# Tokens of one forward pass, padding included; chosen on a two-core machine, changes results by rounding only.
TOKENS_AT_ONCE = 8192


Answered = Preference | UnpairedResponse


def write_reference(
    spec: PolicySpec, data: DataSpec, io: StageIO, *, max_length: int, responses: Literal["pairs", "mismatched"]
) -> None:
    """Score the responses of every row, and write them to ``io.out``."""
    rows: Sequence[Answered] = read_unpaired(data, io) if is_unpaired(data) else read_preferences(data, io)
    policy = load_policy(spec, io)
    texts = pair_texts(rows) if responses == "pairs" else mismatched_texts(rows)
    read = (token_row(policy, chat, replies) for chat, replies in texts)
    fit, lengths = fit_rows("preferences", read, longest(policy, max_length))
    if not fit:
        raise StageError(none_left(lengths))
    save_file(scored(policy, fit, len(rows), io), io.out / FILE)
    write_diagnostics(told([lengths]), io)


@torch.inference_mode()
def scored(policy: LocalPolicy, fit: Sequence[Fitted], count: int, io: StageIO) -> dict[str, torch.Tensor]:
    """Return ``logprob`` (float32 sums in nats) and ``tokens`` (int64), both of shape (rows, responses per row).

    ``count``: the rows of the data; those that were dropped, and are not among ``fit``, have 0 in both.
    """
    rows: list[Groups] = [tuple(Group(prompt, one.responses) for prompt in one.prompts) for one in fit]
    wide = len(rows[0][0].responses)
    sums = torch.zeros(count, wide)
    counts = torch.zeros(count, wide, dtype=torch.int64)
    padded = [sum(group.shared_length() for group in row) for row in rows]
    done = 0
    for numbers in micro_batches(np.arange(len(rows)), padded, TOKENS_AT_ONCE):
        found = policy.token_logprobs([rows[number] for number in numbers])
        places = [fit[number].row for number in numbers]
        sums[places] = found.sum().view(-1, wide).cpu()
        counts[places] = found.mask.sum(-1).view(-1, wide).cpu()
        charge_reading(policy, [[tokens_of(group) for group in rows[number]] for number in numbers], io)
        done += len(numbers)
        io.progress(done, len(rows), "row")
    if not bool(torch.isfinite(sums).all()):
        raise StageError("the reference gives a response a log-probability that is not finite. Check its weights.")
    return {"logprob": sums, "tokens": counts}


def pair_examples(policy: HFPolicy, rows: Sequence[Preference], max_length: int) -> tuple[list[Example], LengthCounts]:
    """Return one example per pair that can be learnt from, its responses in the order chosen, rejected.

    See ``methods._train.loop.tune.examples_of`` for what else is returned, and for what is dropped.
    """
    return examples_of(policy, "preferences", pair_texts(rows), max_length)


def pair_texts(rows: Sequence[Answered]) -> list[tuple[Chat, Sequence[Reply]]]:
    """Return each row's prompt and its responses, of a pair in the order chosen, rejected."""
    return [(row.prompt, row.replies()) for row in rows]


def mismatched_examples(policy: HFPolicy, rows: Sequence[Answered], max_length: int) -> dict[int, Example]:
    """Return each row's prompt, by the row's number, with a response to another prompt: of the next row that has one.

    Of pairs, rows of even number borrow a chosen response and the others a rejected one, so that both kinds count
    alike. A row that does not fit is not there, and no pair of it. Raises DataError when all rows have the same prompt.
    """
    found, _ = examples_of(policy, "preferences", mismatched_texts(rows), max_length)
    return {example.row: example for example in found}


def mismatched_texts(rows: Sequence[Answered]) -> list[tuple[Chat, Sequence[Reply]]]:
    """Return each row's prompt with a response to another one; see ``mismatched_examples``."""
    return [(row.prompt, [_borrowed(rows, number)]) for number, row in enumerate(rows)]


def _borrowed(rows: Sequence[Answered], number: int) -> Reply:
    for step in range(1, len(rows)):
        other = rows[(number + step) % len(rows)]
        replies = other.replies()
        reply = replies[number % len(replies)]
        # One that was cut before it had any text has no tokens to be scored.
        if other.prompt != rows[number].prompt and (reply.text or reply.ended):
            return reply
    raise DataError(
        "all rows have the same prompt, or responses without text, so no response belongs to another prompt. KTO needs "
        "at least two."
    )


def read_pairs(stage: Stage, io: StageIO, rows: int, examples: Sequence[Example], device: torch.device) -> PairLogprobs:
    """Return the reference's log-probabilities of the pairs, row by row of the data.

    Raises StageError when they are of other data, or of other tokens of an example's responses (a reference that reads
    less than the policy cuts more).
    """
    found = _read(stage, io, rows, device)
    lengths = found["tokens"].tolist()
    other = next((one for one in examples if lengths[one.row] != [len(ids) for ids in one.group.responses]), None)
    if other is not None:
        raise StageError(
            f"{stage.label()} scored {lengths[other.row]} tokens of the responses of row {other.row + 1}, and the "
            f"policy reads {[len(ids) for ids in other.group.responses]}: their tokenizers differ, or one of them can "
            "read less and had its responses cut. Lower given.max_length to what both can read."
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
