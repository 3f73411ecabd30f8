"""Compiled layers train to what eager ones do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import StageError
from bench.core.method import Lora
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_trainable
from bench.models.packing.decoder import decoder_of
from bench.models.packing.sharing import packs
from methods._train.loop import compile as graph
from methods._train.loop.compile import compiled_blocks
from methods._train.loop.loop import Training, fit
from methods._train.loop.tune import Example
from methods._train.settings import Optimisation
from methods._train.sft.train import sft_loss
from tests.long import with_a_shorter_sister
from tests.methods._train.loop.test_recompute import gradients
from tests.methods.tiny import Bench, log, model, pretrained

SETTINGS = Optimisation(lr=1e-3, epochs=1, batch_size=4, max_grad_norm=None)
RESPONSES = [[7, 8, 2], [9, 2], [10, 11, 12, 13, 2], [2]]


def trained(bench: Bench, folder: Path, name: str, lora: Lora | None) -> dict[str, Tensor]:
    """The gradients of one step, and its loss."""
    io = bench.io(name)
    policy = load_trainable(pretrained(folder), io, lora=lora, seed=0)
    packed: list[bool] = []
    examples = [Example(row, Group([1, *range(5, 6 + row)], [ids, ids[:1]])) for row, ids in enumerate(RESPONSES)]
    found = gradients(policy.model)

    def loss_of(batch: list[Example]) -> object:
        packed.append(packs(decoder_of(policy.model)))
        return sft_loss(policy, batch)

    settings = SETTINGS.model_copy(update={"graph": name})
    fit(Training(policy.model, examples, [6] * 4, loss_of), settings, io, budget=None, seed=0)
    assert packed == [name == "eager"]
    assert packs(decoder_of(policy.model))
    return {**found, "loss": torch.tensor(log(io.out)[0]["loss"])}


# Not inductor: it takes minutes to compile where this is tested. aot_eager traces and differentiates as it does; eager
# only traces, at a third of the time: that all weights are differentiated as well, test_equality.py shows.
@pytest.mark.parametrize(
    ("lora", "backend"),
    [(None, "eager"), pytest.param(Lora(rank=4), "aot_eager", marks=with_a_shorter_sister)],
    ids=["full", "lora"],
)
def test_compiled_equals_eager_with_gradients(
    bench: Bench, tmp_path: Path, lora: Lora | None, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "BACKEND", backend)
    eager = trained(bench, tmp_path / "model", "eager", lora)
    compiled = trained(bench, tmp_path / "model", "compiled", lora)
    assert eager.keys() == compiled.keys()
    for name, values in eager.items():
        assert (values - compiled[name]).abs().max() <= 1e-5 * max(1.0, float(values.abs().max())), name
    assert any(bool(values.any()) for values in eager.values())


def test_a_compiler_that_fails_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_graph: nn.Module, _inputs: list[Tensor]) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(graph, "BACKEND", broken)
    net = model().eval()
    with pytest.raises(StageError, match="(?s)no compiler here.*Set graph to eager"), compiled_blocks(net):
        net(input_ids=torch.arange(4, 8)[None])
    assert net(input_ids=torch.arange(4, 8)[None]).logits.shape == (1, 4, net.config.vocab_size)
