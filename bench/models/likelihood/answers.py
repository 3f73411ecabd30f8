"""How probable a policy finds each of a few answers, such as the labels that a labeller may give.

Three things would go wrong with the logits of "the next token". An answer can be several tokens, or one token with or
without the space before it, so complete answers are scored and their spellings added up. The tokens of an answer
depend on what stands before it, so prompt and answer are tokenised as one text. And an answer can be the beginning of
another ("1" of "10"), so the probability of the longer one is taken off the shorter one's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.errors import StageError
from bench.core.policy import Chat, as_read
from bench.core.stage import StageIO
from bench.models.chat import ids_of_openings
from bench.models.hf import check_causal
from bench.models.local import LocalPolicy, NoRoom, PolicyPart, charge_reading, prompts_of, scored, too_long
from bench.models.packing.layout import Group

# Questions between two notes of progress; changes no result.
ASKED_AT_ONCE = 512
# Prompts between two notes of progress; changes no result.
CHOICES_AT_ONCE = 256


@dataclass(frozen=True)
class OpenedQuestion:
    """A chat and how its response begins (possibly not at all). ``name`` is what error messages call it."""

    name: str
    chat: Chat
    opening: str = ""


@dataclass(frozen=True)
class _Spelled:
    """A question as ids: what all answers follow, and each answer's spellings behind it."""

    prompt: list[int]
    answers: list[list[list[int]]]

    def group(self) -> Group:
        return Group(self.prompt, [ids for spellings in self.answers for ids in spellings])


def answer_logprobs(
    policy: LocalPolicy, questions: Sequence[OpenedQuestion], answers: Sequence[str], io: StageIO
) -> list[list[float] | NoRoom]:
    """Return the log-probability, in nats, that the policy goes on with each answer and with no longer one.

    The spellings of an answer, with and without a space before it, are added up. The probabilities of the answers are
    disjoint, so they sum to at most 1. A question that a model cannot read has the reason instead. Raises StageError
    for an answer that the tokenizer cannot write, and for two answers that it writes alike, and for an encoder-decoder.
    """
    check_causal(policy, "a labeller")
    found: list[list[float] | NoRoom] = []
    for start in range(0, len(questions), ASKED_AT_ONCE):
        asked = [_asked(policy, question, answers) for question in questions[start : start + ASKED_AT_ONCE]]
        rows = [tuple(one.group() for one in parts) for parts in asked]
        unread = [too_long(policy, row) for row in rows]
        read = [row for row, why in zip(rows, unread, strict=True) if why is None]
        charge_reading(policy, [[group.shared_length() for group in row] for row in read], io)
        likelihoods = iter(scored(policy, read))
        for parts, why in zip(asked, unread, strict=True):
            if why is not None:
                found.append(why)
                continue
            found.append(disjoint_logprobs(parts[0].answers, [one.logprob for one in next(likelihoods)]))
        io.progress(len(found), len(questions), "question")
    return found


def disjoint_logprobs(answers: Sequence[Sequence[Sequence[int]]], logprobs: Sequence[float]) -> list[float]:
    """Return the log-probability of each answer from those of its spellings, flat and in order.

    Of a spelling's probability, that of the spellings of other answers which it begins is taken off.
    """
    spellings = [(number, tuple(ids)) for number, spelled in enumerate(answers) for ids in spelled]
    known = dict(zip(spellings, logprobs, strict=True))
    totals: list[list[float]] = [[] for _ in answers]
    for (number, ids), logprob in known.items():
        longer = {other for which, other in known if which != number and _begins(ids, other)}
        nearest = [one for one in longer if not any(_begins(other, one) for other in longer)]
        taken = sum(math.exp(known[which, other] - logprob) for which, other in known if other in nearest)
        totals[number].append(logprob + math.log1p(-taken) if taken < 1 else -math.inf)
    return [_log_sum(parts) for parts in totals]


def probabilities(logprobs: Sequence[float]) -> list[float]:
    """Return the softmax: the probability of each answer, given that it is one of them."""
    most = max(logprobs)
    weights = [math.exp(logprob - most) for logprob in logprobs]
    return [weight / sum(weights) for weight in weights]


