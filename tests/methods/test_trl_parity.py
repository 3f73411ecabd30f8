"""Loss and gradient of one step equal TRL's on the same tokens (float32, 1e-5); TRL is an oracle, not a dependency."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group
from bench.models.reward_model import rewards_of
from methods._train.loop.tune import Example
from methods._train.pairs.logprobs import PairLogprobs
from methods._train.pairs.train import pair_logprobs
from methods._train.rewards.train import pair_loss
from methods._train.sft.train import sft_loss
from methods.dpo import dpo_loss
from methods.hinge import hinge_loss
from methods.ipo import ipo_loss
from methods.rdpo import rdpo_loss
from tests.methods.tiny import PREFERENCES, model, pretrained, tokenizer

pytest.importorskip("trl", reason="TRL is not installed: pip install alignment-bench[oracles]")

TOLERANCE = 1e-5


def encoded() -> list[tuple[list[int], list[int], list[int]]]:
    """Prompt, chosen and rejected of every pair as tokens, of many different lengths."""
    letters = tokenizer()

    def ids(text: str) -> list[int]:
        return [int(token) for token in letters(text, add_special_tokens=False)["input_ids"]]

    return [
        ([1, *ids(row["prompt"] + "?")], [*ids(row["chosen"]), 2], [*ids(row["rejected"]), 2]) for row in PREFERENCES
    ]


def policy_of(net: LlamaForCausalLM, folder: Path) -> HFPolicy:
    return HFPolicy(pretrained(folder), net, tokenizer())


def gradients(net: torch.nn.Module) -> dict[str, Tensor]:
    return {name: part.grad.clone() for name, part in net.named_parameters() if part.grad is not None}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        assert (gradient - theirs[name]).abs().max() < TOLERANCE, name


def arguments(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "trl"),
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "fp16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
    }


@pytest.mark.parametrize(("loss_type", "smoothing"), [("sigmoid", 0.0), ("robust", 0.1), ("hinge", 0.0), ("ipo", 0.0)])
def test_pair_losses(tmp_path: Path, loss_type: str, smoothing: float) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    beta = 0.3
    ours = {
        "sigmoid": lambda policy, reference: dpo_loss(policy, reference, beta),
        "robust": lambda policy, reference: rdpo_loss(policy, reference, beta, smoothing),
        "hinge": lambda policy, reference: hinge_loss(policy, reference, beta),
        "ipo": lambda policy, reference: ipo_loss(policy, reference, beta, "mean"),
    }[loss_type]
    net, frozen = model(seed=1), model(seed=2).eval()
    settings = DPOConfig(**arguments(tmp_path), beta=beta, loss_type=[loss_type], label_smoothing=smoothing)
    trainer = DPOTrainer(
        model=copy.deepcopy(net),
        ref_model=copy.deepcopy(frozen),
        args=settings,
        train_dataset=Dataset.from_list(PREFERENCES),
        processing_class=tokenizer(),
    )
    rows = encoded()
    batch = DataCollatorForPreference(pad_token_id=0)(
        [{"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected} for prompt, chosen, rejected in rows]
    )
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    examples = [
        Example(number, Group(prompt, [chosen, rejected])) for number, (prompt, chosen, rejected) in enumerate(rows)
    ]
    with torch.no_grad():
        reference: PairLogprobs = pair_logprobs(policy_of(frozen, tmp_path / "reference"), examples)
    our_loss = ours(pair_logprobs(policy_of(net, tmp_path / "policy"), examples), reference).mean()
    our_loss.backward()
    assert our_loss.item() == pytest.approx(their_loss.item(), abs=TOLERANCE)
    assert_close(gradients(net), gradients(trainer.model))


def test_sft_loss(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    net = model(seed=1)
    rows = encoded()
    dataset = Dataset.from_list(
        [
            {
                "input_ids": prompt + chosen,
                "completion_mask": [0] * len(prompt) + [1] * len(chosen),
            }
            for prompt, chosen, _ in rows
        ]
    )
    trainer = SFTTrainer(
        model=copy.deepcopy(net),
        args=SFTConfig(**arguments(tmp_path), completion_only_loss=True, packing=False, loss_type="nll"),
        train_dataset=dataset,
        processing_class=tokenizer(),
    )
    batch = trainer.data_collator([trainer.train_dataset[number] for number in range(len(rows))])
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    examples = [Example(number, Group(prompt, [chosen])) for number, (prompt, chosen, _) in enumerate(rows)]
    found = sft_loss(policy_of(net, tmp_path / "policy"), examples)
    our_loss = found.total / found.weight
    our_loss.backward()
    assert our_loss.item() == pytest.approx(their_loss.item(), abs=TOLERANCE)
    assert_close(gradients(net), gradients(trainer.model))


@pytest.mark.parametrize("margins", [False, True], ids=["plain", "margins"])
def test_reward_model_loss(tmp_path: Path, margins: bool) -> None:
    from datasets import Dataset
    from transformers import LlamaForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    net, head = model(seed=1), nn.Linear(16, 1)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, 16)[None])
        head.bias.zero_()
    theirs = LlamaForSequenceClassification(copy.deepcopy(net.config))
    theirs.config.num_labels = 1
    theirs.num_labels = 1
    theirs.score = nn.Linear(16, 1, bias=False)
    theirs.model.load_state_dict(net.model.state_dict())
    theirs.score.load_state_dict({"weight": head.weight})
    rows = encoded()
    margin = [0.25 * number if margins else 0.0 for number in range(len(rows))]
    columns = [{"chosen_ids": prompt + chosen, "rejected_ids": prompt + rejected} for prompt, chosen, rejected in rows]
    if margins:
        columns = [{**row, "margin": value} for row, value in zip(columns, margin, strict=True)]
    trainer = RewardTrainer(
        model=theirs,
        args=RewardConfig(**arguments(tmp_path)),
        train_dataset=Dataset.from_list(columns),
        processing_class=tokenizer(),
    )
    batch = trainer.data_collator([trainer.train_dataset[number] for number in range(len(rows))])
    their_loss = trainer.compute_loss(trainer.model, batch)
    their_loss.backward()

    policy = policy_of(net, tmp_path / "policy")
    rewards = rewards_of(policy, head, [Group(prompt, [chosen, rejected]) for prompt, chosen, rejected in rows])
    chosen, rejected = rewards.view(-1, 2).unbind(-1)
    found = pair_loss(chosen, rejected, torch.ones(len(rows)), torch.tensor(margin))
    our_loss = found.total / found.weight
    our_loss.backward()
    assert our_loss.item() == pytest.approx(their_loss.item(), abs=TOLERANCE)
    assert_close(gradients(net.model), gradients(trainer.model.model))
    assert_close({"weight": gradients(head)["weight"]}, gradients(trainer.model.score))
