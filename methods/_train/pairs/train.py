"""The bodies of preference training: a loss over pairs, with a frozen reference or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.core.lengths import told
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import response_logprobs
from bench.models.tokenised.token_rows import TokenRows, preference_rows
from methods._train.fine_tuning import FineTuning
from methods._train.loop.loop import LossSum, write_diagnostics
from methods._train.loop.tune import Example, loaded, train, training_of
from methods._train.pairs.labels import PairLabels, expected_loss, labels_of, refuse_margins
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import pair_examples, read_pairs


def train_on_pairs(
    stage: FineTuning,
    io: StageIO,
    reference: ReferenceLogprobs,
    loss: Callable[[PairLogprobs, PairLogprobs], Tensor],
) -> None:
    """Train ``stage.init`` by ``loss(policy, reference)``, shape (pairs,), averaged over the pairs of a batch.

    The loss is that of pairs whose chosen response is the better one; soft labels are expectations of it
    (``methods._train.pairs.labels``). Raises StageError for data with margins.
    """
    policy, rows = _read(stage, io)
    refuse_margins(rows.margin, stage.label())
    _train_on_rows(stage, io, reference, (policy, rows), lambda ours, frozen, _margin: loss(ours, frozen))


def train_on_pairs_with_margins(
    stage: FineTuning,
    io: StageIO,
    reference: ReferenceLogprobs,
    loss: Callable[[PairLogprobs, PairLogprobs, Tensor], Tensor],
) -> None:
    """Train as ``train_on_pairs`` does, by ``loss(policy, reference, margin)``.

    The margin, (pairs,), is by how much the chosen response is labelled better, 0 without a label of it.
    """
    _train_on_rows(stage, io, reference, _read(stage, io), loss)


def _read(stage: FineTuning, io: StageIO) -> tuple[HFPolicy, TokenRows]:
    """Return the policy to train, and the pairs as it reads them."""
    policy = loaded(stage, io)
    return policy, preference_rows(stage.data, policy, io)


def _train_on_rows(
    stage: FineTuning,
    io: StageIO,
    reference: ReferenceLogprobs,
    read: tuple[HFPolicy, TokenRows],
    loss: Callable[[PairLogprobs, PairLogprobs, Tensor], Tensor],
) -> None:
    policy, rows = read
    examples, lengths = pair_examples(policy, rows, stage.max_length)
    frozen = read_pairs(reference, io, len(rows), examples, policy.device)
    labels = labels_of(rows, policy.device)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in batch]
        found, own = pair_logprobs(policy, batch), labels.at(numbers)
        against = frozen.at(torch.tensor(numbers, device=policy.device))
        losses = expected_loss(loss, found, against, own)
        return LossSum(losses.sum(), len(batch), with_reference(found, against, own))

    train(stage, io, policy, training_of(policy, examples, loss_of))
    write_diagnostics(told([lengths]), io)


def train_on_pairs_alone(stage: FineTuning, io: StageIO, loss: Callable[[PairLogprobs], Tensor]) -> None:
    """Train ``stage.init`` by ``loss(policy)``, shape (pairs,), averaged over the pairs of a batch.

    Soft labels and margins are as for ``train_on_pairs``.
    """
    policy, rows = _read(stage, io)
    refuse_margins(rows.margin, stage.label())
    examples, lengths = pair_examples(policy, rows, stage.max_length)
    labels = labels_of(rows, policy.device)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        found, own = pair_logprobs(policy, batch), labels.at([example.row for example in batch])
        losses = expected_loss(lambda one, _same, _margin: loss(one), found, found, own)
        return LossSum(losses.sum(), len(batch), without_reference(found))

    train(stage, io, policy, training_of(policy, examples, loss_of))
    write_diagnostics(told([lengths]), io)


def pair_logprobs(policy: HFPolicy, batch: Sequence[Example]) -> PairLogprobs:
    """Return the policy's log-probabilities of the pairs of a batch, chosen and rejected in one forward pass."""
    found = response_logprobs(policy.model, [example.group for example in batch], pad_id=policy.pad_id)
    sums, tokens = found.sum().view(-1, 2), found.mask.sum(-1).view(-1, 2)
    return PairLogprobs(sums[:, 0], sums[:, 1], tokens[:, 0], tokens[:, 1])


def without_reference(policy: PairLogprobs) -> dict[str, Tensor]:
    """Return the diagnostics of a batch, summed over its pairs.

    ``chosen_logprob`` and ``rejected_logprob`` in nats (when both fall, probability leaves both responses), and
    ``prefers_chosen``, how often the response called chosen is the more probable one, whatever its label says.
    """
    chosen, rejected = policy.chosen.detach(), policy.rejected.detach()
    return {
        "chosen_logprob": chosen.sum(),
        "rejected_logprob": rejected.sum(),
        "prefers_chosen": (chosen > rejected).float().sum(),
    }


def with_reference(policy: PairLogprobs, reference: PairLogprobs, labels: PairLabels) -> dict[str, Tensor]:
    """Return the diagnostics of a batch, summed over its pairs.

    Besides those of ``without_reference``: ``chosen_ratio`` and ``rejected_ratio``, log pi/pi_ref in nats (times beta
    they are DPO's implicit rewards), and ``accuracy``, how often the ratio of the response that the label prefers
    exceeds the other's strictly (0 at the start, where both are 0; a label of one half counts one half).
    """
    chosen = policy.chosen.detach() - reference.chosen
    rejected = policy.rejected.detach() - reference.rejected
    return {
        **without_reference(policy),
        "chosen_ratio": chosen.sum(),
        "rejected_ratio": rejected.sum(),
        "accuracy": labels.right(chosen - rejected).sum(),
    }
