"""A model decodes by a way that was seen to be right: no row reads its neighbours, their padding or their length."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from bench.core.policy import Decoding
from bench.models.decoding import session as under_test
from bench.models.decoding.cache import GrowingLayer
from bench.models.decoding.sampling import draw_batch
from bench.models.decoding.session import open_session, way_of
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.packing.decoder import decoder_of
from tests.families.families import BY_NAME
from tests.models.tiny import tiny_model

SHORT, LONG = Group([5, 9, 6], [[7, 8, 4]]), Group([4, *range(10, 30)], [[9, 5, 20, 11, 6, 14]])


def written(model: PreTrainedModel, prompts: list[list[int]], count: int) -> list[Tensor]:
    drawn = draw_batch(
        open_session(model, prompts, 0), Decoding(temperature=0, max_new_tokens=count), [0] * len(prompts),
        frozenset(), lambda _count: None,
    )  # fmt: skip
    return [torch.tensor(row.logprobs) for row in drawn]


@pytest.mark.parametrize("name", ["Phi-3, longrope", "Llama, dynamic RoPE"])
def test_a_row_is_read_by_its_own_length(name: str) -> None:
    model = BY_NAME[name].build()
    together = response_logprobs(model, [LONG, SHORT, LONG], pad_id=0).values.detach()
    for row, group in enumerate((LONG, SHORT, LONG)):
        alone = response_logprobs(model, [group], pad_id=0).values.detach()[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=1e-5)
    # The prompts cross the length of pretraining one after the other while they are written on.
    prompts = [list(SHORT.prompt), list(LONG.prompt), list(range(4, 16))]
    for prompt, found in zip(prompts, written(model, prompts, 16), strict=True):
        (alone,) = written(model, [prompt], 16)
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


def test_gradients_do_not_depend_on_a_longer_neighbour() -> None:
    model = BY_NAME["Phi-3, longrope"].build()

    def gradient(groups: list[Group], row: int) -> Tensor:
        model.zero_grad()
        response_logprobs(model, groups, pad_id=0).sum()[row].backward()
        return model.model.layers[0].self_attn.qkv_proj.weight.grad.clone()

    torch.testing.assert_close(gradient([LONG, SHORT], 1), gradient([SHORT], 0), atol=1e-5, rtol=1e-5)


def test_the_trial_is_made_once_said_once_and_draws_nothing(caplog: pytest.LogCaptureFixture) -> None:
    model = BY_NAME["RWKV"].build()
    before = torch.random.get_rng_state()
    with caplog.at_level(logging.WARNING, logger=under_test.__name__):
        open_session(model, [[4, 5], [6]], 0)
        runs: list[int] = []
        model.rwkv.register_forward_hook(lambda *_arguments: runs.append(1))
        open_session(model, [[4, 5], [6]], 0)
    assert len(runs) == 1
    said = [record.message for record in caplog.records if record.name == under_test.__name__]
    assert [text.count("without a cache") for text in said] == [1]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_cache_that_is_dropped_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GrowingLayer.update

    def forgets(self: GrowingLayer, keys: Tensor, values: Tensor, *args: object, **kwargs: object) -> object:
        right(self, keys, values)
        return keys, values

    assert way_of(decoder_of(tiny_model("llama"))).name == "cached"
    monkeypatch.setattr(GrowingLayer, "update", forgets)
    assert way_of(decoder_of(tiny_model("llama"))).name == "own cache"


@pytest.mark.parametrize("name", ["level", "staying", "reread"])
def test_every_way_writes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    prompts = [[4, 5, 6], [7], [4, 5, 6], [8, 9, 10, 11, 12], [20]]

    def drawn() -> list[list[int]]:
        found = draw_batch(
            open_session(model, prompts, 0), Decoding(max_new_tokens=12), [1, 2, 3, 4, 5],
            frozenset(range(14)), lambda _count: None,
        )  # fmt: skip
        return [row.tokens for row in found]

    expected = drawn()
    assert len({len(tokens) for tokens in expected}) > 2
    way = next(way for way in under_test.WAYS if way.name == name)
    monkeypatch.setattr(under_test, "way_of", lambda _decoder: way)
    assert drawn() == expected
