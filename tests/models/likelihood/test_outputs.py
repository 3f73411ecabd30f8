"""Entropy, values and hidden states of responses equal those of a plain forward pass per row, gradients too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

import bench.models.likelihood.logprobs as under_test
from bench.core.errors import StageError
from bench.core.policy import Decoding
from bench.models.likelihood.logprobs import (
    Group,
    ResponseOutputs,
    Want,
    entropy_of,
    last_token_states,
    response_logprobs,
    response_outputs,
    states_at_responses,
)
from bench.models.packing.decoder import decoder_of
from bench.models.packing.hidden_states import blocks, depth, reading
from bench.models.packing.sharing import packs
from methods._train.loop.recompute import recomputed_activations
from tests.models.packing.test_sharing import GROUPS, odd_models
from tests.models.tiny import FAMILIES, tiny_model, tiny_policy

ROWS = [(list(group.prompt), list(response)) for group in GROUPS for response in group.responses]
LAYERS = (0, 1, 2)
LAYOUTS = ("packed", "grouped", "rows")


def in_layout(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if layout != "packed":
        monkeypatch.setattr(under_test, "packs", lambda _decoder: False)
    if layout == "rows":
        monkeypatch.setattr(under_test, "why_not_shared", lambda _decoder: "this test wants rows")


def value_head() -> nn.Module:
    head = nn.Linear(32, 1)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, 32)[None])
        head.bias.fill_(0.3)
    return head


def adapted(family: str) -> nn.Module:
    # A small alpha, because an adapter that does not start at 0 would make gradients too large to compare at 1e-5.
    settings = LoraConfig(
        r=4,
        lora_alpha=1,
        target_modules="all-linear",
        init_lora_weights=False,
        fan_in_fan_out=family == "gpt2",
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)  # peft takes no generator
        return get_peft_model(tiny_model(family), settings)


def plain_layers(model: nn.Module, ids: list[int]) -> tuple[dict[int, Tensor], Tensor, Tensor]:
    """Layers before the norm, the last state after it, and logits, of one row alone; transformers' own states."""
    decoder = decoder_of(model)
    inputs: list[Tensor] = []
    norm = getattr(decoder.backbone, "norm", None) or decoder.backbone.ln_f
    handle = norm.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
    found = model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    handle.remove()
    states = {layer: found.hidden_states[layer][0] for layer in LAYERS[:-1]}
    return {**states, LAYERS[-1]: inputs[-1][0]}, found.hidden_states[-1][0], found.logits[0].float()


def plain_outputs(model: nn.Module, head: nn.Module, temperature: float) -> list[dict[str, Tensor]]:
    found = []
    for prompt, response in ROWS:
        layers, last, logits = plain_layers(model, [*prompt, *response])
        before = slice(len(prompt) - 1, len(prompt) + len(response) - 1)
        scores = (logits[before] / temperature).log_softmax(-1)
        found.append(
            {
                "logprobs": scores[torch.arange(len(response)), torch.tensor(response)],
                "entropy": torch.distributions.Categorical(logits=scores).entropy(),
                "values": head(last[before].float())[:, 0],
                **{f"layer {layer}": states[before] for layer, states in layers.items()},
            }
        )
    return found


def assert_same(one: Tensor, other: Tensor) -> None:
    """Up to 1e-5 of the largest entry: states are sums of terms of that size, and some of the sums are near 0."""
    size = max(1.0, float(other.detach().abs().max()))
    torch.testing.assert_close(one, other, atol=1e-5 * size, rtol=0)


def by_row(found: ResponseOutputs) -> list[dict[str, Tensor]]:
    assert found.entropy is not None
    assert found.values is not None
    lengths = found.logprobs.mask.sum(-1).tolist()
    rows: list[dict[str, Tensor]] = []
    for row, length in enumerate(lengths):
        whole = {"logprobs": found.logprobs.values[row], "entropy": found.entropy[row], "values": found.values[row]}
        for name, values in whole.items():
            assert not values[length:].any(), name
        cut = {layer: states.split(lengths)[row] for layer, states in found.layers.items()}
        rows.append(
            {
                **{name: values[:length] for name, values in whole.items()},
                **{f"layer {layer}": states for layer, states in cut.items()},
            }
        )
    return rows


