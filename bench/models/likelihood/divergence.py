"""Log-ratios of two policies on given responses."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from bench.core.errors import StageError
from bench.core.policy import Chat, PolicySpec
from bench.core.stage import StageIO
from bench.models.decoding.sampling import batches
from bench.models.load import load_policy
from bench.models.local import SCORED_TOKENS_AT_ONCE, Groups, LocalPolicy, NoRoom, charge_reading, no_room, prompts_of
from bench.models.packing.layout import Group


class OtherTokens(StageError):
    """Two policies have different tokenizers."""


def divergences(
    spec: PolicySpec, reference: PolicySpec, written: Sequence[tuple[Chat, Sequence[int]]], io: StageIO
) -> list[tuple[float, float] | NoRoom]:
    """Return (k1, k3) in nats for each chat and the ids that the policy wrote.

    They are the estimates that ``bench.evaluation.measurements.divergence`` describes. Both policies are in memory at
    once, and see the same ids behind the chat as each reads it. A response that the reference cannot read behind its
    prompt has the reason instead. Raises OtherTokens when their tokenizers differ.
    """
    policy = load_policy(spec, io)
    other = policy if reference == spec else load_policy(reference, io)
    _check_tokenizers(policy, other)
    rows = [(_groups(policy, chat, ids), _groups(other, chat, ids)) for chat, ids in written]
    unread = [no_room(other, [group.shared_length() for group in theirs]) for _, theirs in rows]
    read = [number for number, why in enumerate(unread) if why is None]
    found: dict[int, tuple[float, float] | NoRoom] = {n: why for n, why in enumerate(unread) if why is not None}
    lengths = [max(map(_length, rows[number])) for number in read]
    for places in batches(lengths, tokens_at_once=SCORED_TOKENS_AT_ONCE):
        numbers = [read[place] for place in places]
        own = _logprobs(policy, [rows[number][0] for number in numbers], io)
        theirs = _logprobs(other, [rows[number][1] for number in numbers], io)
        for number, k1, k3 in zip(numbers, *estimates(own, theirs), strict=True):
            found[number] = (k1, k3)
        io.progress(len(found), len(rows), "response")
    return [found[number] for number in range(len(rows))]


def estimates(own: Tensor, reference: Tensor) -> tuple[list[float], list[float]]:
    """Return k1 and k3 of each row from token log-probabilities, (rows, tokens) float64, 0 where there is no token."""
    ratio = reference - own
    return (-ratio).sum(-1).tolist(), (ratio.expm1() - ratio).sum(-1).tolist()


def _groups(policy: LocalPolicy, chat: Chat, ids: Sequence[int]) -> Groups:
    return tuple(Group(prompt, [list(ids)]) for prompt in prompts_of(policy, chat))


def _length(row: Groups) -> int:
    return sum(group.shared_length() for group in row)


def _logprobs(policy: LocalPolicy, rows: Sequence[Groups], io: StageIO) -> Tensor:
    charge_reading(policy, [[group.shared_length() for group in row] for row in rows], io)
    return policy.token_logprobs(rows).values.double()


def _check_tokenizers(policy: LocalPolicy, other: LocalPolicy) -> None:
    if policy.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise OtherTokens(
            "the divergence of two policies needs one tokenizer, and these have different ones: their tokens are not "
            "the same events. Name an arm of the same model family under `divergence: {from: ...}`, or leave it away."
        )
