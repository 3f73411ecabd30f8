"""HIR on preference pairs: one model that is asked for good answers after it has learnt what good and bad ones are.

Hindsight Instruction Relabeling, Zhang et al. 2023, arXiv:2302.05206, in the offline form that RAHF (Liu et al. 2024,
arXiv:2312.15997) compares itself with. Each response is trained on under the instruction that fits it (the chosen one
under "good", the rejected one under "bad"). With P the mean over a response's tokens of log pi(y_t | instruction, x,
y_<t), under the fitting instruction (+) and under the other (-), per response::

    L = - P+ - (1 - epsilon) log sigmoid(P+ - P-) - epsilon log sigmoid(P- - P+)

(``methods._train.representations.contrast_loss.contrast_loss`` is the contrast.) The policy reads the good
instruction before every prompt.

Known differences. HIR samples its own answers, relabels them by a verifier and repeats; here the pairs and their labels
are given, and training passes over them once. HIR adds an entropy bonus (0.001), which RAHF leaves out, and sets
epsilon to 0.2 (``smoothing``). Both rows of a pair fall into the same batch, because the four log-probabilities of a
pair share two prompts; the released code shuffles rows. A place where RAHF's released code differs from its paper is
a field of ``ContrastSettings``.
"""

from __future__ import annotations

from typing import ClassVar

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from methods._shared import fine_tuned, preferences_without_margins, supervised_start
from methods._train.representations.instruction_contrast import ContrastSettings, TrainContrast
from methods._train.settings import Optimisation


class HIR(ContrastSettings, Method):
    """Hindsight instruction relabelling (arXiv:2302.05206): learn good and bad by instruction, then ask for good.

    ``start``: the settings of the supervised fine-tuning before it. The other fields are those of ``ContrastSettings``
    (``methods/_train/representations/instruction_contrast.py``); with the same settings it shares its training with
    RAHF's variant ``scit``.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned by contrast and asked for good answers."""
        start, instructions = supervised_start(given, self.start), self.texts()
        tuned = fine_tuned(
            TrainContrast, self, given, start, preferences_without_margins(given), instructions=instructions
        )
        return instructions.for_good(tuned)
