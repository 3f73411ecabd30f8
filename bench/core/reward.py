"""What a response is worth to a policy that learns from reward, as a value.

A reward is measured by ``bench.evaluator.rewards.open_reward``; here it only has a name and a place in keys.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.core.frozen import Frozen
from bench.core.judge import Judge
from bench.core.stage import Stage
from bench.core.task import Task


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
