"""How a proxied policy's distribution differs from its base's, token by token, where the proxied policy wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.policy import Chat, Instructed, PolicySpec, Proxy
from bench.core.stage import StageIO
from bench.models.decoding.sampling import batches
from bench.models.load import load_models
from bench.models.local import SCORED_TOKENS_AT_ONCE, charge_reading
from bench.models.packing.layout import Group
from bench.models.proxy import Term, Tokens, combined, shared_vocabulary, terms_of


@dataclass(frozen=True)
class Shifts:
    """Sums over the positions of responses; each tensor has one number per token of the vocabulary, float64.

    ``written``: how often a token was written. ``logprob`` and ``probability``: the sums, over the positions where it
    was written, of the change of its log-probability (nats) and of its probability. ``expected``: the sum, over all
    positions, of the change of its probability. ``positions``: how many there are; at ``other_choice`` of them the most
    probable token is another one.
    """

    texts: list[str]
    written: Tensor
    logprob: Tensor
    probability: Tensor
    expected: Tensor
    positions: int
    other_choice: int


def unsteered(spec: PolicySpec) -> PolicySpec:
    """Return the base of a proxied policy, with the instructions that the whole policy reads."""
    if isinstance(spec, Instructed):
        return spec.model_copy(update={"base": unsteered(spec.base)})
    return spec.base if isinstance(spec, Proxy) else spec


@torch.inference_mode()
def shifts(spec: PolicySpec, written: Sequence[tuple[Chat, Sequence[int]]], io: StageIO) -> Shifts:
    """Return what changes from the base to the proxied policy ``spec`` on responses of ids to chats."""
    terms, before = _both(spec)
    models = load_models([term.spec for term in terms], io)
    vocabulary = shared_vocabulary(models, [term.place for term in terms])
    factors = [term.factor for term in terms]
    rows = [tuple(Group(model.prompt(chat), [list(ids)]) for model in models) for chat, ids in written]
    lengths = [[group.shared_length() for group in row] for row in rows]
    sums = torch.zeros(4, vocabulary, dtype=torch.float64)
    positions = other = done = 0
    for numbers in batches([sum(row) for row in lengths], tokens_at_once=SCORED_TOKENS_AT_ONCE):
        for model, read in zip(models, zip(*(lengths[number] for number in numbers), strict=True), strict=True):
            charge_reading(model, [[one] for one in read], io)
        for logits, targets in Tokens.read(models, [rows[number] for number in numbers], vocabulary).chunks():
            after, base = combined(logits, factors).log_softmax(-1), combined(logits, before).log_softmax(-1)
            change = after.exp() - base.exp()
            place = targets[:, None]
            at = torch.stack(
                [torch.ones_like(targets, dtype=after.dtype), (after - base).gather(-1, place)[:, 0],
                 change.gather(-1, place)[:, 0]]
            )  # fmt: skip
            sums[:3].index_add_(1, targets.cpu(), at.double().cpu())
            sums[3] += change.double().sum(0).cpu()
            positions += len(targets)
            other += int((after.argmax(-1) != base.argmax(-1)).sum())
        done += len(numbers)
        io.progress(done, len(rows), "response")
    tokenizer = models[0].tokenizer
    texts = [str(tokenizer.decode([number])) for number in range(vocabulary)]
    return Shifts(texts, sums[0], sums[1], sums[2], sums[3], positions, other)


def _both(spec: PolicySpec) -> tuple[list[Term], list[float]]:
    """Return the models of a proxied policy and of its base with their factors in the first, and in the second."""
    terms, base = terms_of(spec), terms_of(unsteered(spec))
    missing = [term for term in base if all(term.spec != known.spec for known in terms)]
    every = [*terms, *(Term(term.spec, 0.0, f"base {term.place}") for term in missing)]
    factors = [next((one.factor for one in base if one.spec == term.spec), 0.0) for term in every]
    return every, factors
