"""Responses that a policy draws to learn from, with everything a loss may look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import StageError
from bench.core.lengths import LengthCounts
from bench.core.meter import READ_FLOPS
from bench.core.policy import Decoding, computed_in
from bench.core.stage import StageIO
from bench.core.task import Prompt
from bench.models.adapters import is_adapted, without_new
from bench.models.hf import HFPolicy
from bench.models.lengths import fitting_prompts
from bench.models.likelihood.logprobs import Group, Want, response_outputs
from bench.models.load import load_model
from bench.models.local import longest
from bench.models.rewards import Reward, reply_of
from methods._train.loop.batches import micro_batches
from methods._train.on_policy.reward_optimisation import TrainOnReward

# Tokens of one forward pass without gradients, padding included; changes results by rounding only.
TOKENS_AT_ONCE = 8192


@dataclass(frozen=True)
class Rollouts:
    """The responses of one update: R of them, those to one prompt next to each other, padded to T places.

    ``groups``: a prompt's ids and those of its responses, each up to its first end token, that included. ``samples``
    responses belong to each prompt. ``scores`` (R,): the reward, less the penalty where the end is missing;
    ``rewards`` (R,) before that. ``ended`` (R,), bool, and ``special`` (R,), bool: a special token
    stands before its end. ``mask`` (R, T), bool: the response's tokens. ``value_mask``
    (R, T): these and the place behind an end token, where there is room for one more token; what is learnt there is
    the value of the finished response (as in arXiv:2403.17031). ``logprobs`` and ``reference`` (R, T): of the sampling
    policy and of the reference, both at the sampling temperature, in nats, 0 outside ``mask``. ``values`` (R, T): of
    the state before each token, 0 outside ``value_mask``, and everywhere where there is no critic.
    """

    groups: tuple[Group, ...]
    samples: int
    scores: Tensor
    rewards: Tensor
    ended: Tensor
    special: Tensor
    mask: Tensor
    value_mask: Tensor
    logprobs: Tensor
    reference: Tensor
    values: Tensor

    def kl(self) -> Tensor:
        """Return log pi(y|x) - log pi_ref(y|x) of each response; its mean estimates the KL divergence. Shape: (R,)."""
        return (self.logprobs - self.reference).sum(-1)

    def rows(self, group: int) -> range:
        """Return the numbers of a prompt's responses."""
        return range(group * self.samples, (group + 1) * self.samples)


def masks_of(lengths: Sequence[int], max_new_tokens: int) -> tuple[Tensor, Tensor]:
    """Return ``mask`` and ``value_mask`` of responses of so many tokens; see ``Rollouts``. Shapes: (R, T)."""
    tokens = torch.tensor(lengths)[:, None]
    valued = (tokens + 1).clamp_max(max_new_tokens)
    places = torch.arange(int(valued.max()))
    return places < tokens, places < valued


def scored(rewards: Tensor, ended: Tensor, missing_end_penalty: float | None) -> Tensor:
    """Return the rewards, less the penalty for responses without an end. Shape: (R,)."""
    if missing_end_penalty is None:
        return rewards
    return torch.where(ended, rewards, rewards - missing_end_penalty)


def noise_seed(seed: int, update: int, prompt: int, draw: int) -> int:
    """Return the seed of a response's noise: a hash of seed, update, the prompt's row in the data and the draw.

    Draws of a row are numbered across all its places in an update; see ``numbered_draws``.
    """
    return int(np.random.SeedSequence([seed, update, prompt, draw]).generate_state(1, np.uint64)[0])


def numbered_draws(numbers: Sequence[int], samples: int) -> list[tuple[int, int]]:
    """Return (prompt, draw) of every response of an update, ``samples`` for each place of a prompt; no two are equal.

    A prompt that stands twice (there are fewer prompts than an update asks, or one epoch ends within it) goes on
    counting, so that its responses are further ones and not the same again.
    """
    asked: Counter[int] = Counter()
    found = []
    for number in numbers:
        found += [(number, asked[number] + sample) for sample in range(samples)]
        asked[number] += samples
    return found


def logprobs_at(policy: HFPolicy, groups: Sequence[Group], shape: torch.Size, temperature: float) -> Tensor:
    """Return the log-probabilities of all responses as rows of ``shape``, 0 behind them, without gradients."""
    found = torch.zeros(shape, device=policy.device)
    firsts = np.cumsum([0, *(len(group.responses) for group in groups)])
    passes = micro_batches(np.arange(len(groups)), [group.shared_length() for group in groups], TOKENS_AT_ONCE)
    with torch.no_grad():
        for numbers in passes:
            part = [groups[number] for number in numbers]
            values = response_outputs(
                policy.model, part, pad_id=policy.pad_id, want=Want(temperature=temperature)
            ).logprobs.values
            rows = [row for number in numbers for row in range(firsts[number], firsts[number + 1])]
            found[rows, : values.shape[1]] = values
    return found


