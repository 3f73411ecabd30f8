"""How probable a policy finds each of a few whole answers to a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.policy import Chat
from bench.core.stage import StageIO
from bench.models.chat import response_ids
from bench.models.local import LocalPolicy, charge_reading, check_length, prompts_of, scored
from bench.models.packing.layout import Group

# Prompts between two notes of progress; changes no result.
ASKED_AT_ONCE = 256


def choice_logprobs(
    policy: LocalPolicy, asked: Sequence[tuple[str, Chat, Sequence[str]]], io: StageIO
) -> list[list[float]]:
    """Return the log-probability, in nats, of each answer to each chat, its end token included.

    ``asked``: a name for error messages, the chat, and the answers. Raises StageError for an answer that does not fit
    into the context of a part.
    """
    found: list[list[float]] = []
    for start in range(0, len(asked), ASKED_AT_ONCE):
        rows = []
        for name, chat, answers in asked[start : start + ASKED_AT_ONCE]:
            ids = [response_ids(policy.tokenizer, answer) for answer in answers]
            row = tuple(Group(prompt, ids) for prompt in prompts_of(policy, chat))
            check_length(policy, row, name)
            rows.append(row)
        charge_reading(policy, [[group.shared_length() for group in row] for row in rows], io)
        found += [[one.logprob for one in likelihoods] for likelihoods in scored(policy, rows)]
        io.progress(len(found), len(asked), "prompt")
    return found
