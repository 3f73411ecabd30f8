"""The same response tokens behind one prompt in several wordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from bench.core.data import DataSpec
from bench.core.errors import StageError
from bench.core.lengths import LengthCounts
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.lengths import FittedRows, fit_rows, none_left
from bench.models.likelihood.logprobs import Group
from bench.models.local import longest
from bench.models.tokenised.making import Wording
from bench.models.tokenised.token_rows import TokenRows, token_rows


@dataclass(frozen=True)
class Contexts:
    """The groups of one row of the data, one per wording of its prompt; all hold the same responses."""

    row: int
    groups: tuple[Group, ...]

    def longest(self) -> int:
        """Return the tokens of the longest prompt with its longest response."""
        return max(len(group.prompt) + len(response) for group in self.groups for response in group.responses)


@dataclass(frozen=True)
class ContextRows(Sequence[Contexts]):
    """Rows that fit, each with all its wordings; made of their tokens, which are mapped, when asked for."""

    fitted: FittedRows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.fitted)

    @overload
    def __getitem__(self, number: int) -> Contexts: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Contexts]: ...
    def __getitem__(self, number: int | slice) -> Contexts | Sequence[Contexts]:
        """Return a row, or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        one = self.fitted[number]
        return Contexts(one.row, tuple(Group(prompt, one.responses) for prompt in one.prompts))


def wordings_of(data: DataSpec, policy: HFPolicy, specs: Sequence[PolicySpec], io: StageIO) -> TokenRows:
    """Return the pairs of ``data`` with each prompt as every one of ``specs`` reads it, instructions included."""
    return token_rows(data, "preferences", [Wording(policy, spec) for spec in specs], policy, io)


def contexts(policy: HFPolicy, rows: TokenRows, max_length: int) -> tuple[ContextRows, LengthCounts]:
    """Return for each row one group per wording of its prompt, and the same responses in all of them.

    What is too long is cut as for every method (``bench.models.lengths``): the same tokens of the chat in every group,
    and never those of an instruction. Rows that do not fit, and pairs of equal responses, are dropped and counted.
    Raises StageError when no row is left.
    """
    found, counts = fit_rows("preferences", rows, longest(policy, max_length))
    if not found:
        raise StageError(f"{none_left(counts)} The instructions count too: shorter ones are the set `brief`.")
    return ContextRows(found), counts


def tokens_of(group: Group) -> int:
    """Return the tokens of a group; each response counts with its prompt."""
    return sum(len(group.prompt) + len(response) for response in group.responses)
