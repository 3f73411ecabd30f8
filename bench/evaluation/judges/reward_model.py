"""The reward-model judge: prefers the response that an arm's own reward model scores higher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Self

from bench.core.datasets import Reply
from bench.core.errors import BenchError, StageError
from bench.core.judge import Judge, Pair, Response, Verdict
from bench.core.policy import PolicySpec
from bench.core.reward import reward_models
from bench.core.stage import Resources, Stage, StageIO
from bench.core.task import Task
from bench.evaluation.judges._ratings import rated_pairs, verdict_on_ratings


class RewardModelJudge(Judge):
    """Rates a response by the score of the reward model that the arm ``of`` learnt from, at the same seed.

    A comparison is the sign of the difference of the scores, as for the other judges that rate. The sigmoid of the
    difference would be the model's own probability, but only where its rewards kept their scale (``spread: natural``)
    and it is calibrated; the sign is the same for any scale, and a win rate stays the share of prompts that were won.
    The ratings show how large the differences are.

    ``by`` is filled in by the plan.
    """

    NAME: ClassVar[str] = "reward_model"
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)
    # The arm's name only says where the model is found; an arm renamed leaves its verdicts as they are.
    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"of"})

    of: str
    by: Stage | None = None

    def bound(self, policy_of: Callable[[str], PolicySpec]) -> Self:
        """Return this judge with the stage that trained the reward model of its arm.

        Raises BenchError for an arm that has learnt from no reward model, or from several at once.
        """
        found = reward_models(policy_of(self.of))
        if len(found) != 1:
            several = (
                f"{len(found)} reward models at once, so it is not known which one" if found else "no reward model"
            )
            raise BenchError(
                f"judge reward_model: the method '{self.of}' has learnt from {several}. "
                "Under `of:` name a method that has learnt from one (rewarded by `model`), or choose another judge."
            )
        return self.model_copy(update={"by": found[0]})

    def compare(self, task: Task | None, pairs: Sequence[Pair], io: StageIO) -> list[Verdict]:
        """Return 1 where the first response has the higher score, 0 where the lower, 0.5 where equal."""
        return [verdict_on_ratings(first, second) for first, second in rated_pairs(self, task, pairs, io)]

    def rate(self, task: Task | None, responses: Sequence[Response], io: StageIO) -> list[Verdict]:
        """Return the score of each response; the text says what of prompt and response was too long to be read.

        A response to a prompt that leaves it no room is undefined. Raises StageError when no reward model is filled in.
        """
        from bench.models.reward_model import load_reward_model  # noqa: PLC0415 - torch loads here, not when planning

        if self.by is None:
            raise StageError(f"judge reward_model has no model yet: the plan takes it from the method '{self.of}'.")
        if not responses:
            return []
        model = load_reward_model(self.by, io)
        chats = [one.prompt.chat for one in responses]
        rows = list(model.rows(chats, [Reply(one.text, one.ended) for one in responses]))
        scores, cuts = model.score_rows(rows, io), model.cuts(rows)
        return [
            Verdict(value=score, status="undefined" if score is None else "ok", text=cut)
            for score, cut in zip(scores, cuts, strict=True)
        ]
