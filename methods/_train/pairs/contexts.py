"""The same response tokens behind one prompt in several wordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.errors import StageError
from bench.core.policy import Chat, PolicySpec, as_read
from bench.models.chat import fit_group_to_length, prompt_ids
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group


@dataclass(frozen=True)
class Contexts:
    """The groups of one row of the data, one per wording of its prompt; all hold the same responses."""

    row: int
    groups: tuple[Group, ...]

    def longest(self) -> int:
        """Return the tokens of the longest prompt with its longest response."""
        return max(len(group.prompt) + len(response) for group in self.groups for response in group.responses)


def contexts(
    policy: HFPolicy, specs: Sequence[PolicySpec], chat: Chat, responses: Sequence[str], max_length: int
) -> tuple[Group, ...]:
    """Return one group per spec: the chat as it reads it, instructions included, before the very same responses.

    What is too long is cut as for every method (``bench.models.chat.fit_group_to_length``), with room left for the
    longest instruction. The same tokens of the chat are cut in every group, and never those of an instruction. Raises
    StageError when the instructions leave no room.
    """
    plain = policy.prompt(chat)
    prompts = [prompt_ids(policy.tokenizer, as_read(spec, chat), policy.template) for spec in specs]
    heads = [_before(prompt, plain) for prompt in prompts]
    longest = max_length if policy.context is None else min(max_length, policy.context)
    room = longest - max(heads)
    if room < 2:
        raise StageError(
            f"an instruction takes {max(heads)} tokens, and prompt and response may take {longest} with it. Raise "
            "given.max_length if the model can read more, or choose shorter instructions (the set `brief`)."
        )
    kept, cut = fit_group_to_length(plain, [policy.response(response) for response in responses], room)
    if len(kept) == len(plain):
        return tuple(Group(prompt, cut) for prompt in prompts)
    return tuple(Group([*prompt[:head], *kept], cut) for prompt, head in zip(prompts, heads, strict=True))


def tokens_of(group: Group) -> int:
    """Return the tokens of a group; each response counts with its prompt."""
    return sum(len(group.prompt) + len(response) for response in group.responses)


def _before(prompt: Sequence[int], plain: Sequence[int]) -> int:
    """Return how many tokens stand before what a prompt has in common with the plain one, read from their ends."""
    alike = 0
    for one, other in zip(reversed(prompt), reversed(plain), strict=False):
        if one != other:
            break
        alike += 1
    return len(prompt) - alike
