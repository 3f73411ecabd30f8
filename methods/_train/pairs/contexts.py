"""The same response tokens behind one prompt in several wordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.lengths import LengthCounts
from bench.core.policy import Chat, PolicySpec
from bench.models.hf import HFPolicy
from bench.models.lengths import fit_rows, none_left
from bench.models.likelihood.logprobs import Group
from bench.models.local import longest
from bench.models.tokenizer import token_row, yielding_as


@dataclass(frozen=True)
class Contexts:
    """The groups of one row of the data, one per wording of its prompt; all hold the same responses."""

    row: int
    groups: tuple[Group, ...]

    def longest(self) -> int:
        """Return the tokens of the longest prompt with its longest response."""
        return max(len(group.prompt) + len(response) for group in self.groups for response in group.responses)


def contexts(
    policy: HFPolicy, specs: Sequence[PolicySpec], rows: Sequence[tuple[Chat, Sequence[Reply]]], max_length: int
) -> tuple[list[Contexts], LengthCounts]:
    """Return for each row one group per spec: the chat as it reads it, instructions included, and the same responses.

    What is too long is cut as for every method (``bench.models.lengths``): the same tokens of the chat in every group,
    and never those of an instruction. Rows that do not fit, and pairs of equal responses, are dropped and counted.
    Raises StageError when no row is left.
    """
    read = (
        replace(token_row(policy, chat, replies), prompts=tuple(yielding_as(policy, spec, chat) for spec in specs))
        for chat, replies in rows
    )
    found, counts = fit_rows("preferences", read, longest(policy, max_length))
    if not found:
        raise StageError(f"{none_left(counts)} The instructions count too: shorter ones are the set `brief`.")
    return [Contexts(one.row, tuple(Group(prompt, one.responses) for prompt in one.prompts)) for one in found], counts


def tokens_of(group: Group) -> int:
    """Return the tokens of a group; each response counts with its prompt."""
    return sum(len(group.prompt) + len(response) for response in group.responses)
