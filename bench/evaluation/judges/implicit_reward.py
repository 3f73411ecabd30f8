"""The implicit reward: prefers the response that a policy has become likelier to write than its reference.

Rafailov et al. 2023, arXiv:2305.18290: r(x, y) = beta (log pi(y|x) - log pi_ref(y|x)), summed over the response.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import PositiveFloat

from bench.core.datasets import Reply
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import PolicySpec
from bench.core.stage import Resources, StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings


class ImplicitReward(Judge):
    """Rates a response by the reward that a policy implies beside its reference (arXiv:2305.18290).

    ``policy``: one trained by DPO or its kin; ``reference``: what it was trained from; ``beta``: its KL coefficient,
    which is the scale of the ratings and changes no comparison. Both read with their own tokenizer and template.
    """

    NAME: ClassVar[str] = "implicit_reward"
    VERSION: ClassVar[int] = 1
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    policy: PolicySpec
    reference: PolicySpec
    beta: PositiveFloat = 0.1

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response has the higher reward, 0 where the lower, 0.5 where equal."""
        return [verdict_on_ratings(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the reward of each response; undefined, with the reason, where a policy cannot read it."""
        from bench.models.rating.implicit import implied_rewards  # noqa: PLC0415 - torch loads here, not when planning

        if not responses:
            return []
        asked = [(one.prompt.chat, Reply(one.text, one.ended)) for one in responses]
        return [
            Verdict(value=found)
            if isinstance(found, float)
            else Verdict(value=None, status="undefined", text=found.why)
            for found in implied_rewards(self.policy, self.reference, self.beta, asked, io)
        ]
