"""What several methods plan alike: the supervised start, a fine-tuning stage, and what they learn from."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from bench.core.data import DataSpec
from bench.core.datasets import check_demonstrations, classes_in, is_unpaired, row_with_margin
from bench.core.errors import BenchError
from bench.core.method import Given, Lora
from bench.core.policy import PolicySpec, Tuned
from bench.core.reward import MixedReward, ModelReward, Part, RewardSpec
from methods._train.fine_tuning import FineTuning
from methods._train.on_policy.reward_optimisation import RewardOptimisation, TrainOnReward
from methods._train.pairs.logprobs import NO_MARGIN
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.rewards.stage import TrainRewardModel
from methods._train.settings import Optimisation, RewardModelSettings
from methods._train.sft.stage import TrainSFT

S = TypeVar("S", bound=FineTuning)


def supervised_start(given: Given, settings: Optimisation | None = None) -> PolicySpec:
    """Return the base after supervised fine-tuning on the demonstrations: the start of every preference method.

    Without ``settings`` it is what the method ``sft`` makes at its defaults; equal settings make the same stage, so
    one training serves all. Without demonstrations it is the base itself, which suits a base that already follows
    instructions. An arm may have a start made elsewhere instead (``given.start``).
    """
    if given.start is not None:
        return given.start
    if given.demonstrations is None:
        return given.base
    check_demonstrations(given.demonstrations)
    optimisation = Optimisation() if settings is None else settings
    return fine_tuned(TrainSFT, optimisation, given, given.base, given.demonstrations)


def fine_tuned(
    kind: type[FineTuning], settings: Optimisation, given: Given, start: PolicySpec, data: DataSpec, **more: Any
) -> Tuned:
    """Return ``start``, tuned on ``data`` by a stage of the class ``kind``; see ``fine_tuning_stage``."""
    return Tuned(base=start, by=fine_tuning_stage(kind, settings, given, start, data, **more))


def fine_tuning_stage(
    kind: type[S], settings: Optimisation, given: Given, init: PolicySpec, data: DataSpec, **more: Any
) -> S:
    """Return the stage of the class ``kind`` that trains ``init`` on ``data``, all else as it is given.

    ``settings``: most often the method itself. The stage takes its optimiser's settings and every field that both have
    by the same name; a learning rate of None becomes the settings' own, for an adapter or for full fine-tuning.
    ``more``: the fields that it has not, or that are to be something else.
    """
    lora: Lora | None = more.get("lora", given.lora)
    own = {name: getattr(settings, name) for name in kind.model_fields.keys() & type(settings).model_fields.keys()}
    common = {
        "init": init,
        "data": data,
        "lora": lora,
        "keep": given.keep,
        "optimisation": settings.optimisation(lora),
        "budget": given.budget,
        "max_length": given.max_length,
        "seed": given.seed,
    }
    return kind(**{**own, **common, **more})


def preferences(given: Given) -> DataSpec:
    """Return the preference data; raises BenchError when none are given, and where they are no pairs."""
    if given.preferences is None:
        raise BenchError("this method learns from pairs: add given.preferences to the comparison file")
    if is_unpaired(given.preferences):
        raise BenchError(
            "this method learns from pairs, and given.preferences labels each response on its own (`completion` and "
            "`label`), which the method kto learns from"
        )
    return given.preferences


def preferences_without_margins(given: Given) -> DataSpec:
    """Return the preference data, for a method whose loss has no place for margins.

    Raises BenchError when none are given, and for a file with margins: no method ignores a column that others read.
    """
    data = preferences(given)
    number = row_with_margin(data)
    if number is not None:
        raise BenchError(f"row {number} of given.preferences has a margin. {NO_MARGIN}")
    return data


def labelled_responses(given: Given) -> DataSpec | None:
    """Return the preference data where it labels each response on its own, None where it has pairs or is not given.

    Raises BenchError where all responses of a file have the same label.
    """
    data = given.preferences
    if data is None or not is_unpaired(data):
        return None
    known = classes_in(data)
    if known is not None and 0 in known:
        which = "good" if known[0] else "bad"
        raise BenchError(
            f"all {sum(known):,} responses of given.preferences are labelled {which}: this method weighs good ones "
            "against bad ones, and needs both"
        )
    return data


def reference(
    given: Given, policy: PolicySpec, responses: Literal["pairs", "mismatched"] = "pairs"
) -> ReferenceLogprobs:
    """Return the stage that scores the preference data with a frozen reference, shared by all who use it.

    An arm may have a reference made elsewhere in the place of ``policy`` (``given.reference``).
    ``responses``: see ``ReferenceLogprobs``.
    """
    data = labelled_responses(given) or preferences(given)
    frozen = policy if given.reference is None else given.reference
    return ReferenceLogprobs(policy=frozen, data=data, max_length=given.max_length, responses=responses)


def fine_tuned_on_reward(kind: type[TrainOnReward], method: RewardOptimisation, given: Given, **more: Any) -> Tuned:
    """Return the supervised start, tuned on the method's reward of its own responses; see ``fine_tuning_stage``.

    Raises BenchError naming the first field that the method needs and that is not given.
    """
    for need in sorted(method.needs()):
        if getattr(given, need) is None:
            raise BenchError(f"this method needs given.{need}: add it to the comparison file")
    start = supervised_start(given, method.start)
    reward = opened_reward(given, method.reward, method.reward_model, method.start)
    return fine_tuned(kind, method, given, start, prompts(given), reward=reward, practice=method.practice(), **more)


def reward_model(given: Given, settings: RewardModelSettings, start: Optimisation | None = None) -> TrainRewardModel:
    """Return the stage that trains a reward model on the preferences, shared by all who ask with equal settings.

    It starts from the policy that supervised fine-tuning with the settings ``start`` makes (see ``supervised_start``),
    and demonstrations, where there are any, have a mean reward of 0.
    """
    init, data = supervised_start(given, start), preferences(given)
    return fine_tuning_stage(TrainRewardModel, settings, given, init, data, references=given.demonstrations)


def opened_reward(
    given: Given, reward: RewardSpec, settings: RewardModelSettings, start: Optimisation | None = None
) -> RewardSpec:
    """Return a reward in which every ``model`` without a stage has the reward model of these settings."""
    match reward:
        case ModelReward(by=None):
            return ModelReward(by=reward_model(given, settings, start))
        case MixedReward():
            parts = [
                Part(reward=opened_reward(given, part.reward, settings, start), weight=part.weight)
                for part in reward.parts
            ]
            return MixedReward(parts=tuple(parts))
    return reward


def prompts(given: Given) -> DataSpec:
    """Return the prompts to answer while training: those given, else those of preferences, else of demonstrations.

    Raises BenchError when there are none of them.
    """
    found = given.prompts or given.preferences or given.demonstrations
    if found is None:
        raise BenchError("this method answers prompts while it trains: add given.prompts to the comparison file")
    return found
