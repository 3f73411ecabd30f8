"""SimPO: simple preference optimisation, with the mean log-probability as reward and without a reference.

Meng, Xia and Chen 2024, arXiv:2405.14734, equation 6, with |y| the tokens of a response, its end token included::

    L = - log sigmoid( beta / |w| * log pi(w|x) - beta / |l| * log pi(l|x) - gamma )

Nothing but the number of steps holds the policy near its start.

Known differences from the authors' code: there gamma is given as a ratio to beta, here it is the margin itself, as in
the paper. Their learning rates are 3e-7 to 1e-6 with batches of 128 for models of 7 to 9 billion parameters, and they
warn of rates as high as 1e-5. The default here is the one all pair methods
share. TRL has the loss in its CPO trainer, which adds a behaviour-cloning term unless its weight is set to 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import NonNegativeFloat, PositiveFloat

from bench.core.method import Given, Method
from bench.core.policy import PolicySpec
from bench.core.stage import StageIO
from methods._shared import fine_tuned, preferences, supervised_start
from methods._train.fine_tuning import FineTuning
from methods._train.settings import Optimisation, PreferenceOptimisation

if TYPE_CHECKING:
    from torch import Tensor

    from methods._train.pairs.logprobs import PairLogprobs


def simpo_loss(policy: PairLogprobs, beta: float, gamma: float) -> Tensor:
    """Return the loss of each pair (equation 6). Shape: (pairs,)."""
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * policy.per_token().margin() - gamma)


class TrainSimPO(FineTuning):
    """SimPO training."""

    KIND: ClassVar[str] = "train/simpo"
    VERSION: ClassVar[int] = 3

    beta: PositiveFloat
    gamma: NonNegativeFloat

    def run(self, io: StageIO) -> None:
        """Train, and write the policy."""
        from methods._train.pairs.train import train_on_pairs_alone

        train_on_pairs_alone(self, io, lambda policy: simpo_loss(policy, self.beta, self.gamma))


class SimPO(PreferenceOptimisation, Method):
    """Simple preference optimisation (arXiv:2405.14734): length-normalised rewards, a target margin, no reference.

    ``beta``: scale of the reward per token (2.0 to 2.5 in the paper). ``gamma``: the reward margin asked for (0.5 to
    1.6 there). ``start``: the settings of the supervised fine-tuning before it.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset({"preferences"})

    beta: PositiveFloat = 2.0
    gamma: NonNegativeFloat = 1.0
    start: Optimisation = Optimisation()

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on the preferences."""
        return fine_tuned(TrainSimPO, self, given, supervised_start(given, self.start), preferences(given))
