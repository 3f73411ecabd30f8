"""The reward that a policy implies: how much likelier it finds a response than the policy that it started from.

Rafailov et al. 2023, arXiv:2305.18290, section 4: a policy pi trained by DPO from a reference is best for the reward

    r(x, y) = beta (log pi(y|x) - log pi_ref(y|x))      up to what depends on x alone
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.datasets import Reply
from bench.core.policy import Chat, PolicySpec
from bench.core.stage import StageIO
from bench.models.kept import kept_policy
from bench.models.local import LocalPolicy, NoRoom, charge_reading, prompts_of, scored, too_long
from bench.models.packing.layout import Group
from bench.models.tokenizer import reply_ids


def implied_rewards(
    policy: PolicySpec, reference: PolicySpec, beta: float, asked: Sequence[tuple[Chat, Reply]], io: StageIO
) -> list[float | NoRoom]:
    """Return the reward of each response to its chat, in order; why, where one of the policies cannot read it.

    Each policy reads with its own tokenizer and template, so that what is compared is the same text. The end token of
    a response that ended is part of it. Each of both is loaded once for a stage.
    """
    both = [_logprobs(kept_policy(spec, io), asked, io) for spec in (policy, reference)]
    return [
        own if isinstance(own, NoRoom) else other if isinstance(other, NoRoom) else beta * (own - other)
        for own, other in zip(*both, strict=True)
    ]


def _logprobs(policy: LocalPolicy, asked: Sequence[tuple[Chat, Reply]], io: StageIO) -> list[float | NoRoom]:
    found: dict[int, float | NoRoom] = {}
    rows = {}
    for number, (chat, reply) in enumerate(asked):
        ids = reply_ids(policy, reply) or reply_ids(policy, Reply(reply.text))
        row = tuple(Group(prompt, [ids]) for prompt in prompts_of(policy, chat))
        why = too_long(policy, row)
        if why is None:
            rows[number] = row
        else:
            found[number] = why
    charge_reading(policy, [[group.shared_length() for group in row] for row in rows.values()], io)
    for number, (one,) in zip(rows, scored(policy, list(rows.values())), strict=True):
        found[number] = one.logprob
    return [found[number] for number in range(len(asked))]
