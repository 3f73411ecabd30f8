"""Rewards, as values: what on-policy training optimises, and what the best of several responses is chosen by.

A reward is measured by ``bench.models.rewards.open_reward``; here it only has a name and a place in keys.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.core.frozen import Frozen, Open
from bench.core.judge import Judge
from bench.core.policy import PolicySpec
from bench.core.stage import Stage, stages_in
from bench.core.task import Task

# The kind of the stages that train a reward model; the bench knows them by it.
REWARD_MODEL_KIND = "train/reward_model"


class ModelReward(Frozen):
    """The score of a reward model. ``by`` is the stage that trained it.

    In a comparison file it is ``model``, without a stage: the method trains one on the preferences it is given.
    """

    kind: Literal["model"] = "model"
    by: Stage | None = None


class JudgeReward(Frozen):
    """A judge's rating. ``task`` is the task whose truth the judge needs, for judges that need one (gold)."""

    kind: Literal["judge"] = "judge"
    judge: Judge
    task: Task | None = None


class FileReward(Frozen):
    """The numbers that ``reward(prompts, responses)`` of a Python file returns, both lists of texts."""

    kind: Literal["file"] = "file"
    path: str
    digest: str

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path"})


class Part(Frozen):
    """One reward of a mix, and its weight."""

    reward: Annotated[ModelReward | JudgeReward | FileReward, Field(discriminator="kind")]
    weight: float = 1.0


class MixedReward(Frozen):
    """The weighted sum of several rewards."""

    kind: Literal["mix"] = "mix"
    parts: tuple[Part, ...] = Field(min_length=1)


RewardSpec = Annotated[ModelReward | JudgeReward | FileReward | MixedReward, Field(discriminator="kind")]


# What becomes of responses that were cut while they were written, where they are learnt from or chosen among: kept, as
# far as they go and without an end token, or left out.
CutResponses = Literal["keep", "leave_out"]


class Chooser(Open):
    """How the best of several responses is chosen: the one with the highest reward, the first of equals.

    ``cut_responses``: with ``leave_out`` one that was cut is chosen only where none ended.
    """

    reward: RewardSpec
    cut_responses: CutResponses = "keep"


def reward_models(policy: PolicySpec) -> tuple[Stage, ...]:
    """Return the stages that trained the reward models nearest to a policy: those it was trained on, or chooses with.

    The stages that a policy rests on are searched level by level, from its own inwards; all reward models of the first
    level that has any are returned, each once. Empty when there are none.
    """
    level = {stage.key: stage for stage in stages_in(policy)}
    seen = set(level)
    while level:
        found = tuple(stage for stage in level.values() if stage.KIND == REWARD_MODEL_KIND)
        if found:
            return found
        below = {stage.key: stage for outer in level.values() for stage in outer.inputs()}
        level = {key: stage for key, stage in below.items() if key not in seen}
        seen |= set(level)
    return ()
