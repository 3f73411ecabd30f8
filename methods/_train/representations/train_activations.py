"""The body of RAHF's second step: an adapter is trained towards edited hidden states.

``diagnostics.json`` says, per layer, over the response tokens of the first rows and with the adapter as it came out:
``difference_norm``, the mean L2 norm of good minus bad; ``cosine_to_mean``, the mean cosine between a token's
difference and the mean difference (1 where one direction tells good from bad, near 0 where there is none); ``loss``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.core.lengths import told
from bench.core.policy import PolicySpec, weights_of
from bench.core.stage import StageIO
from bench.models.adapters import without_new
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group, states_at_responses
from bench.models.load import load_model
from bench.models.packing.decoder import decoder_of
from bench.models.packing.hidden_states import depth
from methods._train.fine_tuning import FineTuning
from methods._train.loop import ranks
from methods._train.loop.batches import micro_batches
from methods._train.loop.loop import LossSum, Training, write_diagnostics
from methods._train.loop.tune import loaded, train
from methods._train.pairs.contexts import Contexts, contexts, tokens_of, wordings_of

# The rows that diagnostics are measured on, and the tokens of one forward pass there, padding included.
MEASURED_ROWS = 256
TOKENS_AT_ONCE = 8192

# (states, base, difference), each (tokens, width), to the loss of each token.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Aim:
    """Whose states are compared, and where; see ``methods.rahf.TrainActivity``."""

    good: PolicySpec
    bad: PolicySpec
    layers: tuple[float, ...]
    response_tokens: int
    responses: Literal["both", "random"]
    mean: Literal["response", "padded"]


@dataclass(frozen=True)
class Reader:
    """The policy in training, the good and the bad one, and the layers that are read."""

    policy: HFPolicy
    good: HFPolicy
    bad: HFPolicy
    layers: tuple[int, ...]

    def states(self, part: Sequence[Contexts]) -> dict[int, Tensor]:
        """Return the policy's states at the response tokens: per layer (tokens, width), with gradients."""
        return _states(self.policy, [example.groups[0] for example in part], self.layers)

    @torch.no_grad()
    def targets(self, part: Sequence[Contexts]) -> dict[int, tuple[Tensor, Tensor]]:
        """Return the base's states and good minus bad, per layer, both (tokens, width) float32."""
        readings = []
        for place, policy in enumerate((self.policy, self.good, self.bad)):
            with without_new(policy.model):
                readings.append(_states(policy, [example.groups[place] for example in part], self.layers))
        base, good, bad = readings
        return {layer: (base[layer], good[layer] - bad[layer]) for layer in self.layers}


def train_activations(stage: FineTuning, io: StageIO, aim: Aim, loss: Loss) -> None:
    """Train an adapter over ``stage.init`` by ``loss``, shape (tokens,), averaged over tokens and layers."""
    policy = loaded(stage, io)
    rows = wordings_of(stage.data, policy, stage.wordings(), io)
    reader = _reader(stage, io, policy, aim)
    picked = np.random.default_rng([stage.seed, len(rows)]).integers(2, size=len(rows))
    found, lengths = contexts(policy, rows, stage.max_length)
    examples = [Contexts(one.row, tuple(_read(group, aim, picked[one.row]) for group in one.groups)) for one in found]
    training = Training(
        policy.model,
        examples,
        tokens=[tokens_of(example.groups[0]) for example in examples],
        read=[sum(map(tokens_of, example.groups)) for example in examples],
        padded=[max(group.shared_length() for group in example.groups) for example in examples],
        loss_of=lambda part: activations_sum(reader, part, aim, loss),
    )
    train(stage, io, policy, training)
    if ranks.is_main():
        layers = diagnostics(reader, examples[:MEASURED_ROWS], loss)
        write_diagnostics({"layers": layers, **told([lengths])}, io)


def layers_at(fractions: Sequence[float], count: int) -> tuple[int, ...]:
    """Return the layers of a model of ``count`` blocks at fractions of its depth, each once, from 1 to ``count``."""
    return tuple(sorted({max(1, math.floor(fraction * count + 0.5)) for fraction in fractions}))


