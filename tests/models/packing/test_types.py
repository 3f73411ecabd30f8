"""Packed rows in every type: as plain rows, and each response the same whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.core.method import Lora
from bench.models.adapters import with_new_adapter
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.packing import llama_blocks, sharing
from bench.models.packing.decoder import decoder_of
from bench.models.packing.sharing import packs, trims
from tests.models.packing.test_sharing import GROUPS
from tests.models.tiny import tiny_model

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_packed_rows_are_the_plain_rows(family: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(family).to(TYPES[dtype])
    assert trims(decoder_of(model))
    found = response_logprobs(model, GROUPS, pad_id=0).sum()
    found.sum().backward()
    gradients = {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}
    model.zero_grad()
    with monkeypatch.context() as patch:
        patch.setattr("bench.models.likelihood.logprobs.packs", lambda _decoder: False)
        plain = response_logprobs(model, GROUPS, pad_id=0).sum()
        plain.sum().backward()
    rounding = 1e-4 if dtype == "float32" else 0.05
    torch.testing.assert_close(found, plain, atol=rounding, rtol=rounding)
    for name, part in model.named_parameters():
        size = float(part.grad.abs().max())
        torch.testing.assert_close(gradients[name], part.grad, atol=2 * rounding * max(size, 1.0), rtol=rounding)


@pytest.mark.parametrize("dtype", TYPES)
def test_autocast_takes_the_plain_path(dtype: str) -> None:
    model = tiny_model("llama").to(TYPES[dtype])
    expected = response_logprobs(model, GROUPS, pad_id=0).sum()
    with torch.autocast("cpu", torch.bfloat16):
        assert not packs(decoder_of(model))
        found = response_logprobs(model, GROUPS, pad_id=0).sum()
    found.sum().backward()
    torch.testing.assert_close(found, expected, atol=0.5, rtol=0.05)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("longest", [256, 12], ids=["all short", "some long"])
def test_a_response_is_the_same_whatever_is_beside_it(
    dtype: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_blocks, "LONGEST", longest)
    model: nn.Module = tiny_model("llama").to(TYPES[dtype])
    groups = [*GROUPS, Group(list(range(4, 19)), [[5, 6, 7, 2], [8, 9, 2]]), Group([4, 5, 6, 7], [[8, 2], [9, 10, 2]])]
    with torch.no_grad():
        together = response_logprobs(model, groups, pad_id=0).sum()
        alone = torch.cat([response_logprobs(model, [group, group], pad_id=0).sum()[: len(group.responses)]
                           for group in groups])  # fmt: skip
        assert together.equal(alone)
        # And with an adapter beside the weights that changes nothing yet.
        adapted = with_new_adapter(model, Lora(rank=2), 0)
        assert response_logprobs(adapted, groups, pad_id=0).sum().equal(together)
    assert sharing.trims(decoder_of(adapted))
