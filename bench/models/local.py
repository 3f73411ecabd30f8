"""What every policy in memory can do, whether it is one model or several that write together.

A policy has ``parts``, the models that read each prompt with their own template and instructions and all write the same
tokens; a plain model is its own only part. A row is therefore a prompt per part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import PreTrainedTokenizerBase

from bench.core.errors import StageError
from bench.core.meter import READ_FLOPS
from bench.core.policy import Chat, Completion, Decoding, Policy, PolicySpec, ResponseLikelihood
from bench.core.stage import StageIO
from bench.models.decoding.sampling import Drawn, Steps, batches, check_prompts, draw_batch
from bench.models.lengths import longest_of
from bench.models.likelihood.logprobs import TokenLogprobs
from bench.models.packing.layout import Group
from bench.models.response_tokens import ResponseTokens

# Tokens of one scoring batch, padding included; chosen on a two-core machine, changes no result.
SCORED_TOKENS_AT_ONCE = 8_192

# One prompt as each part reads it, as ids.
Prompts = Sequence[Sequence[int]]
# One prompt with its responses as each part reads it; the responses are the same ids in all.
Groups = Sequence[Group]


class PolicyPart(Protocol):
    """One model of a policy: how it reads a prompt, and the longest text that it can read."""

    spec: PolicySpec
    tokenizer: PreTrainedTokenizerBase
    template: str
    parameters: int
    tokens: ResponseTokens

    @property
    def context(self) -> int | None:
        """The longest text in tokens, or None where nothing sets a limit."""
        ...

    @property
    def embeddings(self) -> int | None:
        """How many token ids, counted from 0, the model has an embedding for; None where that is not known."""
        ...

    def prompt(self, chat: Chat) -> list[int]:
        """Return the ids of a chat, ready for a response to follow."""
        ...


class LocalPolicy(Policy, Protocol):
    """A loaded policy. ``tokenizer`` is that of its responses; ``end_ids`` are the tokens that end one."""

    spec: PolicySpec
    tokenizer: PreTrainedTokenizerBase
    end_ids: frozenset[int]

    @property
    def parts(self) -> tuple[PolicyPart, ...]:
        """The models that read every prompt."""
        ...

    @property
    def context(self) -> int | None:
        """The longest text in tokens that every part can read, or None where none sets a limit."""
        ...

    def response(self, text: str) -> list[int]:
        """Return the ids of a response to any prompt, with the token that ends a turn."""
        ...

    def cut_response(self, text: str) -> list[int]:
        """Return the ids of a response that was cut off: neither its end nor what stands before that follows."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of a response's ids; special tokens before its end are spelt out."""
        ...

    def holds_special(self, ids: Sequence[int]) -> bool:
        """Return whether a response's ids have a special token before their end."""
        ...

    def open(self, rows: Sequence[Prompts]) -> Steps:
        """Return a decoding session over the rows."""
        ...

    def token_logprobs(self, rows: Sequence[Groups]) -> TokenLogprobs:
        """Return the log-probability of every response token, the responses in order; without gradients."""
        ...

    def score(self, rows: Sequence[Groups]) -> list[ResponseLikelihood]:
        """Return the likelihood of every response of ids, as it stands, in order; all rows at once."""
        ...


def prompts_of(policy: LocalPolicy, chat: Chat) -> Prompts:
    """Return the ids of a chat as each part reads it, its template and instructions included."""
    return tuple(part.prompt(chat) for part in policy.parts)


def longest(policy: LocalPolicy, max_length: int) -> int:
    """Return how many tokens a prompt and a response may take: ``max_length``, or what every part can read."""
    return longest_of(max_length, policy.context)


@dataclass(frozen=True)
class NoRoom:
    """Why a text cannot be read: so many ``tokens``, and a model that reads ``context`` at most."""

    tokens: int
    context: int

    @property
    def why(self) -> str:
        """The same in words."""
        return f"{self.tokens} tokens, more than the model's context of {self.context}"


def no_room(policy: LocalPolicy, lengths: Sequence[int]) -> NoRoom | None:
    """Return why texts of so many tokens, one for each part of a policy, cannot be read; None where they can."""
    for part, tokens in zip(policy.parts, lengths, strict=True):
        if part.context is not None and tokens > part.context:
            return NoRoom(tokens, part.context)
    return None


