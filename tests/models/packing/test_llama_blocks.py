"""Patched blocks leave out what nothing reads, and give the states, values and gradients of blocks as they were."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from bench.models.likelihood.logprobs import Want, response_logprobs, response_outputs
from bench.models.packing import llama_blocks, sharing
from bench.models.packing.decoder import decoder_of
from bench.models.packing.hidden_states import depth
from bench.models.packing.layout import lay_out_packed, lay_out_rows, predicting_states, trimmed
from bench.models.packing.sharing import packs, trims
from methods._train.loop.recompute import recomputed_activations
from tests.models.packing.test_sharing import GROUPS, odd_models
from tests.models.tiny import tiny_model

KNOWN = ("llama", "qwen2", "qwen3", "mistral")


def known_model(family: str) -> PreTrainedModel:
    if family == "mistral":
        model = odd_models()["window"]
        model.config.sliding_window = None
        return model.eval()
    if family == "qwen3":
        shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(0)
            return Qwen3ForCausalLM(Qwen3Config(vocab_size=50, num_key_value_heads=2, head_dim=8, **shape)).eval()
    return tiny_model(family)


def adapted(model: PreTrainedModel, *targets: str) -> nn.Module:
    settings = LoraConfig(r=2, target_modules=list(targets), init_lora_weights=False)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)  # peft takes no generator
        return get_peft_model(copy.deepcopy(model), settings)


def unpatched(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Return the same model in packed rows whose blocks stay as they were."""
    plain = copy.deepcopy(model)
    with monkeypatch.context() as patch:
        patch.setattr(sharing, "patch_blocks", lambda _decoder: False)
        assert packs(decoder_of(plain))
        assert not trims(decoder_of(plain))
    return plain


def outcome(model: nn.Module, layers: tuple[int, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """Yield the log-probabilities, the layers that were asked for, and every gradient."""
    found = response_outputs(model, GROUPS, pad_id=0, want=Want(layers=layers))
    weights = torch.linspace(0.5, 1.5, len(found.logprobs.values))
    loss = (found.logprobs.sum() * weights).sum() + sum(states.square().sum() for states in found.layers.values())
    yield "values", found.logprobs.values
    yield from ((f"layer {layer}", states) for layer, states in found.layers.items())
    parameters = {name: part for name, part in model.named_parameters() if part.requires_grad}
    yield from zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True)


def assert_same(one: nn.Module, other: nn.Module, layers: tuple[int, ...] = ()) -> None:
    for (name, ours), (_, theirs) in zip(outcome(one, layers), outcome(other, layers), strict=True):
        size = max(1.0, float(theirs.detach().abs().max()))
        assert float((ours - theirs).detach().abs().max()) <= 1e-5 * size, name


@pytest.mark.parametrize("longest", [256, 0], ids=["products", "kernel"])
@pytest.mark.parametrize("family", KNOWN)
def test_patched_equals_unpatched_with_gradients(family: str, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_blocks, "LONGEST", longest)
    model = known_model(family)
    plain = unpatched(model, monkeypatch)
    assert trims(decoder_of(model))
    assert_same(model, plain)


@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("o_proj", "down_proj"), ("k_proj", "gate_proj")])
def test_under_an_adapter_on_some_of_the_projections(targets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(tiny_model("qwen2"), *targets)
    plain = unpatched(model, monkeypatch)
    assert trims(decoder_of(model))
    assert_same(model, plain)


@pytest.mark.parametrize("layers", [(0, 1), (2,), (1, 2)])
def test_hidden_states_on_request(layers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    assert depth(decoder_of(model)) == 2
    assert_same(model, unpatched(model, monkeypatch), layers)


def test_with_activations_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    plain = unpatched(model, monkeypatch)
    with recomputed_activations(model):
        assert_same(model, plain)


def test_the_last_block_leaves_out_what_nothing_reads() -> None:
    model = tiny_model("llama")
    assert trims(decoder_of(model))
    rows: list[int] = []
    for layer in model.model.layers:
        layer.mlp.register_forward_hook(lambda _module, arguments, _out: rows.append(len(arguments[0])))
    response_logprobs(model, GROUPS, pad_id=0)
    whole = sum(group.shared_length() for group in GROUPS)
    assert rows == [whole, whole - sum(len(group.prompt) - 1 for group in GROUPS)]


def test_a_hook_on_a_projection_or_a_norm_is_heard() -> None:
    model = tiny_model("llama")
    heard: list[str] = []
    for name in ("self_attn.k_proj", "input_layernorm"):
        part = model.model.layers[0].get_submodule(name)
        part.register_forward_hook(lambda *_, name=name: heard.append(name))
    assert trims(decoder_of(model))
    heard.clear()
    response_logprobs(model, GROUPS, pad_id=0)
    assert heard == ["input_layernorm", "self_attn.k_proj"]


@pytest.mark.parametrize("family", ["gpt2", "window"])
def test_other_models_stay_as_they_were(family: str) -> None:
    model = odd_models()[family].eval() if family == "window" else tiny_model(family)
    before = [type(part) for part in model.modules()]
    assert not trims(decoder_of(model))
    assert [type(part) for part in model.modules()] == before


def test_a_model_that_a_patched_block_computes_wrongly_gets_its_own_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    wrong = lambda states, weight, eps: states * weight + eps  # noqa: E731
    monkeypatch.setattr(llama_blocks, "rms_norm", wrong)
    decoder = decoder_of(model)
    assert packs(decoder)
    assert not trims(decoder)
    assert {type(layer).__name__ for layer in model.model.layers} == {"LlamaDecoderLayer"}
    alone = [predicting_states(decoder, lay_out_rows([(group.prompt, group.responses[0])], 0)) for group in GROUPS[:1]]
    length = len(GROUPS[0].responses[0])
    packed = predicting_states(decoder, lay_out_packed(GROUPS))[:length]
    torch.testing.assert_close(packed, alone[0], atol=1e-5, rtol=1e-5)


def test_a_copy_of_a_patched_model_is_patched_and_generates() -> None:
    model = tiny_model("llama")
    ids = torch.tensor([[1, 5, 6, 7]])
    before = model(input_ids=ids).logits
    decoder = decoder_of(model)
    assert trims(decoder)
    other = decoder_of(copy.deepcopy(model))
    layout = trimmed(lay_out_packed(GROUPS))
    assert torch.equal(predicting_states(decoder, layout), predicting_states(other, layout))
    assert torch.equal(other.causal(input_ids=ids).logits, before)
    assert trims(other)
