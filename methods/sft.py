"""SFT: supervised fine-tuning, imitation of demonstrations (the first step of Ouyang et al. 2022, arXiv:2203.02155).

Loss, with y the response of T tokens, its end token included, and x the prompt::

    L = - sum over all response tokens of the batch of log pi(y_t | x, y_<t) / number of those tokens

Prompt tokens are not scored. The mean is over the tokens of the whole optimiser batch, however it is split.

Known differences from other code: the DPO reference code sums over a sequence and averages over sequences, so its
learning rates are not comparable. TRL's SFTTrainer equals this one when it is given the same tokens and scores
completions only. Some code (the reproduction of RLHF on TL;DR) trains on prompt tokens too. A response cut at
``max_length`` loses its end token.

The defaults are described in ``methods/_train/settings.py``. The other methods start from this same training when
their ``start`` has the same settings.
"""

from __future__ import annotations

from typing import ClassVar

from bench.core.errors import BenchError
from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from methods._shared import supervised_start
from methods._train.settings import Optimisation


class SFT(Optimisation, Method):
    """Supervised fine-tuning on the demonstrations."""

    NEEDS: ClassVar[frozenset[str]] = frozenset({"demonstrations"})

    def policy(self, given: Given) -> PolicySpec:
        """Return the base, or the start that the arm has from elsewhere, tuned on the demonstrations."""
        if given.demonstrations is None:
            raise BenchError("sft learns from demonstrations: add given.demonstrations to the comparison file")
        if given.start is not None:
            given = given.model_copy(update={"base": given.start, "start": None})
        return supervised_start(given, self)
