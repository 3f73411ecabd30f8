"""A prompt computed once for all its responses gives what separate rows give: values, gradients, any architecture."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from bench.models.likelihood.logprobs import response_logprobs
from bench.models.packing.decoder import decoder_of
from bench.models.packing.layout import Group, block_mask, lay_out_groups, lay_out_rows, predicting_states
from bench.models.packing.sharing import why_not_shared
from tests.models.tiny import FAMILIES, tiny_model

# Prompts of very different lengths, a response of its end token alone, groups of 1, 2 and 8.
GROUPS = [
    Group([1, *range(4, 44)], [[5, 6, 7, 2], [2]]),
    Group([1], [[9, 2], [10, 11, 12, 13, 14, 15, 16, 17, 18, 2]]),
    Group([1, 20, 21], [[22, 23, 2]]),
    Group([1, 8, 9], [[number, *range(4, 5 + number % 4), 2] for number in range(30, 38)]),
]
SHARED = [group for group in GROUPS if len(group.responses) > 1]


def separate(groups: list[Group]) -> list[Group]:
    return [Group(group.prompt, [response]) for group in groups for response in group.responses]


def gradients(model: PreTrainedModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_shared_equals_separate_with_gradients(family: str, attention: str) -> None:
    model = tiny_model(family)
    model.set_attn_implementation(attention)
    assert why_not_shared(decoder_of(model)) is None
    weights = torch.linspace(0.5, 1.5, sum(len(group.responses) for group in GROUPS))
    one = response_logprobs(model, GROUPS, pad_id=0)
    first = gradients(model, (one.sum() * weights).sum())
    other = response_logprobs(model, separate(GROUPS), pad_id=0)
    second = gradients(model, (other.sum() * weights).sum())
    torch.testing.assert_close(one.values, other.values, atol=1e-5, rtol=1e-5)
    assert torch.equal(one.mask, other.mask)
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        torch.testing.assert_close(gradient, second[name], atol=1e-5 * max(1.0, float(gradient.abs().max())), rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_neither_other_groups_nor_other_responses_matter(family: str) -> None:
    model = tiny_model(family)
    whole = response_logprobs(model, GROUPS, pad_id=0)
    rows = iter(range(len(whole.values)))
    for group in GROUPS:
        alone = response_logprobs(model, [group], pad_id=3)
        for number in range(len(group.responses)):
            length = len(group.responses[number])
            row = next(rows)
            torch.testing.assert_close(whole.values[row, :length], alone.values[number, :length], atol=1e-5, rtol=1e-5)


def test_a_response_sees_its_prompt_and_itself_only() -> None:
    layout = lay_out_groups([Group([1, 4], [[5, 6, 2], [7, 2]])], pad_id=0)
    assert layout.ids.tolist() == [[1, 4, 5, 6, 7]]
    assert layout.places.tolist() == [[0, 1, 2, 3, 2]]
    assert layout.predicting.tolist() == [1, 2, 3, 1, 4]
    assert layout.segments is not None
    assert block_mask(layout.segments)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_a_shared_prompt_is_computed_once() -> None:
    seen: list[int] = []
    model = tiny_model("llama")
    model.model.embed_tokens.register_forward_hook(lambda _module, arguments, _out: seen.append(arguments[0].numel()))
    why_not_shared(decoder_of(model))
    seen.clear()
    response_logprobs(model, [GROUPS[3]], pad_id=0)
    assert seen == [GROUPS[3].shared_length()]


def odd_models() -> dict[str, PreTrainedModel]:
    shape = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)  # noqa: TID251 - transformers takes no generator
        return {
            "window": MistralForCausalLM(
                MistralConfig(**shape, intermediate_size=48, num_key_value_heads=2, sliding_window=8)
            ),
            "mixed": Qwen3ForCausalLM(
                Qwen3Config(
                    **shape,
                    intermediate_size=48,
                    head_dim=8,
                    num_key_value_heads=2,
                    use_sliding_window=True,
                    sliding_window=8,
                    max_window_layers=1,
                )
            ),
            "recurrent": MambaForCausalLM(
                MambaConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, state_size=4)
            ),
            "no_positions": BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=32, n_layer=2, n_head=4)),
        }


@pytest.mark.parametrize("name", ["window", "mixed", "recurrent", "no_positions"])
def test_a_model_that_cannot_share_falls_back_and_says_so(name: str, caplog: pytest.LogCaptureFixture) -> None:
    model = odd_models()[name].eval()
    with caplog.at_level(logging.WARNING):
        reason = why_not_shared(decoder_of(model))
        why_not_shared(decoder_of(model))
    assert reason is not None
    assert sum(record.message.count(reason) for record in caplog.records) == 1  # libraries may warn of their own


def test_learned_positions_with_position_ids_can_share() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # noqa: TID251 - transformers takes no generator
        config = OPTConfig(
            vocab_size=50,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            word_embed_proj_dim=32,
        )
        model = OPTForCausalLM(config).eval()
    reason = why_not_shared(decoder_of(model))
    decoder = decoder_of(model)
    if reason is None:
        shared = predicting_states(decoder, lay_out_groups(SHARED, pad_id=1))
        rows = [(group.prompt, response) for group in SHARED for response in group.responses]
        alone = torch.cat([predicting_states(decoder, lay_out_rows([row], pad_id=1)) for row in rows])
        torch.testing.assert_close(shared, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["window", "mixed", "recurrent", "no_positions"])
def test_the_fallback_equals_the_model_itself(name: str) -> None:
    model = odd_models()[name].eval()
    prompt, responses = [1, 4, 5, 9, 11, 12, 13], [[6, 7, 14, 15, 16, 2], [8, 2]]
    found = response_logprobs(model, [Group(prompt, responses)], pad_id=0)
    for row, response in enumerate(responses):
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits.float().log_softmax(-1)[0]
        wanted = logits[len(prompt) - 1 : -1].gather(-1, torch.tensor(response)[:, None])[:, 0]
        torch.testing.assert_close(found.values[row, : len(response)], wanted, atol=1e-5, rtol=1e-5)
