"""The body of reward-model training: a scalar head on the last token, and the pairwise logistic loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from bench.core.data import DataSpec
from bench.core.errors import StageError
from bench.core.lengths import told
from bench.core.stage import StageIO
from bench.models.reward_model import RewardModel, new_head, rewards_of, save_head
from bench.models.tokenised.token_rows import TokenRows, demonstration_rows, preference_rows
from methods._train.fine_tuning import FineTuning
from methods._train.loop import ranks
from methods._train.loop.loop import LossSum, write_diagnostics
from methods._train.loop.tune import Example, Examples, examples_of, loaded, train, training_of
from methods._train.pairs.labels import labels_of
from methods._train.pairs.score_reference import pair_examples
from methods._train.rewards.held_out import Labels, held_out_prompts, measured


def preference_loss(chosen: Tensor, rejected: Tensor, probability: Tensor, margin: Tensor) -> Tensor:
    """Return the loss of each pair; all four inputs and the result have shape (pairs,).

    Bradley-Terry's likelihood of the labels (Stiennon et al. 2020, arXiv:2009.01325), with soft labels p (cross-entropy
    as for RLAIF, arXiv:2309.00267) and margins m (Llama 2, arXiv:2307.09288, equation 2)::

        d = r(x, chosen) - r(x, rejected) - m
        L = - p log sigmoid(d) - (1 - p) log sigmoid(-d)

    It is the rule of ``methods._train.pairs.labels``. Its minimum over d is the entropy of p, at d = logit(p). The
    paper has margins with hard labels (p = 1) only.
    """
    difference = chosen - rejected - margin
    return -(probability * logsigmoid(difference) + (1 - probability) * logsigmoid(-difference))


@dataclass(frozen=True)
class RewardModelFit:
    """What is done beside training; see ``methods._train.rewards.stage.TrainRewardModel``, whose fields these are."""

    held_out: float
    references: DataSpec | None
    spread: Literal["natural", "unit"]


def train_reward_model(stage: FineTuning, io: StageIO, fit: RewardModelFit) -> None:
    """Train ``stage.init`` with a head on the pairs, normalise it, measure it, and write all of it."""
    policy = loaded(stage, io)
    rows = preference_rows(stage.data, policy, io)
    head = new_head(policy, stage.seed)
    examples, lengths = pair_examples(policy, rows, stage.max_length)
    kept = held_out_prompts(rows.prompt.tolist(), fit.held_out, stage.seed)
    labels = labels_of(rows, policy.device)

    def loss_of(batch: Sequence[Example]) -> LossSum:
        numbers = [example.row for example in batch]
        rewards = rewards_of(policy, head, [example.group for example in batch]).view(-1, 2)
        return pair_loss(rewards[:, 0], rewards[:, 1], labels.probability[numbers], labels.margin[numbers])

    trained = examples.where(lambda row: row not in kept)
    if not trained:
        raise StageError(f"{stage.label()}: no pair is left to train on beside those held out. Lower held_out.")
    training = training_of(policy, trained, loss_of)
    train(stage, io, policy, replace(training, model=nn.ModuleList([policy.model, head])))
    if not ranks.is_main():
        return
    model = RewardModel(policy, head.requires_grad_(False), stage.max_length)
    measuring = examples.where(lambda row: row in kept)
    found: dict[str, object] = {
        "trained_pairs": len(trained),
        "held_out": held_out(model, rows, measuring, io) if measuring else None,
        **normalise(fit, io, model, examples),
    }
    save_head(head, io.out)
    write_diagnostics({**found, **told([lengths])}, io)


def pair_loss(chosen: Tensor, rejected: Tensor, probability: Tensor, margin: Tensor) -> LossSum:
    """Return the loss of a forward pass, summed over its pairs.

    The metrics: ``chosen_reward`` and ``rejected_reward``, before normalisation, and ``accuracy``, how often the
    response with the label of more than one half has the higher reward; equal rewards and labels of one half count
    one half.
    """
    better, likelier = (chosen - rejected).detach().sign(), (probability - 0.5).sign()
    return LossSum(
        preference_loss(chosen, rejected, probability, margin).sum(),
        len(chosen),
        {
            "chosen_reward": chosen.detach().sum(),
            "rejected_reward": rejected.detach().sum(),
            "accuracy": ((better * likelier + 1) / 2).sum(),
        },
    )


def normalise(fit: RewardModelFit, io: StageIO, model: RewardModel, pairs: Examples) -> dict[str, float | int]:
    """Change the head so that reference responses have a mean reward of 0, and the spread that the stage asks for.

    Returns ``references`` (how many), ``shift`` (their mean reward before) and ``scale`` (what the rewards were divided
    by). Raises StageError when all responses have one reward and the spread cannot become 1.
    """
    references = [example.group for example in pairs]
    if fit.references is not None:
        rows = demonstration_rows(fit.references, model.policy, io)
        known, _ = examples_of(model.policy, "demonstrations", rows, model.max_length)
        references = [example.group for example in known]
    found = np.array(model.scores(references, io))
    shift, scale = float(found.mean()), 1.0
    if fit.spread == "unit":
        own = found if fit.references is None else np.array(model.scores([one.group for one in pairs], io))
        scale = float(own.std())
        if scale == 0:
            raise StageError(
                "the reward model gives all responses of the pairs one reward, so its spread cannot become 1. "
                "Train longer or with a higher lr, or set spread to natural."
            )
    with torch.no_grad():
        model.head.bias.sub_(shift).div_(scale)
        model.head.weight.div_(scale)
    return {"references": len(found), "shift": shift, "scale": scale}


def held_out(model: RewardModel, rows: TokenRows, pairs: Examples, io: StageIO) -> dict[str, object]:
    """Return how well the rewards, not yet divided by a spread, agree with labels that were not trained on."""
    rewards = np.array(model.scores([example.group for example in pairs], io)).reshape(-1, 2)
    own = pairs.rows()
    prompts = rows.prompt[own].tolist()
    last = {prompt: number for number, prompt in enumerate(prompts)}
    labels = Labels(
        probability=np.array(rows.probability[own]),
        longer_by=pairs.fitted.responses[:, 0] - pairs.fitted.responses[:, 1],
        prompt=np.unique([last[prompt] for prompt in prompts], return_inverse=True)[1],
    )
    return measured(rewards[:, 0] - rewards[:, 1], labels)
