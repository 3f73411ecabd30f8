"""Log-probabilities of pairs: the only thing a preference loss may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# What is said of data with margins to a loss that looks at none.
NO_MARGIN = (
    "This method's loss has no place for a margin (those of dpo, hinge and reward models have). Leave the column out, "
    "or write `columns: {margin: null}` beside the data's path."
)


@dataclass(frozen=True)
class PairLogprobs:
    """log pi(y|x) of the chosen and the rejected response of each pair, in nats, all of shape (pairs,).

    ``chosen`` and ``rejected`` are summed over the response's tokens, its end token included and the prompt not;
    ``chosen_tokens`` and ``rejected_tokens`` count those tokens.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor

    def per_token(self) -> PairLogprobs:
        """Return the log-probabilities divided by the number of tokens."""
        return PairLogprobs(
            self.chosen / self.chosen_tokens,
            self.rejected / self.rejected_tokens,
            self.chosen_tokens,
            self.rejected_tokens,
        )

    def swapped(self) -> PairLogprobs:
        """Return the pairs as if the rejected responses were the chosen ones."""
        return PairLogprobs(self.rejected, self.chosen, self.rejected_tokens, self.chosen_tokens)

    def margin(self) -> Tensor:
        """Return log pi(chosen|x) - log pi(rejected|x). Shape: (pairs,)."""
        return self.chosen - self.rejected

    def margin_over(self, reference: PairLogprobs) -> Tensor:
        """Return h, by how much the margin exceeds the reference's: 0 where both agree. Shape: (pairs,)."""
        return self.margin() - reference.margin()

    def at(self, rows: Tensor) -> PairLogprobs:
        """Return the pairs of these rows."""
        return PairLogprobs(
            self.chosen[rows], self.rejected[rows], self.chosen_tokens[rows], self.rejected_tokens[rows]
        )
