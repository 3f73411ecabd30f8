"""Learning from a judge's feedback: what RLAIF and Constitutional AI plan alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.data import DataSpec, Made
from bench.core.errors import BenchError
from bench.core.judge import Judge
from bench.core.method import Given, Method
from bench.core.plugins import METHOD, find
from bench.core.policy import PolicySpec
from bench.core.reward import JudgeReward, ModelReward
from methods._shared import supervised_start
from methods._train.feedback.label_pairs import LabelPreferences
from methods._train.settings import Optimisation

# What both papers learn with once the labels are there: reinforcement learning against a reward model.
CANONICAL = "ppo"
REWARD = "reward"


def learner(then: Method | None) -> Method:
    """Return the method that learns from the labels: the one that was named, else PPO at its defaults.

    PPO is found by its name, as a comparison file finds it, because methods do not import each other.
    """
    return find(METHOD, CANONICAL)() if then is None else then


def check_learner(then: Method | None) -> None:
    """Raise ValueError for a named method that would not read the labels."""
    if then is not None and "preferences" not in then.needs():
        raise ValueError(
            f"then: {_name(then)} reads no preferences with these settings, so the labels would go unread. "
            "Name a method that learns from pairs or from a reward model (dpo, ppo, ...)."
        )


def check_rewarded(then: Method | None) -> None:
    """Raise ValueError for a named method that cannot learn from a reward, or that has one of its own already."""
    if then is None:
        return
    if REWARD not in type(then).model_fields:
        raise ValueError(
            f"then: {_name(then)} learns from no reward, and reward: direct gives it one. Name a method with a field "
            "`reward` (ppo, ...), or set reward: distilled."
        )
    if getattr(then, REWARD) != ModelReward():
        raise ValueError("then: has a reward of its own, and reward: direct puts the labeller's in its place.")


def rewarded(then: Method, judge: Judge) -> Method:
    """Return a method whose reward is the judge's rating; raises BenchError for a judge that cannot rate."""
    judge.check("rate")
    return then.model_copy(update={REWARD: JudgeReward(judge=judge)})


def start_of(then: Method, given: Given) -> PolicySpec:
    """Return the policy that a method starts from: the supervised start with its settings."""
    settings = getattr(then, "start", None)
    return supervised_start(given, settings if isinstance(settings, Optimisation) else None)


def labeller(own: Judge | None, given: Given) -> Judge:
    """Return a method's own labeller, else the comparison's; raises BenchError when there is neither."""
    found = given.labeller if own is None else own
    if found is None:
        raise BenchError(
            "this method learns from a judge: add given.labeller to the comparison file, or `labeller:` here"
        )
    return found


def relabelled(given: Given, pairs: DataSpec, judge: Judge, changes: Mapping[str, Any] | None = None) -> Given:
    """Return what is given with the judge's labels of the pairs in the place of the preferences.

    Raises BenchError for a judge that cannot compare.
    """
    judge.check("compare")
    labels = Made(by=LabelPreferences(pairs=pairs, judge=judge))
    return given.model_copy(update={**(changes or {}), "preferences": labels})


def prompts(given: Given) -> DataSpec:
    """Return the prompts to sample for; raises BenchError when none are given."""
    if given.prompts is None:
        raise BenchError("this method samples its own responses: add given.prompts to the comparison file")
    return given.prompts


def _name(method: Method) -> str:
    return type(method).__module__.rpartition(".")[2]
