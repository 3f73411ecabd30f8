"""The value of a response while it is written: a head on the policy's own states, or a model beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from bench.core.policy import Tuned
from bench.core.reward import ModelReward, RewardSpec
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group, response_states
from bench.models.load import load_trainable
from bench.models.packing.halves import halves_of
from bench.models.reward_model import read_head
from methods._train.loop.batches import micro_batches
from methods._train.on_policy.reward_optimisation import Critic, TrainOnReward
from methods._train.on_policy.rollouts import TOKENS_AT_ONCE
from methods._train.rewards.stage import TrainRewardModel


class ValueModel:
    """``head``, shape (width) -> 1 in float32, on the states of ``policy``, which may be the policy in training."""

    def __init__(self, policy: HFPolicy, head: nn.Linear) -> None:
        self.policy = policy
        self.head = head

    def values(self, groups: Sequence[Group]) -> Tensor:
        """Return the value of the state before each token, as rows, 0 behind them. Shape: (responses, longest)."""
        states = response_states(halves_of(self.policy.model), groups, pad_id=self.policy.pad_id)
        with torch.autocast(states.hidden.device.type, enabled=False):
            flat = self.head(states.hidden.float())[:, 0]
        return torch.zeros(states.mask.shape, device=flat.device).masked_scatter(states.mask, flat)

    @torch.no_grad()
    def all_values(self, groups: Sequence[Group], shape: torch.Size) -> Tensor:
        """Return the values of all responses as rows of ``shape``, pass by pass, without gradients."""
        found = torch.zeros(shape, device=self.policy.device)
        firsts = np.cumsum([0, *(len(group.responses) for group in groups)])
        for numbers in micro_batches(
            np.arange(len(groups)), [group.shared_length() for group in groups], TOKENS_AT_ONCE
        ):
            values = self.values([groups[number] for number in numbers])
            rows = [row for number in numbers for row in range(firsts[number], firsts[number + 1])]
            found[rows, : values.shape[1]] = values
        return found


def one_longer(groups: Sequence[Group], pad_id: int, max_new_tokens: int) -> list[Group]:
    """Return the groups with a token behind every response that has room for one, so that its end gets a value.

    No state that is read has seen that token.
    """
    return [
        Group(
            group.prompt,
            [[*response, pad_id] if len(response) < max_new_tokens else list(response) for response in group.responses],
        )
        for group in groups
    ]


def critic_of(stage: TrainOnReward, io: StageIO, policy: HFPolicy, kind: Critic) -> ValueModel:
    """Return an untrained critic.

    ``shared``: a head of zeros on the policy's states. ``separate``: a copy of the reward model and its head where
    there is one (as in arXiv:2403.17031), else of the policy that training starts from, with a head of zeros.
    """
    if kind == "shared":
        return ValueModel(policy, _zeros(policy))
    source = trained_for(stage.reward)
    if source is None:
        model = load_trainable(stage.init, io, lora=stage.lora, seed=stage.seed)
        return ValueModel(model, _zeros(model))
    model = load_trainable(Tuned(base=source.init, by=source), io, lora=stage.lora, seed=stage.seed)
    if model.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise StageError(
            f"{stage.label()}: the reward model reads other tokens than the policy, so no critic can start from it. "
            "Set critic to shared."
        )
    return ValueModel(model, read_head(io.read(source), model).requires_grad_(True))


def trained_for(reward: RewardSpec) -> TrainRewardModel | None:
    """Return the stage of the first reward model in a reward, None where there is none."""
    parts = [part.reward for part in reward.parts] if reward.kind == "mix" else [reward]
    stages = [part.by for part in parts if isinstance(part, ModelReward)]
    return next((stage for stage in stages if isinstance(stage, TrainRewardModel)), None)


def _zeros(policy: HFPolicy) -> nn.Linear:
    width = policy.model.config.get_text_config().hidden_size
    with torch.device("meta"):
        head = nn.Linear(width, 1)
    head.weight, head.bias = nn.Parameter(torch.zeros(1, width)), nn.Parameter(torch.zeros(1))
    return head.to(policy.device)