@dataclass(frozen=True)
class Answerable:
    """Prompts that leave room for a response, and what the policy reads of each, as ids.

    ``rows``: their rows in the data, counted from 0, by which noise is numbered: it is that of a prompt, whichever
    others are left out.
    """

    rows: Sequence[int]
    prompts: Sequence[Prompt]
    ids: Sequence[Sequence[int]]


class Sampler:
    """Draws responses to prompts and has them scored.

    The reference is the policy that training starts from: with an adapter, the policy without the new one; else a
    second, frozen copy. In float32 the log-probabilities of the sampling policy are those recorded while decoding. In
    bfloat16 decoding and a pass over whole responses differ by rounding (.04 nats per response were measured), which a
    KL divergence would count: there both are read by such a pass.
    """

    def __init__(self, stage: TrainOnReward, io: StageIO, policy: HFPolicy, asked: Answerable, reward: Reward) -> None:
        self._practice, self._seed, self._io = stage.practice, stage.seed, io
        self._policy, self._asked, self._ids, self._reward = policy, asked, asked.ids, reward
        self._adapted = is_adapted(policy.model)
        self._reference = policy if self._adapted else load_model(stage.init, io)
        self.reads_own = computed_in(stage.init) != "float32"

    def draw(self, numbers: Sequence[int], update: int) -> Rollouts:
        """Return the responses to prompts, given by their numbers, scored; ``values`` are 0."""
        practice, policy = self._practice, self._policy
        asked = numbered_draws(numbers, practice.samples)
        decoding = Decoding(temperature=practice.temperature, max_new_tokens=practice.max_new_tokens)
        written = policy.generate_ids(
            [self._ids[number] for number, _ in asked],
            decoding,
            seeds=[noise_seed(self._seed, update, self._asked.rows[number], draw) for number, draw in asked],
        )
        rewards = self._reward.of(
            [self._asked.prompts[number] for number, _ in asked], [reply_of(one) for one in written]
        )
        groups = tuple(
            Group(self._ids[number], [list(one.tokens) for one in written[first : first + practice.samples]])
            for number, first in zip(numbers, range(0, len(written), practice.samples), strict=True)
        )
        mask, value_mask = (
            part.to(policy.device) for part in masks_of([len(one.tokens) for one in written], practice.max_new_tokens)
        )
        if self.reads_own:
            own = logprobs_at(policy, groups, mask.shape, practice.temperature)
        else:
            own = torch.zeros(mask.shape, device=policy.device)
            own[mask] = torch.tensor([value for one in written for value in one.logprobs], device=policy.device)
        with without_new(policy.model) if self._adapted else nullcontext():
            against = logprobs_at(self._reference, groups, mask.shape, practice.temperature)
        worth = torch.tensor(rewards, device=policy.device)
        ended = torch.tensor([one.finish == "end" for one in written], device=policy.device)
        special = torch.tensor([one.holds_special for one in written], device=policy.device)
        self._meter(groups)
        return Rollouts(
            groups=groups,
            samples=practice.samples,
            scores=scored(worth, ended, practice.missing_end_penalty),
            rewards=worth,
            ended=ended,
            special=special,
            mask=mask,
            value_mask=value_mask,
            logprobs=own,
            reference=against,
            values=torch.zeros_like(own),
        )

    @property
    def scorings(self) -> int:
        """How often every response is read once it is written."""
        return 2 if self.reads_own else 1

    def most_tokens(self, numbers: Sequence[int]) -> int:
        """Return the most tokens that the prompts and their responses can have."""
        longest = sum(len(self._ids[number]) + self._practice.max_new_tokens for number in numbers)
        return self._practice.samples * longest

    def _meter(self, groups: Sequence[Group]) -> None:
        meter = self._io.meter
        written = sum(len(response) for group in groups for response in group.responses)
        asked = sum(len(group.prompt) * len(group.responses) for group in groups)
        meter.generated_tokens += written
        scored = self.scorings * (asked + written)  # by the reference, and in bfloat16 by the policy that wrote
        meter.read_tokens += asked + scored
        meter.flops += READ_FLOPS * self._policy.parameters * (asked + written + scored)


def answerable(stage: TrainOnReward, policy: HFPolicy, prompts: Sequence[Prompt]) -> tuple[Answerable, LengthCounts]:
    """Return the prompts that leave room for ``max_new_tokens``, in order, and how many do not and are left out.

    Prompt and response may take ``max_length`` tokens, or the model's context where that is less. Raises StageError
    where none is left.
    """
    written = stage.practice.max_new_tokens
    room = longest(policy, stage.max_length) - written
    ids = [policy.prompt(prompt.chat) for prompt in prompts]
    places, counts = fitting_prompts(ids, room)
    if not places:
        raise StageError(
            f"{stage.label()}: none of {len(prompts)} prompts leaves room for a response: with max_new_tokens "
            f"{written} a prompt may have {room} tokens (the lesser of given.max_length and the model's context, "
            "without them). Lower max_new_tokens, raise given.max_length, or give shorter prompts."
        )
    return Answerable(places, [prompts[place] for place in places], [ids[place] for place in places]), counts