def gradients(parameters: list[nn.Parameter], rows: list[dict[str, Tensor]]) -> list[Tensor]:
    """Gradients of one number that depends on every output in a different way."""
    total = torch.zeros(())
    for number, row in enumerate(rows, 1):
        for place, values in enumerate(row.values(), 1):
            total = total + (values.sin() * (number % 4 - 1.5) / place).sum()
    found = torch.autograd.grad(total, parameters, allow_unused=True)
    return [torch.zeros_like(one) if grad is None else grad for one, grad in zip(parameters, found, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_a_plain_forward_per_row_with_gradients(
    family: str, layout: str, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_layout(layout, monkeypatch)
    model, head = tiny_model(family), value_head()
    want = Want(temperature=temperature, entropy="exact", head=head, layers=LAYERS)
    ours = by_row(response_outputs(model, GROUPS, pad_id=0, want=want))
    theirs = plain_outputs(model, head, temperature)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    parameters = [*model.parameters(), *head.parameters()]
    for one_grad, other_grad in zip(gradients(parameters, ours), gradients(parameters, theirs), strict=True):
        torch.testing.assert_close(one_grad, other_grad, atol=1e-5 * max(1.0, float(other_grad.abs().max())), rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_under_an_adapter_in_every_layout(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, head = adapted(family), value_head()
    theirs = plain_outputs(model, head, 1.0)
    trained = [part for part in model.parameters() if part.requires_grad]
    wanted = gradients(trained, theirs)
    for layout in LAYOUTS:
        in_layout(layout, monkeypatch)
        ours = by_row(response_outputs(model, GROUPS, pad_id=0, want=Want(1.0, "exact", head, LAYERS)))
        for one, other in zip(ours, theirs, strict=True):
            for name in one:
                assert_same(one[name], other[name])
        for one_grad, other_grad in zip(gradients(trained, ours), wanted, strict=True):
            allowed = 1e-5 * max(1.0, float(other_grad.abs().max()))
            torch.testing.assert_close(one_grad, other_grad, atol=allowed, rtol=0)


@pytest.mark.parametrize("make", [tiny_model, adapted])
def test_chunked_equals_whole(make: Callable[[str], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    model, head = make("llama"), value_head()
    trained = [*(part for part in model.parameters() if part.requires_grad), *head.parameters()]
    want = Want(0.7, "exact", head, LAYERS)
    whole = by_row(response_outputs(model, GROUPS, pad_id=0, want=want))
    monkeypatch.setattr(under_test, "LOGITS_AT_ONCE", 3 * 50)
    chunked = by_row(response_outputs(model, GROUPS, pad_id=0, want=want))
    for one, other in zip(whole, chunked, strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=0)
    for one_grad, other_grad in zip(gradients(trained, whole), gradients(trained, chunked), strict=True):
        torch.testing.assert_close(one_grad, other_grad, atol=1e-5 * max(1.0, float(other_grad.abs().max())), rtol=0)


def test_asking_for_more_leaves_the_logprobs_as_they_are() -> None:
    model = tiny_model("qwen2")
    alone = response_logprobs(model, GROUPS, pad_id=0).values
    beside = response_outputs(model, GROUPS, pad_id=0, want=Want(1.0, "exact", value_head(), LAYERS)).logprobs.values
    assert torch.equal(alone, beside)


def test_nothing_is_returned_that_was_not_wanted() -> None:
    found = response_outputs(tiny_model("llama"), GROUPS, pad_id=0)
    assert found.entropy is None
    assert found.values is None
    assert found.layers == {}


def test_uniform_logits_have_the_entropy_of_the_vocabulary_and_hot_ones_less() -> None:
    logits = torch.randn(5, 50, generator=torch.Generator().manual_seed(0))
    assert entropy_of(torch.zeros(3, 50)).tolist() == pytest.approx([3.912023] * 3, abs=1e-5)
    direct = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(entropy_of(logits), direct, atol=1e-5, rtol=0)
    assert bool((entropy_of(logits / 0.7) < entropy_of(logits)).all())


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_the_decoder_recorded(temperature: float) -> None:
    policy = tiny_policy("llama")
    prompts = [[1, 5, 6, 7], [1, 9], [1, *range(4, 30)]]
    written = policy.generate_ids(prompts, Decoding(temperature=temperature, max_new_tokens=12), seeds=[3, 4, 5])
    groups = [Group(prompt, [one.tokens]) for prompt, one in zip(prompts, written, strict=True)]
    found = response_outputs(policy.model, groups, pad_id=0, want=Want(temperature=temperature)).logprobs
    for row, one in enumerate(written):
        recorded = torch.tensor(one.logprobs)
        torch.testing.assert_close(found.values[row, : len(recorded)].detach(), recorded, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [tiny_model, adapted])
@pytest.mark.parametrize("family", FAMILIES)
def test_states_at_responses_have_read_their_token(
    family: str, make: Callable[[str], nn.Module], layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_layout(layout, monkeypatch)
    model = make(family)
    found = states_at_responses(model, GROUPS, pad_id=0, layers=LAYERS)
    ends = last_token_states(model, GROUPS, pad_id=0)
    lengths = [len(response) for _, response in ROWS]
    assert found.mask.sum(-1).tolist() == lengths
    assert found.mask.shape[1] == max(lengths)
    assert found.targets.tolist() == [token for _, response in ROWS for token in response]
    ours: list[dict[str, Tensor]] = []
    theirs: list[dict[str, Tensor]] = []
    for row, (prompt, response) in enumerate(ROWS):
        layers, last, _ = plain_layers(model, [*prompt, *response])
        named = {"hidden": found.hidden, **{f"layer {layer}": states for layer, states in found.layers.items()}}
        ours.append({**{name: states.split(lengths)[row] for name, states in named.items()}, "end": ends[row]})
        at = {f"layer {layer}": states[len(prompt) :] for layer, states in layers.items()}
        theirs.append({"hidden": last[len(prompt) :], **at, "end": last[-1]})
        for name, states in ours[-1].items():
            assert_same(states, theirs[-1][name])
    trained = [part for part in model.parameters() if part.requires_grad]
    for one, other in zip(gradients(trained, ours), gradients(trained, theirs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, float(other.abs().max())), rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_neither_batch_nor_padding_token_changes_states(family: str) -> None:
    model = tiny_model(family)
    together = last_token_states(model, GROUPS, pad_id=0)
    torch.testing.assert_close(last_token_states(model, GROUPS, pad_id=33), together, atol=1e-5, rtol=1e-5)
    alone = torch.cat([last_token_states(model, [Group(prompt, [response])], pad_id=0) for prompt, response in ROWS])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_left_padded_model_call_ends_in_the_same_states(family: str) -> None:
    model = tiny_model(family)
    lengths = torch.tensor([len(prompt) + len(response) for prompt, response in ROWS])[:, None]
    width = int(lengths.max())
    ids = torch.tensor([[0] * (width - len(prompt) - len(response)) + prompt + response for prompt, response in ROWS])
    place = torch.arange(width) - (width - lengths)
    decoder = decoder_of(model)
    hidden = decoder.hidden(ids, attention_mask=place >= 0, position_ids=place.clamp_min(0))
    torch.testing.assert_close(last_token_states(model, GROUPS, pad_id=0), hidden[:, -1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["window", "no_positions"])
def test_a_model_that_cannot_share_gives_its_own_states(name: str) -> None:
    model = odd_models()[name].eval()
    assert not packs(decoder_of(model))
    prompt, responses = [1, 4, 5, 9, 11, 12, 13], [[6, 7, 14, 15, 16, 2], [8, 2]]
    found = states_at_responses(model, [Group(prompt, responses)], pad_id=0, layers=(1,))
    rows = found.layers[1].split([6, 2])
    for row, response in enumerate(responses):
        plain = model(input_ids=torch.tensor([prompt + response]), output_hidden_states=True).hidden_states
        torch.testing.assert_close(rows[row], plain[1][0, len(prompt) :], atol=1e-5, rtol=1e-5)


def test_recomputed_activations_give_the_same_gradients() -> None:
    model = tiny_model("llama")
    parameters = list(model.parameters())

    def found() -> list[Tensor]:
        states = states_at_responses(model, GROUPS, pad_id=0, layers=LAYERS)
        return gradients(parameters, [{str(layer): part for layer, part in states.layers.items()}])

    kept = found()
    with recomputed_activations(model):
        again = found()
    for one, other in zip(kept, again, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * max(1.0, float(one.abs().max())), rtol=0)


@pytest.mark.parametrize("make", [tiny_model, adapted])
@pytest.mark.parametrize("family", FAMILIES)
def test_hooks_are_removed_also_after_an_error(family: str, make: Callable[[str], nn.Module]) -> None:
    model = make(family)
    decoder = decoder_of(model)
    assert depth(decoder) == 2
    response_outputs(model, GROUPS, pad_id=0, want=Want(layers=LAYERS))
    with pytest.raises(ZeroDivisionError), reading(decoder, LAYERS):
        _ = 1 / 0
    for block in blocks(decoder):
        assert not block._forward_hooks
        assert not block._forward_pre_hooks


def test_a_model_whose_blocks_are_not_found_is_refused() -> None:
    model = tiny_model("llama")
    model.config.num_hidden_layers = 3
    with pytest.raises(StageError, match="0 lists of 3 blocks"):
        depth(decoder_of(model))


@pytest.mark.parametrize(
    ("want", "message"), [(Want(temperature=0.0), "temperature"), (Want(layers=(3,)), "layers are 0 to 2")]
)
def test_what_cannot_be_computed_is_refused(want: Want, message: str) -> None:
    model = tiny_model("llama")
    with pytest.raises(StageError, match=message):
        response_outputs(model, GROUPS, pad_id=0, want=want)
    assert not any(block._forward_hooks for block in blocks(decoder_of(model)))


def test_an_empty_response_has_no_states() -> None:
    with pytest.raises(StageError, match="row 1 has an empty response"):
        states_at_responses(tiny_model("llama"), [Group([1, 4], [[3], []])], pad_id=0)


def test_values_are_float32_under_autocast() -> None:
    model, head = tiny_model("llama"), value_head()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = response_outputs(model, GROUPS, pad_id=0, want=Want(head=head, layers=(2,)))
    assert found.values is not None
    with torch.no_grad():
        norm = decoder_of(model).backbone.norm
        again = head(norm(found.layers[2]).float())[:, 0]
    torch.testing.assert_close(found.values[found.logprobs.mask], again, atol=2e-2, rtol=2e-2)
    assert found.values.dtype == torch.float32
