"""A simulated annotator: Bradley-Terry noise around the gold utility, label flips, and a liking for length."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from bench.core.frozen import Frozen
from tasks._atlas.draws import Draws

WORDS_PER_UNIT = 10.0


class Annotator(Frozen):
    """The simulated annotator of preference pairs.

    ``beta`` is the inverse temperature of the Bradley-Terry choice, in 1 / utility (infinitely careful as it grows).
    ``label_noise`` is the share of labels that are then flipped. ``length_bias`` is what ten more words are worth to
    this annotator in units of utility; the gold utility pays nothing for length.
    """

    beta: Annotated[float, Field(gt=0)] = 4.0
    label_noise: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    length_bias: float = 0.0

    def perceived(self, gold: float, words: int) -> float:
        """Return the utility as this annotator sees it: gold + length_bias * words / 10."""
        return gold + self.length_bias * words / WORDS_PER_UNIT

    def prefers_first(self, difference: float) -> float:
        """Return the probability of choosing the first response, ``difference`` being its perceived advantage.

        P = (1 - e) * s + e * (1 - s) with s = 1 / (1 + exp(-beta * difference)), e = label_noise: the Bradley-Terry
        model (Bradley and Terry 1952) with symmetric label flips (as in Chowdhury et al. 2024, arXiv:2403.00409).
        """
        careful = 0.5 * (1.0 + math.tanh(0.5 * self.beta * difference))
        return (1.0 - self.label_noise) * careful + self.label_noise * (1.0 - careful)

    def choose_first(self, difference: float, draws: Draws) -> bool:
        """Return whether the first response is chosen."""
        return draws.chance(self.prefers_first(difference))
