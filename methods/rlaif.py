"""RLAIF: reinforcement learning from AI feedback, a labeller's preferences in place of human ones.

Lee et al. 2023, arXiv:2309.00267. A labeller (``bench/evaluation/judges/likelihood.py``, or any judge) says of each
pair which response is better, in both orders, and with P1 its preference for the one shown first::

    P(a over b) = (P1(a, b) + 1 - P1(b, a)) / 2

``distilled``, the paper's RLAIF: the labels replace the preferences of the comparison, and ``then`` learns from them.
A reward model learns from the soft label p by the cross-entropy

    L = - p log sigmoid(r_chosen - r_rejected) - (1 - p) log sigmoid(r_rejected - r_chosen)

and a policy from the reward model. Methods on pairs without a reward model (DPO and its kin) read the soft label by the
same rule (``methods/_train/pairs/labels.py``). ``direct``, the paper's d-RLAIF (section 2.2.2): no pairs and no reward
model; the reward of a response is the labeller's expected grade of 1 to 10, rescaled to [-1, 1].

Known differences from the paper, whose code is not released. The learner is any method, PPO where none is named; the
paper's is REINFORCE with a value baseline and weighs reward and divergence as (1 - beta) and beta. Ties at exactly 0.5
keep p = 0.5, and a rule that reads no label says which response is called chosen. Responses are not cleaned of odd
trailing tokens after training.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from bench.core.data import DataSpec, Made
from bench.core.judge import Judge
from bench.core.method import Given, Method
from bench.core.policy import Decoding, PolicySpec
from bench.core.reward import CutResponses
from methods._shared import preferences
from methods._train.feedback import learners as feedback
from methods._train.feedback.label_pairs import SamplePairs


class RLAIF(Method):
    """Learning from a labeller's preferences (arXiv:2309.00267), by any method on pairs or reward.

    ``labeller``: any judge; the comparison's ``given.labeller`` where none is named. ``pairs``: which pairs it labels,
    those ``given`` (their own labels are measured against and not used), or two responses of the supervised start to
    each prompt of ``given.prompts``, ``sampled`` by ``decoding``. ``cut_responses``: sampled pairs with a response that
    was cut are learnt from as far as it goes, without an end (``keep``), or left out (``leave_out``). ``reward``:
    ``distilled`` into labels, which ``then`` learns from, or ``direct``, the labeller's rating as the reward that
    ``then`` maximises. ``then``: the method that learns, PPO at its defaults where none is named (``rlaif`` with
    ``then: dpo`` is DPO on a labeller's labels).
    """

    labeller: Judge | None = None
    pairs: Literal["given", "sampled"] = "given"
    decoding: Decoding = Decoding(temperature=1.0, max_new_tokens=128)
    cut_responses: CutResponses = "keep"
    reward: Literal["distilled", "direct"] = "distilled"
    then: Method | None = None

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Refuse what the settings would leave unread."""
        if self.reward == "direct":
            feedback.check_rewarded(self.then)
            if self.pairs == "sampled":
                raise ValueError(
                    "pairs: sampled is for reward: distilled; reward: direct labels no pairs. Leave it out."
                )
        else:
            feedback.check_learner(self.then)
        for name in ("decoding", "cut_responses") if self.pairs == "given" else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is for pairs: sampled; given pairs are labelled as they are. Leave it out.")
        return self

    def needs(self) -> frozenset[str]:
        """Return the labeller where none is named, the pairs or prompts, and what ``then`` needs besides."""
        own = frozenset({"labeller"}) if self.labeller is None else frozenset()
        # The learner's preferences are the labels, and with a rating as its reward it learns from none.
        own |= feedback.learner(self.then).needs() - {"preferences"}
        if self.reward == "direct":
            return own
        return own | {"preferences" if self.pairs == "given" else "prompts"}

    def written_out(self) -> Self:
        """Return the method with what learns from the labels in the place of None."""
        return self.model_copy(update={"then": feedback.learner(self.then)})

    def policy(self, given: Given) -> PolicySpec:
        """Return the policy that ``then`` makes of the labels, or of the labeller's rating."""
        judge, then = feedback.labeller(self.labeller, given), feedback.learner(self.then)
        if self.reward == "direct":
            return feedback.rewarded(then, judge).policy(given)
        return then.policy(feedback.relabelled(given, self._pairs(given, then), judge))

    def _pairs(self, given: Given, then: Method) -> DataSpec:
        if self.pairs == "given":
            return preferences(given)
        samples = SamplePairs(
            policy=feedback.start_of(then, given),
            prompts=feedback.prompts(given),
            decoding=self.decoding,
            cut_responses=self.cut_responses,
            seed=given.seed,
        )
        return Made(by=samples)
