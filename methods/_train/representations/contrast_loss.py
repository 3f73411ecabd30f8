"""The contrast of two instructions: what stands before a prompt, the loss, and the fields that training by it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bench.core.frozen import Frozen
from bench.core.policy import Instructed, PolicySpec
from methods._train.fine_tuning import FineTuning

if TYPE_CHECKING:
    from torch import Tensor

Positions = Literal["shifted", "unshifted"]
Mean = Literal["response", "padded"]


class Instructions(Frozen):
    """What stands before the prompt of a good answer and of a bad one, and what parts it from the prompt."""

    good: Annotated[str, Field(min_length=1)]
    bad: Annotated[str, Field(min_length=1)]
    separator: str = "\n\n"

    def for_good(self, policy: PolicySpec) -> Instructed:
        """Return a policy that is asked for good answers."""
        return Instructed(base=policy, instruction=self.good, separator=self.separator)

    def for_bad(self, policy: PolicySpec) -> Instructed:
        """Return a policy that is asked for bad answers."""
        return Instructed(base=policy, instruction=self.bad, separator=self.separator)


class ContrastFields(FineTuning):
    """The fields of a stage that trains by the contrast; see ``ContrastSettings`` for what they mean."""

    instructions: Instructions
    smoothing: float
    contrast_positions: Positions
    contrast_mean: Mean
    language_mean: Literal["response", "tokens"]

    def wordings(self) -> tuple[PolicySpec, ...]:
        """Return the policy under the instruction for good answers and under that for bad ones."""
        return (self.instructions.for_good(self.init), self.instructions.for_bad(self.init))


def contrast_loss(matching: Tensor, opposite: Tensor, smoothing: float) -> Tensor:
    """Return the contrast of each row, the shape of its inputs.

    ``matching`` and ``opposite`` are the mean log-probabilities of one response under the instruction that fits it and
    under the other. With p = exp of these and epsilon = ``smoothing`` (arXiv:2302.05206)::

        L = - (1 - epsilon) log(p+ / (p+ + p-)) - epsilon log(p- / (p+ + p-))

    p+ / (p+ + p-) is sigmoid(matching - opposite), and is computed as such (the released codes add 1e-8 to the share
    before the logarithm instead). The minimum is where the share is 1 - epsilon.
    """
    from torch.nn.functional import logsigmoid

    difference = matching - opposite
    return -(1 - smoothing) * logsigmoid(difference) - smoothing * logsigmoid(-difference)
