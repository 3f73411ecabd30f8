"""The bodies of KTO: pairs taken apart or labelled responses, and a batch's estimate of the divergence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bench.core.lengths import told
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import response_logprobs
from bench.models.tokenised.token_rows import TokenRows, preference_rows
from methods._train.fine_tuning import FineTuning
from methods._train.loop import ranks
from methods._train.loop.loop import LossSum, write_diagnostics
from methods._train.loop.tune import Example, Examples, examples_of, loaded, train, training_of
from methods._train.pairs.labels import expected_loss, labels_of, refuse_margins
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import (
    mismatched_examples,
    pair_examples,
    read_mismatched,
    read_pairs,
    read_single,
)
from methods._train.pairs.train import pair_logprobs, with_reference


def train_unpaired(
    stage: FineTuning,
    io: StageIO,
    reference: ReferenceLogprobs,
    mismatched: ReferenceLogprobs,
    loss: Callable[[PairLogprobs, PairLogprobs, Tensor], Tensor],
) -> None:
    """Train ``stage.init`` by ``loss(policy, reference, z)``, shape (pairs,), averaged over the pairs of a batch.

    z, shape (), is the mean log-ratio of the mismatched responses over the whole optimiser batch, at least 0. Soft
    labels and margins are as for ``train_on_pairs``.
    """
    policy = loaded(stage, io)
    rows = preference_rows(stage.data, policy, io)
    refuse_margins(rows.margin, stage.label())
    examples, lengths = pair_examples(policy, rows, stage.max_length)
    frozen = read_pairs(reference, io, len(rows), examples, policy.device)
    labels = labels_of(rows, policy.device)
    z = _Divergence(policy, rows, mismatched, stage.max_length, io)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in batch]
        found, own = pair_logprobs(policy, batch), labels.at(numbers)
        against = frozen.at(torch.tensor(numbers, device=policy.device))
        metrics = {**with_reference(found, against, own), "divergence": z.value * len(batch)}
        losses = expected_loss(lambda one, other, _margin: loss(one, other, z.value), found, against, own)
        return LossSum(losses.sum(), len(batch), metrics)

    training = training_of(policy, examples, loss_of)
    train(stage, io, policy, replace(training, before_step=z.estimate, read=z.tokens(examples)))
    write_diagnostics(told([lengths]), io)


def train_labelled(
    stage: FineTuning,
    io: StageIO,
    reference: ReferenceLogprobs,
    mismatched: ReferenceLogprobs,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> None:
    """Train ``stage.init`` by ``loss(ratio, good, z)``, shape (rows,), averaged over the responses of a batch.

    ``ratio``: log pi / pi_ref of each response, in nats; ``good``: whether it is a good one; z as for
    ``train_unpaired``. How many are good and bad stands in the diagnostics.
    """
    policy = loaded(stage, io)
    rows = preference_rows(stage.data, policy, io)
    examples, lengths = examples_of(policy, "preferences", rows, stage.max_length)
    frozen = read_single(reference, io, len(rows), policy.device)
    good = torch.tensor(rows.good.tolist(), device=policy.device)
    z = _Divergence(policy, rows, mismatched, stage.max_length, io)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in batch]
        groups = [example.group for example in batch]
        ratio = response_logprobs(policy.model, groups, pad_id=policy.pad_id).sum() - frozen[numbers]
        right = (ratio.detach() > z.value) == good[numbers]
        metrics = {"accuracy": right.float().sum(), "divergence": z.value * len(batch)}
        return LossSum(loss(ratio, good[numbers], z.value).sum(), len(batch), metrics)

    training = training_of(policy, examples, loss_of)
    train(stage, io, policy, replace(training, before_step=z.estimate, read=z.tokens(examples)))
    kept = rows.good[examples.rows()].tolist()
    write_diagnostics({**told([lengths]), "labels": {"good": sum(kept), "bad": len(kept) - sum(kept)}}, io)


class _Divergence:
    """The mean log-ratio of mismatched responses over an optimiser batch, at least 0, as ``value``, shape ()."""

    def __init__(
        self,
        policy: HFPolicy,
        rows: TokenRows,
        mismatched: ReferenceLogprobs,
        max_length: int,
        io: StageIO,
    ) -> None:
        self.value = torch.zeros((), device=policy.device)
        self._policy = policy
        self._others, self._place_of = mismatched_examples(policy, rows, max_length)
        self._frozen = read_mismatched(mismatched, io, len(rows), policy.device)

    def tokens(self, examples: Examples) -> list[int]:
        """Return how many tokens are read of each example besides its own."""
        lengths = self._others.tokens()
        return [lengths[self._place_of[row]] for row in examples.rows()]

    def estimate(self, passes: Sequence[Sequence[Example]]) -> None:
        """Compute the value for the forward passes of an optimiser batch."""
        policy = self._policy
        total = torch.zeros((), device=policy.device)
        for batch in passes:
            numbers = [example.row for example in batch]
            groups = [self._others[self._place_of[number]].group for number in numbers]
            found = response_logprobs(policy.model, groups, pad_id=policy.pad_id).sum()
            total += (found - self._frozen[numbers]).sum()
        count = sum(ranks.gathered(sum(len(batch) for batch in passes)))
        self.value.copy_((ranks.summed(total) / count).clamp_min(0))
