"""Best-of-n: no training beyond the supervised start; the best of n samples by a reward is the answer.

Stiennon et al. 2020, arXiv:2009.01325; n = 16 is the default of AlpacaFarm, arXiv:2305.14387. For each prompt x::

    y_1, ..., y_n ~ pi_sft(. | x),      y = argmax over i of r(x, y_i),      the first of equals

KL(best of n || pi_sft) is at most log n - (n - 1) / n (``bench.core.policy.BestOf.most_divergence``). For n rewards
drawn uniformly from (0, 1) the expected maximum is n / (n + 1).

Known differences from AlpacaFarm: the samples are drawn as each task decodes (there at temperature 1); the reward
model reads prompt and response as in its own training, which is the same there.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt

from bench.core.method import Given, Method
from bench.core.policy import BestOf, PolicySpec
from bench.core.reward import Chooser, CutResponses, ModelReward, RewardSpec
from methods._shared import opened_reward, supervised_start
from methods._train.on_policy.reward_optimisation import reward_needs
from methods._train.settings import Optimisation, RewardModelSettings


class BestOfN(Method):
    """Best of n (arXiv:2009.01325): the supervised start answers n times, and the highest reward is given.

    ``n``: how many responses are drawn for each one that is given. ``reward``: what chooses: ``model``, trained on the
    preferences with the settings ``reward_model``, a judge, a file, or a list of these with weights. ``cut_responses``:
    one that was cut is rewarded as far as it goes, without an end (``keep``), or is given only where none ended
    (``leave_out``). ``start``: the settings of the supervised fine-tuning.
    """

    n: PositiveInt = 16
    reward: RewardSpec = ModelReward()
    reward_model: RewardModelSettings = RewardModelSettings()
    cut_responses: CutResponses = "keep"
    start: Optimisation = Optimisation()

    NEEDS: ClassVar[frozenset[str]] = frozenset()

    def needs(self) -> frozenset[str]:
        """Return the preferences where a reward model is learnt from them."""
        return reward_needs(self.reward)

    def policy(self, given: Given) -> PolicySpec:
        """Return the best of n responses of the supervised start."""
        reward = opened_reward(given, self.reward, self.reward_model, self.start)
        chooser = Chooser(reward=reward, cut_responses=self.cut_responses)
        return BestOf(base=supervised_start(given, self.start), n=self.n, chooser=chooser)