def activations_sum(reader: Reader, part: Sequence[Contexts], aim: Aim, loss: Loss) -> LossSum:
    """Return the loss of a forward pass, summed over its response tokens and averaged over the layers.

    The metrics of layer l: ``loss_l``, ``difference_l`` (mean norm of good minus bad) and ``cosine_l`` (mean cosine of
    a token's difference with the mean difference of its forward pass).
    """
    targets = reader.targets(part)
    states = reader.states(part)
    responses = [response for example in part for response in example.groups[0].responses]
    tokens = sum(map(len, responses))
    weight = tokens if aim.mean == "response" else len(responses) * aim.response_tokens
    losses, metrics = [], {}
    for layer, (base, difference) in targets.items():
        found = loss(states[layer], base, difference).sum()
        losses.append(found)
        direction = normalize(difference.mean(0), dim=0)
        metrics[f"loss_{layer}"] = found.detach()
        # Means over tokens whatever the loss is divided by.
        metrics[f"difference_{layer}"] = difference.norm(dim=-1).mean() * weight
        metrics[f"cosine_{layer}"] = (normalize(difference, dim=-1) @ direction).mean() * weight
    return LossSum(torch.stack(losses).mean(), weight, metrics)


@torch.no_grad()
def diagnostics(reader: Reader, examples: Sequence[Contexts], loss: Loss) -> list[dict[str, float]]:
    """Return a row per layer: ``layer``, ``fraction`` of the depth, and what the module's text says."""
    tokens = 0
    sums = {layer: [0.0, 0.0] for layer in reader.layers}  # of the losses and of the norms
    vectors: dict[int, Tensor] = {}  # (2, width): the sums of the differences and of their directions
    lengths = [max(group.shared_length() for group in example.groups) for example in examples]
    for numbers in micro_batches(np.arange(len(examples)), lengths, TOKENS_AT_ONCE):
        part = [examples[number] for number in numbers]
        targets, states = reader.targets(part), reader.states(part)
        tokens += len(states[reader.layers[0]])
        for layer, (base, difference) in targets.items():
            sums[layer][0] += float(loss(states[layer], base, difference).sum())
            sums[layer][1] += float(difference.norm(dim=-1).sum())
            both = torch.stack([difference.sum(0), normalize(difference, dim=-1).sum(0)])
            vectors[layer] = vectors[layer] + both if layer in vectors else both
    blocks = depth(decoder_of(reader.policy.model))
    return [
        {
            "layer": layer,
            "fraction": layer / blocks,
            "difference_norm": sums[layer][1] / tokens,
            "cosine_to_mean": float(normalize(vectors[layer][0], dim=0) @ vectors[layer][1]) / tokens,
            "loss": sums[layer][0] / tokens,
        }
        for layer in reader.layers
    ]


def _reader(stage: FineTuning, io: StageIO, policy: HFPolicy, aim: Aim) -> Reader:
    """Return the reader; weights that are the same are in memory once, the adapter switched off where need be."""
    seen: list[tuple[PolicySpec, HFPolicy]] = [(weights_of(stage.init), policy)]

    def reading(spec: PolicySpec) -> HFPolicy:
        weights = weights_of(spec)
        for known, one in seen:
            if known == weights:
                return one
        seen.append((weights, load_model(weights, io)))
        return seen[-1][1]

    layers = layers_at(aim.layers, depth(decoder_of(policy.model)))
    return Reader(policy, reading(aim.good), reading(aim.bad), layers)


def _read(group: Group, aim: Aim, picked: int) -> Group:
    """Return what is compared of a group: the beginnings of both responses, or of the picked one."""
    responses = group.responses if aim.responses == "both" else [group.responses[picked]]
    return Group(group.prompt, [response[: aim.response_tokens] for response in responses])


def _states(policy: HFPolicy, groups: Sequence[Group], layers: tuple[int, ...]) -> dict[int, Tensor]:
    found = states_at_responses(policy.model, groups, pad_id=policy.pad_id, layers=layers).layers
    return {layer: states.float() for layer, states in found.items()}
