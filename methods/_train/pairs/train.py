"""The bodies of preference training: a loss over pairs, with a frozen reference or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.core.datasets import read_preferences
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import response_logprobs
from methods._train.fine_tuning import FineTuning
from methods._train.loop.loop import LossSum
from methods._train.loop.tune import Example, loaded, train, training_of, write_diagnostics
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import pair_examples, read_pairs


def train_on_pairs(
    stage: FineTuning,
    io: StageIO,
    reference: ReferenceLogprobs,
    loss: Callable[[PairLogprobs, PairLogprobs], Tensor],
) -> None:
    """Train ``stage.init`` by ``loss(policy, reference)``, shape (pairs,), averaged over the pairs of a batch."""
    rows = read_preferences(stage.data, io)
    policy = loaded(stage, io)
    examples, lengths = pair_examples(policy, rows, stage.max_length)
    frozen = read_pairs(reference, io, len(rows), examples, policy.device)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        found = pair_logprobs(policy, batch)
        against = frozen.at(torch.tensor([example.row for example in batch], device=policy.device))
        return LossSum(loss(found, against).sum(), len(batch), with_reference(found, against))

    train(stage, io, policy, training_of(policy, examples, loss_of))
    write_diagnostics(io, [lengths])


def train_on_pairs_alone(stage: FineTuning, io: StageIO, loss: Callable[[PairLogprobs], Tensor]) -> None:
    """Train ``stage.init`` by ``loss(policy)``, shape (pairs,), averaged over the pairs of a batch."""
    rows = read_preferences(stage.data, io)
    policy = loaded(stage, io)
    examples, lengths = pair_examples(policy, rows, stage.max_length)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        found = pair_logprobs(policy, batch)
        return LossSum(loss(found).sum(), len(batch), without_reference(found))

    train(stage, io, policy, training_of(policy, examples, loss_of))
    write_diagnostics(io, [lengths])


def pair_logprobs(policy: HFPolicy, batch: Sequence[Example]) -> PairLogprobs:
    """Return the policy's log-probabilities of the pairs of a batch, chosen and rejected in one forward pass."""
    found = response_logprobs(policy.model, [example.group for example in batch], pad_id=policy.pad_id)
    sums, tokens = found.sum().view(-1, 2), found.mask.sum(-1).view(-1, 2)
    return PairLogprobs(sums[:, 0], sums[:, 1], tokens[:, 0], tokens[:, 1])


def without_reference(policy: PairLogprobs) -> dict[str, Tensor]:
    """Return the diagnostics of a batch, summed over its pairs.

    ``chosen_logprob`` and ``rejected_logprob`` in nats (when both fall, probability leaves both responses), and
    ``prefers_chosen``, how often the chosen response is the more probable one.
    """
    chosen, rejected = policy.chosen.detach(), policy.rejected.detach()
    return {
        "chosen_logprob": chosen.sum(),
        "rejected_logprob": rejected.sum(),
        "prefers_chosen": (chosen > rejected).float().sum(),
    }


def with_reference(policy: PairLogprobs, reference: PairLogprobs) -> dict[str, Tensor]:
    """Return the diagnostics of a batch, summed over its pairs.

    Besides those of ``without_reference``: ``chosen_ratio`` and ``rejected_ratio``, log pi/pi_ref in nats (times beta
    they are DPO's implicit rewards), and ``accuracy``, how often the first exceeds the second strictly (0 at the
    start, where both are 0).
    """
    chosen = policy.chosen.detach() - reference.chosen
    rejected = policy.rejected.detach() - reference.rejected
    return {
        **without_reference(policy),
        "chosen_ratio": chosen.sum(),
        "rejected_ratio": rejected.sum(),
        "accuracy": (chosen > rejected).float().sum(),
    }