def _asked(policy: LocalPolicy, question: OpenedQuestion, answers: Sequence[str]) -> tuple[_Spelled, ...]:
    """Return a question as each part of a policy reads it; all must write the answers with the same tokens."""
    parts = tuple(_spelled(part, question, answers) for part in policy.parts)
    if any(one.answers != parts[0].answers for one in parts):
        raise StageError(
            f"{question.name}: the models of the labeller write the answers with different tokens, because what stands "
            "before them differs. Give all of them prompts that end alike."
        )
    return parts


def _spelled(policy: PolicyPart, question: OpenedQuestion, answers: Sequence[str]) -> _Spelled:
    # All at once: for a small labeller the calls of the tokenizer took more time than the model.
    texts = [list(dict.fromkeys([answer, f" {answer.lstrip()}"])) for answer in answers]
    openings = [question.opening, *(question.opening + text for listed in texts for text in listed)]
    chat = as_read(policy.spec, question.chat)
    base, *rest = ids_of_openings(policy.tokenizer, chat, policy.template, openings)
    spelled = iter(rest)
    written = [
        _spellings(policy, question, answer, base, [next(spelled) for _ in listed])
        for answer, listed in zip(answers, texts, strict=True)
    ]
    every = [ids for spellings in written for ids in spellings]
    if len({tuple(ids) for ids in every}) < len(every):
        raise StageError(
            f"{question.name}: the labeller's tokenizer writes two of the answers {', '.join(map(repr, answers))} "
            "alike, so it cannot choose between them. Choose answers that it tells apart."
        )
    # Tokens can merge across the end of the prompt; then the answers begin before it.
    shared = min(_common(base, ids) for ids in every)
    shared = min(shared, *(len(ids) - 1 for ids in every))
    return _Spelled(base[:shared], [[ids[shared:] for ids in spellings] for spellings in written])


def _spellings(
    policy: PolicyPart, question: OpenedQuestion, answer: str, base: Sequence[int], written: Sequence[list[int]]
) -> list[list[int]]:
    """Return the whole ids behind which the answer stands, of those ``written``, each once and known throughout."""
    unknown = policy.tokenizer.unk_token_id
    found: list[list[int]] = []
    for ids in written:
        behind = ids[_common(base, ids) :]
        if behind and len(ids) >= len(base) and unknown not in behind and ids not in found:
            found.append(ids)
    if not found:
        raise StageError(
            f"{question.name}: the labeller's tokenizer cannot write the answer {answer!r}. "
            "Choose prompts whose answers it knows."
        )
    return found


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many ids at the beginning of both are the same."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _begins(short: Sequence[int], long: Sequence[int]) -> bool:
    return len(short) < len(long) and tuple(long[: len(short)]) == tuple(short)


def _log_sum(logprobs: Sequence[float]) -> float:
    most = max(logprobs)
    return most if most == -math.inf else most + math.log(sum(math.exp(one - most) for one in logprobs))


def choice_logprobs(
    policy: LocalPolicy, asked: Sequence[tuple[Chat, Sequence[str]]], io: StageIO
) -> list[list[float] | NoRoom]:
    """Return the log-probability, in nats, of each answer to each chat, its end token included.

    A chat with an answer that a model cannot read has the reason instead.
    """
    found: list[list[float] | NoRoom] = []
    for start in range(0, len(asked), CHOICES_AT_ONCE):
        rows = []
        for chat, answers in asked[start : start + CHOICES_AT_ONCE]:
            ids = [policy.response(answer) for answer in answers]
            rows.append(tuple(Group(prompt, ids) for prompt in prompts_of(policy, chat)))
        unread = [too_long(policy, row) for row in rows]
        read = [row for row, why in zip(rows, unread, strict=True) if why is None]
        charge_reading(policy, [[group.shared_length() for group in row] for row in read], io)
        likelihoods = iter(scored(policy, read))
        found += [[one.logprob for one in next(likelihoods)] if why is None else why for why in unread]
        io.progress(len(found), len(asked), "prompt")
    return found
