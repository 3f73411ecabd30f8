"""A loaded reward model: a decoder with a scalar head that is read at the last token of a response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.meter import READ_FLOPS
from bench.core.policy import Chat, Tuned
from bench.core.reward import REWARD_MODEL_KIND
from bench.core.stage import Stage, StageIO
from bench.models.decoding.sampling import batches
from bench.models.hf import HFPolicy
from bench.models.lengths import TokenRow, fit, longest_of
from bench.models.likelihood.logprobs import Group, last_token_states
from bench.models.load import load_model
from bench.models.tokenizer import reply_ids, yielding

HEAD_FILE = "head.safetensors"
# Tokens of one scoring batch, padding included; chosen on a two-core machine, changes results by rounding only.
TOKENS_AT_ONCE = 8_192
# Responses that share their prompt's computation: attention within a group grows with the square of its length.
RESPONSES_PER_GROUP = 8

Ids = tuple[int, ...]


class RewardModel:
    """A policy's decoder and a linear head: r(x, y) = w . h + b, h the last hidden state at y's last token.

    ``head`` holds w (1, width) and b (1), float32, after the stage's normalisation. Its device is the policy's.
    ``max_length``: the tokens that prompt and response may take together where texts are scored, as in training.
    """

    def __init__(self, policy: HFPolicy, head: nn.Linear, max_length: int) -> None:
        self.policy = policy
        self.head = head
        self.max_length = longest_of(max_length, policy.context)

    @torch.inference_mode()
    def scores(self, groups: Sequence[Group], io: StageIO | None = None) -> list[float]:
        """Return the reward of each response of ids, groups in order and responses within a group in order.

        The ids are read as they stand: nothing is cut and no end token is added. A prompt is computed once for all
        its responses where the model allows it. Read tokens are counted on the meter of ``io``, where there is one.
        Raises StageError for an empty prompt or response, and for a reward that is not finite.
        """
        found: dict[int, list[float]] = {}
        lengths = [group.shared_length() + len(group.responses) for group in groups]
        for numbers in batches(lengths, tokens_at_once=TOKENS_AT_ONCE):
            part = [groups[number] for number in numbers]
            rewards = rewards_of(self.policy, self.head, part)
            if not bool(torch.isfinite(rewards).all()):
                raise StageError("the reward model gives a response a reward that is not finite. Check its weights.")
            values = iter(rewards.tolist())
            for number in numbers:
                found[number] = [next(values) for _ in groups[number].responses]
            if io is not None:
                read = sum(lengths[number] for number in numbers)
                io.meter.read_tokens += read
                io.meter.flops += READ_FLOPS * self.policy.parameters * read
        return [value for number in range(len(groups)) for value in found[number]]

    def score_texts(
        self, chats: Sequence[Chat], responses: Sequence[Reply], io: StageIO | None = None
    ) -> list[float | None]:
        """Return the reward of each response to its chat; see ``score_rows``."""
        return self.score_rows(self.rows(chats, responses), io)

    def score_rows(self, rows: Iterable[TokenRow], io: StageIO | None = None) -> list[float | None]:
        """Return the reward of each response to its prompt, the end token of one that ended included, in order.

        Prompt and response are cut to ``max_length`` as in training, each response on its own, so that a score does
        not depend on what else is scored; ``cuts`` says which. None for a response that cannot be made to fit.
        Responses to equal prompts share their prompt's computation, and the same response to the same prompt is scored
        once, so that its scores are equal to the last bit.
        """
        groups: dict[Ids, dict[Ids, None]] = {}
        asked: list[tuple[Ids, Ids] | None] = []
        for row in rows:
            cut = fit(0, row, self.max_length)
            if cut is None:
                asked.append(None)
                continue
            prompt, response = tuple(cut.prompts[0]), tuple(cut.responses[0])
            groups.setdefault(prompt, {})[response] = None
            asked.append((prompt, response))
        distinct = [(prompt, response) for prompt, members in groups.items() for response in members]
        parts = [
            Group(prompt, list(members)[start : start + RESPONSES_PER_GROUP])
            for prompt, members in groups.items()
            for start in range(0, len(members), RESPONSES_PER_GROUP)
        ]
        found = dict(zip(distinct, self.scores(parts, io), strict=True))
        return [None if one is None else found[one] for one in asked]

    def cuts(self, rows: Iterable[TokenRow]) -> list[str]:
        """Return, for each response to its prompt, what of the two ``score_rows`` does not read; empty for nothing."""
        found = []
        for row in rows:
            prompt, (response,), cut = row.prompts[0].ids, row.responses, fit(0, row, self.max_length)
            if cut is None:
                found.append(f"{len(prompt)} tokens of the prompt leave no room within {self.max_length}")
                continue
            parts = (("prompt", prompt, cut.prompts[0]), ("response", response, cut.responses[0]))
            short = [
                f"{len(now)} of {len(before)} tokens of the {name}" for name, before, now in parts if now != before
            ]
            found.append(f"read with {' and '.join(short)}" if short else "")
        return found

    def rows(self, chats: Sequence[Chat], responses: Sequence[Reply]) -> Iterator[TokenRow]:
        """Yield a row for each response; one that was cut off before it had any text is read as its end token."""
        prompts = {chat: yielding(self.policy, chat) for chat in dict.fromkeys(chats)}
        for chat, reply in zip(chats, responses, strict=True):
            ids = reply_ids(self.policy, reply) or reply_ids(self.policy, Reply(reply.text))
            yield TokenRow((prompts[chat],), [ids], [reply.ended])


def rewards_of(policy: HFPolicy, head: nn.Linear, groups: Sequence[Group]) -> Tensor:
    """Return the reward of each response, float32 and with gradients where the model has any. Shape: (responses,)."""
    states = last_token_states(policy.model, groups, pad_id=policy.pad_id)
    with torch.autocast(states.device.type, enabled=False):
        rewards: Tensor = head(states.float())
    return rewards.squeeze(-1)


def load_reward_model(stage: Stage, io: StageIO) -> RewardModel:
    """Return the reward model that a finished stage trained, on ``io.device``, for inference.

    Raises StageError for a stage that trained no reward model, or whose head does not fit its policy.
    """
    if stage.KIND != REWARD_MODEL_KIND:
        raise StageError(
            f"{stage.label()} trained no reward model. Give a stage of the kind {REWARD_MODEL_KIND}, "
            "such as methods.reward_model plans."
        )
    fields = dict(stage)
    policy = load_model(Tuned(base=fields["init"], by=stage), io)
    return RewardModel(policy, read_head(io.read(stage), policy), fields["max_length"])


def new_head(policy: HFPolicy, seed: int) -> nn.Linear:
    """Return an untrained head: weights from N(0, 1/sqrt(width + 1)) by a generator of ``seed``, bias 0.

    The distribution is that of the reproduction of RLHF on TL;DR (arXiv:2403.17031); the second number is the
    standard deviation.
    """
    width = policy.model.config.get_text_config().hidden_size
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((1, width), generator=generator) / (width + 1) ** 0.5
    return _head(weight, torch.zeros(1), policy)


def save_head(head: nn.Linear, folder: Path) -> None:
    """Write the head (``weight``, shape (1, width), and ``bias``, shape (1,), float32) into a payload folder."""
    parts = {"weight": head.weight.detach().float().cpu(), "bias": head.bias.detach().float().cpu()}
    save_file({name: values.contiguous() for name, values in parts.items()}, folder / HEAD_FILE)


def read_head(folder: Path, policy: HFPolicy) -> nn.Linear:
    """Return the head in a payload folder, on the policy's device; raises StageError when it is not the policy's."""
    found = load_file(folder / HEAD_FILE)
    width = policy.model.config.get_text_config().hidden_size
    if set(found) != {"weight", "bias"} or tuple(found["weight"].shape) != (1, width):
        shapes = {name: tuple(values.shape) for name, values in found.items()}
        raise StageError(f"{HEAD_FILE} holds {shapes}, not a head for states of width {width}. Train the model again.")
    head = _head(found["weight"], found["bias"], policy)
    head.requires_grad_(False)
    return head


def _head(weight: Tensor, bias: Tensor, policy: HFPolicy) -> nn.Linear:
    with torch.device("meta"):
        head = nn.Linear(weight.shape[1], 1)
    head.weight, head.bias = nn.Parameter(weight), nn.Parameter(bias)
    return head.to(policy.device)
