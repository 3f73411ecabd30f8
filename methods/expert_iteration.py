"""Expert iteration: rounds of best-of-n sampling and supervised fine-tuning on the winners.

As in AlpacaFarm, arXiv:2305.14387 (best of 16 on unlabelled prompts, then supervised fine-tuning with its usual
settings, one round). In round k, with D the prompts::

    y(x) = argmax over y_1, ..., y_n ~ pi_k-1(. | x) of r(x, y_i)       for x in D
    pi_k = argmax over pi of sum over x in D of log pi(y(x) | x)        trained from pi_k-1, or from the start

With ``begin: start`` every round trains the same model, as ReST-EM does (Singh et al. 2023, arXiv:2312.06585), which
drifts less.

Known differences. From AlpacaFarm: the prompts are those given, else those of the preferences or demonstrations. From
ReST-EM: the best response to each prompt is kept, not all whose reward is 1, so no prompt is without one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt

from bench.core.method import Given, Method
from bench.core.policy import Decoding, PolicySpec
from bench.core.reward import CutResponses, ModelReward, RewardSpec
from methods._shared import fine_tuned, opened_reward, prompts, supervised_start
from methods._train.feedback.best_samples import BestOfSamples, winners
from methods._train.on_policy.reward_optimisation import reward_needs
from methods._train.settings import Optimisation, RewardModelSettings
from methods._train.sft.stage import TrainSFT


class ExpertIteration(Optimisation, Method):
    """Expert iteration (arXiv:2305.14387): supervised fine-tuning on the best of n samples, in rounds.

    ``n``: the responses drawn for each prompt. ``rounds``: how often sampling and training alternate; each round
    samples from the policy of the round before. ``begin``: what each round trains: the ``last`` round's policy, or the
    supervised ``start``, as ReST-EM does. ``decoding``: how responses are drawn. ``reward``: what chooses: ``model``,
    trained on the preferences with the settings ``reward_model``, a judge, a file, or a list of these with weights.
    ``cut_responses``: a best response that was cut is imitated as far as it goes, without an end (``keep``), or only
    responses that ended can be the best, and a prompt without any is left out (``leave_out``). ``start``: the settings
    of the supervised fine-tuning before it; the other settings are those of each round.
    """

    NEEDS: ClassVar[frozenset[str]] = frozenset()

    n: PositiveInt = 16
    rounds: PositiveInt = 1
    begin: Literal["last", "start"] = "last"
    decoding: Decoding = Decoding()
    cut_responses: CutResponses = "keep"
    reward: RewardSpec = ModelReward()
    reward_model: RewardModelSettings = RewardModelSettings()
    start: Optimisation = Optimisation()

    def needs(self) -> frozenset[str]:
        """Return the preferences where a reward model is learnt from them."""
        return reward_needs(self.reward)

    def policy(self, given: Given) -> PolicySpec:
        """Return the supervised start, tuned on its own best responses."""
        start = supervised_start(given, self.start)
        reward = opened_reward(given, self.reward, self.reward_model, self.start)
        policy = start
        for number in range(self.rounds):
            samples = BestOfSamples(
                policy=policy,
                prompts=prompts(given),
                reward=reward,
                n=self.n,
                decoding=self.decoding,
                cut_responses=self.cut_responses,
                round=number,
                seed=given.seed,
            )
            init = policy if self.begin == "last" else start
            policy = fine_tuned(TrainSFT, self, given, init, winners(samples))
        return policy
