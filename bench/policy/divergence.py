"""Log-ratios of two policies on given responses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.core.errors import StageError
from bench.core.policy import Chat, PolicySpec
from bench.core.stage import StageIO
from bench.policy.decode import batches
from bench.policy.hf import READ_FLOPS, SCORED_TOKENS_AT_ONCE, HFPolicy
from bench.policy.load import load_policy
from bench.policy.logprobs import Group, response_logprobs


def divergences(
    spec: PolicySpec, reference: PolicySpec, written: Sequence[tuple[Chat, Sequence[int]]], io: StageIO
) -> list[tuple[float, float]]:
    """Return (k1, k3) in nats for each chat and the ids that the policy wrote; see ``bench.evaluator.divergence``.

    Both policies are in memory at once, and see the same ids behind the chat as each reads it. Raises StageError when
    their tokenizers differ, and for a response that does not fit into the reference's context.
    """
    policy = load_policy(spec, io)
    other = policy if reference == spec else load_policy(reference, io)
    _check_tokenizers(policy, other)
    groups = [
        (Group(policy.prompt(chat), [list(ids)]), Group(other.prompt(chat), [list(ids)])) for chat, ids in written
    ]
    lengths = [max(own.shared_length(), theirs.shared_length()) for own, theirs in groups]
    _check_lengths(other, lengths)
    found: dict[int, tuple[float, float]] = {}
    for numbers in batches(lengths, tokens_at_once=SCORED_TOKENS_AT_ONCE):
        own = _logprobs(policy, [groups[number][0] for number in numbers], io)
        theirs = _logprobs(other, [groups[number][1] for number in numbers], io)
        for number, k1, k3 in zip(numbers, *estimates(own, theirs), strict=True):
            found[number] = (k1, k3)
        io.progress(len(found), len(groups), "response")
    return [found[number] for number in range(len(groups))]


def estimates(own: Tensor, reference: Tensor) -> tuple[list[float], list[float]]:
    """Return k1 and k3 of each row from token log-probabilities, (rows, tokens) float64, 0 where there is no token."""
    ratio = reference - own
    return (-ratio).sum(-1).tolist(), (ratio.expm1() - ratio).sum(-1).tolist()


@torch.inference_mode()
def _logprobs(policy: HFPolicy, groups: Sequence[Group], io: StageIO) -> Tensor:
    read = sum(group.shared_length() for group in groups)
    io.meter.read_tokens += read
    io.meter.flops += READ_FLOPS * policy.parameters * read
    return response_logprobs(policy.model, groups, pad_id=policy.pad_id).values.double()


def _check_tokenizers(policy: HFPolicy, other: HFPolicy) -> None:
    if policy.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise StageError(
            "the divergence of two policies needs one tokenizer, and these have different ones: their tokens are not "
            "the same events. Name an arm of the same model family under `divergence: {from: ...}`, or leave it away."
        )


def _check_lengths(other: HFPolicy, lengths: Sequence[int]) -> None:
    for number, length in enumerate(lengths):
        if other.context is not None and length > other.context:
            raise StageError(
                f"response {number} has {length} tokens with its prompt, more than the context of {other.context} of "
                "the policy that the divergence is measured from. Lower the task's max_new_tokens."
            )
