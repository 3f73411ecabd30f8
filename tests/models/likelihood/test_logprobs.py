from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

import bench.models.likelihood.logprobs as under_test
from bench.core.errors import StageError
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.packing.decoder import decoder_of
from bench.models.packing.halves import check_halves
from tests.models.tiny import FAMILIES, tiny_model

GROUPS = [
    Group([1, 5, 6, 7], [[8, 9, 2], [10, 2]]),
    Group([1, 11], [[12, 13, 14, 15, 16, 2]]),
    Group([1, 17, 18, 19, 20, 21, 22], [[2], [23, 24]]),
]
ROWS = [(group.prompt, response) for group in GROUPS for response in group.responses]


def naive(model: torch.nn.Module, prompt: list[int], response: list[int]) -> Tensor:
    """Log-probabilities of one row alone from the model's whole logits."""
    logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].float()
    scores = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return scores[torch.arange(len(response)), torch.tensor(response)]


def gradients(model: torch.nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=False))


@pytest.mark.parametrize("at_once", [2**26, 3 * 50])
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_naive_computation_with_gradients(
    family: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "LOGITS_AT_ONCE", at_once)
    model = tiny_model(family)
    found = response_logprobs(model, GROUPS, pad_id=0)
    expected = [naive(model, *row) for row in ROWS]
    assert found.values.dtype == torch.float32
    assert found.mask.sum(-1).tolist() == [len(response) for _, response in ROWS]
    for row, one in enumerate(expected):
        torch.testing.assert_close(found.values[row, : len(one)], one, atol=1e-5, rtol=0)
        assert not found.values[row, len(one) :].any()
    torch.testing.assert_close(found.sum(), torch.stack([one.sum() for one in expected]), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.mean(), torch.stack([one.mean() for one in expected]), atol=1e-5, rtol=0)
    weights = torch.linspace(-1, 1, len(ROWS))
    ours = gradients(model, (found.sum() * weights).sum())
    theirs = gradients(model, sum(one.sum() * weight for one, weight in zip(expected, weights, strict=True)))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_neither_the_batch_nor_the_padding_token_changes_a_row(family: str) -> None:
    model = tiny_model(family)
    together = response_logprobs(model, GROUPS, pad_id=0).sum()
    torch.testing.assert_close(response_logprobs(model, GROUPS, pad_id=33).sum(), together, atol=1e-5, rtol=0)
    alone = torch.cat(
        [response_logprobs(model, [Group(prompt, [response])], pad_id=0).sum() for prompt, response in ROWS]
    )
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    backwards = response_logprobs(model, GROUPS[::-1], pad_id=0).sum()
    torch.testing.assert_close(backwards[[3, 4, 2, 0, 1]], together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_left_padded_model_call_gives_the_same(family: str) -> None:
    model = tiny_model(family)
    width = max(len(prompt) + len(response) for prompt, response in ROWS)
    ids = torch.tensor(
        [[0] * (width - len(prompt) - len(response)) + [*prompt, *response] for prompt, response in ROWS]
    )
    lengths = torch.tensor([len(prompt) + len(response) for prompt, response in ROWS])[:, None]
    place = torch.arange(width) - (width - lengths)
    logits = model(input_ids=ids, attention_mask=place >= 0, position_ids=place.clamp_min(0)).logits
    scores = logits.float().log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    expected = torch.stack([scores[row, -len(response) :].sum() for row, (_, response) in enumerate(ROWS)])
    found = response_logprobs(model, GROUPS, pad_id=0).sum()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_works_under_an_adapter(family: str) -> None:
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)  # peft takes no generator
        model = get_peft_model(tiny_model(family), settings)
    found = response_logprobs(model, GROUPS, pad_id=0)
    expected = torch.stack([naive(model, *row).sum() for row in ROWS])
    torch.testing.assert_close(found.sum(), expected, atol=1e-5, rtol=0)
    for one, other in zip(gradients(model, found.sum().sum()), gradients(model, expected.sum()), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    with model.disable_adapter():
        plain = response_logprobs(model, GROUPS, pad_id=0).sum()
    torch.testing.assert_close(plain, response_logprobs(tiny_model(family), GROUPS, pad_id=0).sum(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("group", [Group([], [[3, 2]]), Group([1, 4], [[3], []])])
def test_a_row_without_prompt_or_response_is_refused(group: Group) -> None:
    with pytest.raises(StageError, match="empty"):
        response_logprobs(tiny_model("llama"), [group], pad_id=0)


def test_a_known_scale_and_softcap_of_the_logits_are_applied() -> None:
    from transformers import CohereConfig, CohereForCausalLM, Gemma2Config, Gemma2ForCausalLM

    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    gemma = Gemma2ForCausalLM(Gemma2Config(vocab_size=50, num_key_value_heads=1, head_dim=8, **shape)).eval()
    cohere = CohereForCausalLM(CohereConfig(vocab_size=50, num_key_value_heads=1, logit_scale=0.25, **shape)).eval()
    check_halves(gemma)
    check_halves(cohere)
    assert decoder_of(gemma).softcap == 30.0
    assert decoder_of(cohere).scale == 0.25


def test_an_unknown_change_of_the_logits_is_refused() -> None:
    class Shifted(type(tiny_model("llama"))):  # type: ignore[misc]
        def forward(self, *args: object, **kwargs: object) -> object:
            found = super().forward(*args, **kwargs)
            found.logits = found.logits * 2
            return found

    model = tiny_model("llama")
    model.__class__ = Shifted
    with pytest.raises(StageError, match="after the head"):
        check_halves(model)
