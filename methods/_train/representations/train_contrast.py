"""The body of contrastive instruction tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.core.lengths import told
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group, over_chunks, response_logprobs, states_at_responses
from bench.models.packing.halves import halves_of
from methods._train.loop import ranks
from methods._train.loop.loop import LossSum, Training, write_diagnostics
from methods._train.loop.tune import loaded, train
from methods._train.pairs.contexts import Contexts, contexts, tokens_of, wordings_of
from methods._train.pairs.labels import order_of_labels, turned
from methods._train.representations.contrast_loss import ContrastFields, contrast_loss


@dataclass
class Batch:
    """What the losses need to know of a whole optimiser batch: its rows, their response tokens, its longest row."""

    rows: int = 0
    tokens: int = 0
    longest: int = 0


def train_contrast(stage: ContrastFields, io: StageIO) -> None:
    """Train ``stage.init`` to write chosen responses when asked for good ones, and rejected ones when asked for bad.

    Pairs are read in the order of their labels (``methods._train.pairs.labels.in_order``); where that changed any,
    ``diagnostics.json`` says how many.
    """
    policy = loaded(stage, io)
    rows = wordings_of(stage.data, policy, stage.wordings(), io)
    order = order_of_labels(rows.probability, rows.margin, stage.label())
    examples, lengths = contexts(policy, turned(rows, order), stage.max_length)
    batch = Batch()

    def look_at(passes: Sequence[Sequence[Contexts]]) -> None:
        own = [example for part in passes for example in part]
        responses = [response for example in own for response in example.groups[0].responses]
        found = ranks.gathered(
            (len(responses), sum(map(len, responses)), max((one.longest() for one in own), default=0))
        )
        batch.rows, batch.tokens = sum(part[0] for part in found), sum(part[1] for part in found)
        batch.longest = max(part[2] for part in found)

    training = Training(
        policy.model,
        examples,
        tokens=[sum(map(tokens_of, example.groups)) for example in examples],
        padded=[sum(group.shared_length() for group in example.groups) for example in examples],
        loss_of=lambda part: contrast_sum(stage, policy, part, batch),
        before_step=look_at,
    )
    train(stage, io, policy, training)
    write_diagnostics({**told([lengths]), **order.counts()}, io)


def contrast_sum(stage: ContrastFields, policy: HFPolicy, part: Sequence[Contexts], batch: Batch) -> LossSum:
    """Return the loss of a forward pass, summed over its rows (two per pair)."""
    groups = [group for example in part for group in example.groups]
    found = response_logprobs(policy.model, groups, pad_id=policy.pad_id)
    tokens = found.mask.sum(-1).view(-1, 2, 2)[:, 0]
    sums = found.sum().view(-1, 2, 2)  # pair, instruction (good, bad), response (chosen, rejected)
    compared = sums
    if stage.contrast_positions == "unshifted":
        compared = own_token_logprobs(policy, groups).view(-1, 2, 2)
    over = tokens if stage.contrast_mean == "response" else torch.full_like(tokens, batch.longest)
    matching, opposite = _diagonal(compared) / over, _diagonal(compared.flip(1)) / over
    contrast = contrast_loss(matching, opposite, stage.smoothing)
    per_token = tokens if stage.language_mean == "response" else batch.tokens / batch.rows
    language = -_diagonal(sums) / per_token
    return LossSum(
        (language + contrast).sum(),
        contrast.numel(),
        {
            "language": language.detach().sum(),
            "contrast": contrast.detach().sum(),
            "share": (matching - opposite).detach().sigmoid().sum(),
            "accuracy": (matching > opposite).float().sum(),
        },
    )


def own_token_logprobs(policy: HFPolicy, groups: Sequence[Group]) -> Tensor:
    """Return the sum over each response of log P of a token at the position where it stands. Shape: (rows,)."""
    halves = halves_of(policy.model)
    states = states_at_responses(policy.model, groups, pad_id=policy.pad_id)

    def logprobs(hidden: Tensor, targets: Tensor) -> Tensor:
        return -cross_entropy(halves.logits(hidden), targets, reduction="none")

    found = torch.cat(over_chunks(logprobs, states, halves.vocabulary))
    return torch.stack([row.sum() for row in found.split(states.mask.sum(-1).tolist())])


def _diagonal(sums: Tensor) -> Tensor:
    """Return chosen under the first instruction and rejected under the second. Shape: (pairs, 2)."""
    return sums.diagonal(dim1=1, dim2=2)
