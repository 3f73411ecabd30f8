"""Activations computed again: the same gradients, from fewer activations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from bench.core.errors import StageError
from bench.core.method import Lora
from bench.core.stage import StageIO
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_trainable
from bench.models.packing.decoder import decoder_of
from bench.models.packing.sharing import why_not_shared
from methods._train.loop.loop import Training, fit
from methods._train.loop.recompute import recomputed_activations
from methods._train.loop.tune import Example
from methods._train.settings import Optimisation
from methods._train.sft.train import sft_loss
from tests.methods.tiny import Bench, model, pretrained

SETTINGS = Optimisation(lr=1e-3, epochs=1, batch_size=4, max_grad_norm=None)


def gpt2() -> GPT2LMHeadModel:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return GPT2LMHeadModel(GPT2Config(vocab_size=34, n_embd=16, n_layer=2, n_head=2, n_positions=64))


def gradients(net: nn.Module) -> dict[str, Tensor]:
    """Filled while the model trains: the sum of the gradients that reached each parameter."""
    found: dict[str, Tensor] = {}

    def keep(name: str, part: nn.Parameter) -> None:
        part.register_post_accumulate_grad_hook(lambda part: found.update({name: part.grad.detach().clone()}))

    for name, part in net.named_parameters():
        if part.requires_grad:
            keep(name, part)
    return found


def trained(policy_io: StageIO, folder: Path, activations: str, lora: Lora | None) -> tuple[dict[str, Tensor], int]:
    """The gradients of one step, and how often the first layer was computed."""
    policy = load_trainable(pretrained(folder), policy_io, lora=lora, seed=0)
    why_not_shared(decoder_of(policy.model))  # its trial, once per model, is not to be counted
    calls: list[int] = []
    layer = next(module for name, module in policy.model.named_modules() if name.endswith("layers.0.mlp.gate_proj"))
    layer.register_forward_hook(lambda *_: calls.append(1))
    examples = [Example(row, Group([1, 5, 6], [[7 + row, 8, 2]])) for row in range(4)]
    found = gradients(policy.model)
    work = Training(policy.model, examples, [6] * 4, lambda batch: sft_loss(policy, batch))
    settings = SETTINGS.model_copy(update={"activations": activations})
    fit(work, settings, policy_io, budget=None, seed=0)
    assert not any(module.training for module in policy.model.modules())
    return found, len(calls)


@pytest.mark.parametrize("lora", [None, Lora(rank=4, dropout=0.5)], ids=["full", "lora"])
def test_recomputed_gradients_are_those_of_kept_activations(bench: Bench, tmp_path: Path, lora: Lora | None) -> None:
    kept, once = trained(bench.io("kept"), tmp_path / "a", "kept", lora)
    again, twice = trained(bench.io("again"), tmp_path / "b", "recomputed", lora)
    assert (once, twice) == (1, 2)
    assert kept.keys() == again.keys()
    for name, values in kept.items():
        assert (values - again[name]).abs().max() <= 1e-6, name
    assert any(bool(values.any()) for values in kept.values())


def test_other_architectures_and_clean_up() -> None:
    for net in (gpt2(), model()):
        net.eval()
        ids = torch.arange(4, 10)[None]
        before = gradient_of(net, ids)
        with recomputed_activations(net):
            again = gradient_of(net, ids)
        assert (before - again).abs().max() <= 1e-6
        assert not any(module.training for module in net.modules())


def gradient_of(net: PreTrainedModel, ids: Tensor) -> Tensor:
    net.zero_grad()
    net(ids, labels=ids).loss.backward()
    return torch.cat([part.grad.flatten() for part in net.parameters()])


def test_a_model_without_such_layers_is_refused() -> None:
    net = model()
    net.model.layers = nn.ModuleList()
    with pytest.raises(StageError, match="cannot compute its activations again"), recomputed_activations(net):
        pass
