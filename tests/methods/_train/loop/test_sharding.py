"""Weights shared out over processes: here over a group of one, which takes the same way as several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from bench.cli.run import EngineChoice
from bench.core.errors import BenchError, StageError
from bench.core.method import Lora
from bench.core.stage import Progress, StageIO
from bench.engine.store import Store
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_trainable
from methods._train.loop.checkpoint import read_checkpoint
from methods._train.loop.loop import Training, fit
from methods._train.loop.sharding import Shards, clip_divided, whole
from methods._train.loop.tune import Example
from methods._train.settings import Optimisation
from methods._train.sft.train import sft_loss
from tests.methods.tiny import Bench, log, model, pretrained

SETTINGS = Optimisation(lr=1e-2, epochs=3, batch_size=2, weight_decay=0.1, max_grad_norm=0.3)


@pytest.fixture
def group() -> Iterator[None]:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def training(policy: HFPolicy) -> Training[Example]:
    examples = [Example(row, Group([1, 5, 6], [[7 + row, 8 + row, 2]])) for row in range(4)]
    return Training(policy.model, examples, [6] * 4, lambda batch: sft_loss(policy, batch), checkpoint_steps=2)


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in net.named_parameters()}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert not isinstance(other[name], DTensor)
        assert (values - other[name]).abs().max() <= 1e-5, name


@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
@pytest.mark.parametrize("activations", ["kept", "recomputed"])
def test_shared_out_weights_train_and_resume_to_those_of_one_process(
    group: None, bench: Bench, tmp_path: Path, lora: Lora | None, activations: str
) -> None:
    settings = SETTINGS.model_copy(update={"activations": activations})
    plain, divided = bench.io("plain"), replace(bench.io("divided"), weights="sharded")
    alone = load_trainable(pretrained(tmp_path / "model"), plain, lora=lora, seed=0)
    fit(training(alone), settings, plain, budget=None, seed=0)

    divided_parts: list[bool] = []
    shared = load_trainable(pretrained(tmp_path / "model"), divided, lora=lora, seed=0)

    def kill(progress: Progress) -> None:
        divided_parts.append(any(isinstance(part, DTensor) for part in shared.model.parameters()))
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(training(shared), settings, replace(divided, on_progress=kill), budget=None, seed=0)
    assert divided_parts == [True] * 3
    left = read_checkpoint(divided)
    assert left is not None
    assert left.step == 2
    again = load_trainable(pretrained(tmp_path / "model"), divided, lora=lora, seed=0)
    fit(training(again), settings, divided, budget=None, seed=0)
    assert_close(weights(alone.model), weights(again.model))
    for row, other in zip(log(plain.out), log(divided.out), strict=True):
        assert row == pytest.approx(other, rel=1e-4)
    assert not any(isinstance(module, FSDPModule) for module in again.model.modules())
    assert not any(module.training for module in again.model.modules())
    mine, theirs = read_checkpoint(plain), read_checkpoint(divided)
    assert mine is not None and theirs is not None
    assert_close(mine.weights, theirs.weights)
    for number, entry in mine.optimiser["state"].items():
        assert_close(entry, theirs.optimiser["state"][number])


def test_gathered_blocks_are_whole_for_a_while(group: None) -> None:
    net = model().eval()
    ids = torch.arange(4, 12)[None]
    before = net(input_ids=ids).logits
    shards = Shards(net, {})
    with torch.no_grad(), shards.gathered():
        assert not any(isinstance(part, DTensor) for part in net.parameters())
        assert torch.equal(net(input_ids=ids).logits, before)
    assert any(isinstance(part, DTensor) for part in net.parameters())
    shards.give_back()
    assert torch.equal(net(input_ids=ids).logits, before)


@pytest.mark.parametrize("limit", [0.1, float("inf")])
def test_gradients_are_clipped_together(group: None, limit: float) -> None:
    nets = [model().eval() for _ in range(2)]
    shards = Shards(nets[1], {})
    ids = torch.arange(4, 12)[None]
    for net in nets:
        net(input_ids=ids, labels=ids).loss.backward()
    expected = torch.nn.utils.clip_grad_norm_(nets[0].parameters(), limit)
    assert float(clip_divided(list(nets[1].parameters()), limit)) == pytest.approx(float(expected), rel=1e-5)
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, whole(other.grad), atol=1e-6, rtol=1e-5)
    shards.give_back()


def test_blocks_that_share_weights_are_refused(group: None) -> None:
    net = model()
    net.model.layers[1].mlp.gate_proj.weight = net.model.layers[0].mlp.gate_proj.weight
    with pytest.raises(StageError, match="share weights with each other"):
        Shards(net, {})


def test_weights_are_divided_over_several_processes_only(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="say how many by --processes"):
        EngineChoice("sharded").open(Store(tmp_path), None)
    engine = EngineChoice("sharded", workers=1, processes=2).open(Store(tmp_path), None)
    assert [(slot.together.processes, slot.together.weights) for slot in engine.slots] == [(2, "sharded")]


def test_without_a_group_nothing_is_divided(bench: Bench, tmp_path: Path) -> None:
    io: StageIO = replace(bench.io(), weights="sharded")
    policy = load_trainable(pretrained(tmp_path), io, lora=None, seed=0)
    fit(training(policy), SETTINGS, io, budget=None, seed=0)
    assert len(log(io.out)) == 6
