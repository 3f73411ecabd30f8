"""Settings and stage of the methods that learn from the reward of their own responses."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bench.core.frozen import Frozen
from bench.core.reward import MixedReward, ModelReward, Part, RewardSpec
from bench.core.stage import Resources
from methods._train.fine_tuning import FineTuning
from methods._train.settings import Fraction, Optimisation, Rates, RewardModelSettings

Critic = Literal["shared", "separate"]
Share = Annotated[float, Field(ge=0, le=1)]


def reward_needs(reward: RewardSpec) -> frozenset[str]:
    """Return the fields of Given that a reward needs: the preferences where a reward model is learnt from them."""
    parts = reward.parts if isinstance(reward, MixedReward) else (Part(reward=reward),)
    learnt = any(isinstance(part.reward, ModelReward) and part.reward.by is None for part in parts)
    return frozenset({"preferences"}) if learnt else frozenset()


class Practice(Frozen):
    """On-policy training: what a policy answers, how often, and which of its states is kept.

    ``updates``: how often responses are drawn and learnt from; a budget ends training earlier.
    ``prompts_per_update`` prompts are answered each time, ``samples`` times each, at ``temperature`` and without top-k
    or top-p (log-probabilities would not describe the sampler), by at most ``max_new_tokens`` tokens.
    ``missing_end_penalty``: a response that does not end scores so much less than its reward, as with TRL's option of
    this name; None takes nothing off. The "EOS trick" of arXiv:2403.17031 puts -1 in the place of the reward instead,
    which pays a policy for not ending wherever rewards lie below -1.
    ``held_out``: so many prompts, the last of the data, are not trained on. After every ``select_every`` updates they
    are answered, always with the same noise, and the weights that the method's own objective finds best are kept: the
    mean of score - kl_coefficient * KL (reinforce: (1 - beta) score - beta KL), where the coefficient adapts always at
    its present value. 0 keeps the last weights. AlpacaFarm (arXiv:2305.14387) selects too: the last checkpoint is
    seldom the best.
    """

    updates: PositiveInt = 80
    prompts_per_update: PositiveInt = 512
    samples: PositiveInt = 1
    temperature: PositiveFloat = 1.0
    max_new_tokens: PositiveInt = 128
    missing_end_penalty: NonNegativeFloat | None = 1.0
    held_out: NonNegativeInt = 0
    select_every: PositiveInt = 10

    def practice(self) -> Practice:
        """Return these settings alone; a method has them among its own fields and passes only them to its stage."""
        return Practice(**{name: getattr(self, name) for name in Practice.model_fields})


class RewardOptimisation(Optimisation, Practice):
    """The settings of the methods that learn from reward.

    Two fields of the optimiser mean something of their own here. ``epochs``: passes over the responses of an update.
    ``batch_size``: responses per optimiser step, so that an update takes epochs * prompts_per_update * samples /
    batch_size steps. The responses to a prompt stay together, so a batch holds as many whole prompts as
    ``batch_size`` responses allow, and one below ``samples`` is refused. The learning rate changes from update to
    update. Dropout is off everywhere, an adapter's too.

    The defaults are those of the reproduction of RLHF on TL;DR (arXiv:2403.17031), for models of 1 to 7 billion
    parameters: lr 3e-6 for full fine-tuning, 3e-5 for an adapter (ten times, see ``Optimisation``), falling to 0 in a
    line without warm-up, eps 1e-5, batches of 512 responses. Its 1,950 updates are 80 here: AlpacaFarm
    (arXiv:2305.14387) found its best checkpoint after 20 to 80.

    ``reward``: what a response is worth: ``model`` (a reward model trained on the preferences with the settings
    ``reward_model``), a judge, a file with a function, or a weighted list of these. ``start``: the settings of the
    supervised fine-tuning before it.
    """

    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup: Fraction = 0.0
    epochs: PositiveInt = 1
    batch_size: PositiveInt = 512
    eps: PositiveFloat = 1e-5
    reward: RewardSpec = ModelReward()
    reward_model: RewardModelSettings = RewardModelSettings()
    start: Optimisation = Optimisation()

    @model_validator(mode="after")
    def _whole_prompts_in_a_batch(self) -> Self:
        """Refuse a batch that the responses to one prompt would exceed."""
        if self.batch_size < self.samples:
            raise ValueError(
                f"batch_size {self.batch_size} is less than samples {self.samples}, and the responses to one prompt "
                f"stay in one batch. Set batch_size to {self.samples} or more, or samples to {self.batch_size} or less."
            )
        return self

    def rates(self) -> Rates:
        """Return the learning rates that stand for ``lr: null``."""
        return Rates(full=3e-6, lora=3e-5)

    def needs(self) -> frozenset[str]:
        """Return the fields of Given that must be there: what the reward needs."""
        return reward_needs(self.reward)


class TrainOnReward(FineTuning):
    """Training on the reward of own responses: the fields all such stages have.

    ``data`` has prompts (rows with a column ``prompt``); other columns are left alone. It runs in one process. Beside
    the policy and ``log.jsonl`` (a row per update) it writes ``diagnostics.json``: updates taken, the update whose
    weights were kept, and what the held-out prompts gave.
    """

    RESOURCES: ClassVar[Resources] = Resources(accelerator=True)

    reward: RewardSpec
    practice: Practice