def completions(
    policy: LocalPolicy,
    rows: Sequence[Prompts],
    decoding: Decoding,
    *,
    seeds: Sequence[int],
    io: StageIO | None = None,
) -> list[Completion]:
    """Return one completion per row, in order; see ``bench.core.policy.Policy.generate``.

    Every part's tokens and FLOPs are on the meter; a token that they write together is one generated token. A prompt
    that leaves no room in a part's context has a completion without text (``finish``: ``no_room``). Raises StageError
    for an empty prompt.
    """
    if len(seeds) != len(rows):
        raise StageError(f"{len(rows)} prompts but {len(seeds)} seeds: give one seed per prompt.")
    new = decoding.max_new_tokens
    roomy = [row for row, own in enumerate(rows) if no_room(policy, [len(prompt) + new for prompt in own]) is None]
    found: dict[int, Completion] = {
        row: Completion(text="", tokens=(), logprobs=(), finish="no_room", prompt_tokens=len(rows[row][0]))
        for row in sorted(set(range(len(rows))) - set(roomy))
    }
    parameters = sum(part.parameters for part in policy.parts)

    def count(tokens: int) -> None:
        if io is not None:
            io.meter.generated_tokens += tokens
            io.meter.flops += READ_FLOPS * parameters * tokens
            io.progress(len(found), len(rows), "prompt")

    if io is not None:
        charge_reading(policy, [[len(prompt) for prompt in rows[row]] for row in roomy], io)
    own_seeds = [seeds[row] for row in roomy]
    for place, drawn in written(policy, [rows[row] for row in roomy], decoding, own_seeds, count):
        row = roomy[place]
        found[row] = completion(policy, drawn, len(rows[row][0]))
    if io is not None:
        io.progress(len(found), len(rows), "prompt")
    return [found[row] for row in range(len(rows))]


def charge_reading(policy: LocalPolicy, lengths: Sequence[Sequence[int]], io: StageIO) -> None:
    """Put tokens that are read on the meter; ``lengths`` has one number per row and part."""
    for place, part in enumerate(policy.parts):
        read = sum(row[place] for row in lengths)
        io.meter.read_tokens += read
        io.meter.flops += READ_FLOPS * part.parameters * read


def written(
    policy: LocalPolicy,
    rows: Sequence[Prompts],
    decoding: Decoding,
    seeds: Sequence[int],
    on_tokens: Callable[[int], None],
) -> Iterator[tuple[int, Drawn]]:
    """Yield each row's number and what was written to it, batch after batch."""
    if len(seeds) != len(rows):
        raise StageError(f"{len(rows)} prompts but {len(seeds)} seeds: give one seed per prompt.")
    for place, part in enumerate(policy.parts):
        check_prompts([row[place] for row in rows], decoding.max_new_tokens, part.context)
    lengths = [sum(len(prompt) + decoding.max_new_tokens for prompt in row) for row in rows]
    for numbers in batches(lengths):
        session = policy.open([rows[number] for number in numbers])
        drawn = draw_batch(session, decoding, [seeds[number] for number in numbers], policy.end_ids, on_tokens)
        yield from zip(numbers, drawn, strict=True)


def completion(policy: LocalPolicy, drawn: Drawn, prompt_tokens: int) -> Completion:
    """Return what was written as text, tokens and how it ended."""
    return Completion(
        text=policy.text(drawn.tokens),
        tokens=tuple(drawn.tokens),
        logprobs=tuple(drawn.logprobs),
        finish="end" if drawn.tokens[-1] in policy.end_ids else "length",
        prompt_tokens=prompt_tokens,
        holds_special=policy.holds_special(drawn.tokens),
    )


def likelihoods(policy: LocalPolicy, pairs: Sequence[tuple[Chat, str]]) -> list[ResponseLikelihood]:
    """Return the likelihood of each response (its end token included) given its chat.

    Raises StageError for a pair that does not fit into the context of a part.
    """
    rows = []
    for number, (chat, response) in enumerate(pairs):
        ids = policy.response(response)
        row = tuple(Group(prompt, [ids]) for prompt in prompts_of(policy, chat))
        if (why := too_long(policy, row)) is not None:
            raise StageError(f"pair {number} has {why.why}. Shorten the prompt or the response.")
        rows.append(row)
    return [found for (found,) in scored(policy, rows)]


def too_long(policy: LocalPolicy, row: Groups) -> NoRoom | None:
    """Return why a prompt and the longest response to it cannot be read together; None where they can."""
    return no_room(policy, [len(group.prompt) + max(map(len, group.responses)) for group in row])


@torch.inference_mode()
def scored(policy: LocalPolicy, rows: Sequence[Groups]) -> list[list[ResponseLikelihood]]:
    """Return the likelihood of each response of each row, batch after batch; a prompt is computed once per part."""
    found: dict[int, list[ResponseLikelihood]] = {}
    lengths = [sum(group.shared_length() for group in row) for row in rows]
    for numbers in batches(lengths, tokens_at_once=SCORED_TOKENS_AT_ONCE):
        batch = iter(policy.score([rows[number] for number in numbers]))
        for number in numbers:
            found[number] = [next(batch) for _ in rows[number][0].responses]
    return [found[number] for number in range(len(rows))]
