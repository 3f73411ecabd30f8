"""The body of KTO: pairs taken apart, and a batch's estimate of the divergence from the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bench.core.lengths import told
from bench.core.stage import StageIO
from bench.models.likelihood.logprobs import response_logprobs
from bench.models.tokenised.token_rows import preference_rows
from methods._train.fine_tuning import FineTuning
from methods._train.loop import ranks
from methods._train.loop.loop import LossSum, write_diagnostics
from methods._train.loop.tune import Example, loaded, train, training_of
from methods._train.pairs.labels import expected_loss, labels_of, refuse_margins
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import mismatched_examples, pair_examples, read_mismatched, read_pairs
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
    others, place_of = mismatched_examples(policy, rows, stage.max_length)
    frozen = read_pairs(reference, io, len(rows), examples, policy.device)
    frozen_others = read_mismatched(mismatched, io, len(rows), policy.device)
    labels = labels_of(rows, policy.device)
    z = torch.zeros((), device=policy.device)

    def estimate(passes: Sequence[Sequence[Example]]) -> None:
        total = torch.zeros((), device=policy.device)
        for batch in passes:
            numbers = [example.row for example in batch]
            found = response_logprobs(
                policy.model, [others[place_of[number]].group for number in numbers], pad_id=policy.pad_id
            ).sum()
            total += (found - frozen_others[numbers]).sum()
        count = sum(ranks.gathered(sum(len(batch) for batch in passes)))
        z.copy_((ranks.summed(total) / count).clamp_min(0))

    def loss_of(batch: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in batch]
        found, own = pair_logprobs(policy, batch), labels.at(numbers)
        against = frozen.at(torch.tensor(numbers, device=policy.device))
        metrics = {**with_reference(found, against, own), "divergence": z * len(batch)}
        losses = expected_loss(lambda one, other, _margin: loss(one, other, z), found, against, own)
        return LossSum(losses.sum(), len(batch), metrics)

    training = training_of(policy, examples, loss_of)
    lengths_of_others = others.tokens()
    read = [lengths_of_others[place_of[row]] for row in examples.rows()]
    train(stage, io, policy, replace(training, before_step=estimate, read=read))
    write_diagnostics(told([lengths]), io)
