"""The body of supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.lengths import told
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import response_logprobs
from bench.models.tokenised.token_rows import demonstration_rows
from methods._train.fine_tuning import FineTuning
from methods._train.loop.loop import LossSum, write_diagnostics
from methods._train.loop.tune import Example, examples_of, loaded, train, training_of


def train_sft(stage: FineTuning, io: StageIO) -> None:
    """Train ``stage.init`` on the demonstrations, and write the policy."""
    policy = loaded(stage, io)
    rows = demonstration_rows(stage.data, policy, io)
    examples, lengths = examples_of(policy, "demonstrations", rows, stage.max_length)
    train(stage, io, policy, training_of(policy, examples, lambda batch: sft_loss(policy, batch)))
    write_diagnostics(told([lengths]), io)


def sft_loss(policy: HFPolicy, batch: Sequence[Example]) -> LossSum:
    """Return -sum log pi(y_t | x, y_<t) over the response tokens of a batch, weighted by their number.

    The loop divides by the tokens of the whole optimiser batch, so a short response is not over-weighted by falling
    into a small forward pass.
    """
    values = response_logprobs(policy.model, [example.group for example in batch], pad_id=policy.pad_id).values
    tokens = sum(len(response) for example in batch for response in example.group.responses)
    return LossSum(total=-values.sum(), weight=tokens)
