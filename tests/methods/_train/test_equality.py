"""Every way to compute a loss is the plain one: values and gradients, for three architectures.

The plain way gives each response a row of its own, left-padded to the longest, and takes the log-softmax of all logits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

import bench.models.likelihood.logprobs as core
from bench.core.stage import StageIO
from bench.models.hf import HFPolicy
from bench.models.lengths import TokenRow, Yielding, fit_rows
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.packing import llama_blocks, sharing
from methods._train.loop import compile as graph
from methods._train.loop.compile import compiled_blocks
from methods._train.loop.recompute import recomputed_activations
from methods._train.pairs.score_reference import scored
from tests.methods.tiny import Bench
from tests.models.packing.test_sharing import GROUPS, separate
from tests.models.tiny import FAMILIES, SPEC, tiny_model, word_tokenizer

BETA = 0.3
REFERENCE_SEED = 5


def plain(model: nn.Module, groups: Sequence[Group]) -> Tensor:
    """The log-probability of each response. Shape: (rows,)."""
    rows = [(group.prompt, response) for group in groups for response in group.responses]
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids = torch.tensor(
        [[0] * (width - len(prompt) - len(response)) + [*prompt, *response] for prompt, response in rows]
    )
    lengths = torch.tensor([len(prompt) + len(response) for prompt, response in rows])[:, None]
    place = torch.arange(width) - (width - lengths)
    logits = model(input_ids=ids, attention_mask=place >= 0, position_ids=place.clamp_min(0)).logits
    scores = logits.float().log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
    return torch.stack([scores[row, -len(response) :].sum() for row, (_, response) in enumerate(rows)])


def ours(model: nn.Module, groups: Sequence[Group]) -> Tensor:
    return response_logprobs(model, groups, pad_id=0).sum()


def loss_of(logprobs: Tensor, reference: Tensor, first: int = 0) -> Tensor:
    """A preference loss of any number of responses: some are wanted, others are not."""
    wanted = torch.tensor([1.0 if row % 3 else -1.0 for row in range(first, first + len(logprobs))])
    return -logsigmoid(BETA * wanted * (logprobs - reference)).sum()


@cache
def base(family: str) -> nn.Module:
    return tiny_model(family)


@cache
def live_reference(family: str) -> Tensor:
    with torch.no_grad():
        return plain(tiny_model(family, seed=REFERENCE_SEED), GROUPS)


def outcome(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    return {"loss": loss.detach(), **gradients(model)}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}


@cache
def expected(family: str) -> dict[str, Tensor]:
    model = copy.deepcopy(base(family))
    loss = loss_of(plain(model, GROUPS), live_reference(family))
    loss.backward()
    return outcome(model, loss)


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert (found[name] - values).abs().max() <= 1e-5 * max(1.0, float(values.abs().max())), name


Within = Callable[[nn.Module], AbstractContextManager[None]]


def unchanged(_model: nn.Module) -> AbstractContextManager[None]:
    return nullcontext()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("within", "changes"),
    [
        pytest.param(unchanged, {}, id="packed"),
        pytest.param(unchanged, {(llama_blocks, "LONGEST"): 0}, id="kernel"),
        pytest.param(unchanged, {(sharing, "patch_blocks"): lambda _decoder: False}, id="unpatched"),
        pytest.param(unchanged, {(core, "packs"): lambda _decoder: False}, id="padded"),
        pytest.param(unchanged, {(core, "LOGITS_AT_ONCE"): 3 * 50}, id="chunked"),
        pytest.param(recomputed_activations, {}, id="recomputed"),
        pytest.param(compiled_blocks, {(graph, "BACKEND"): "aot_eager"}, id="compiled"),
    ],
)
def test_a_shared_prompt_gives_the_plain_loss(
    family: str, within: Within, changes: dict[tuple[object, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for (module, name), value in changes.items():
        monkeypatch.setattr(module, name, value)
    model = copy.deepcopy(base(family))
    with within(model):
        loss = loss_of(ours(model, GROUPS), live_reference(family))
        loss.backward()
    assert_same(outcome(model, loss), expected(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_separate_rows_give_the_plain_loss(family: str) -> None:
    model = copy.deepcopy(base(family))
    loss = loss_of(ours(model, separate(GROUPS)), live_reference(family))
    loss.backward()
    assert_same(outcome(model, loss), expected(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_accumulated_groups_give_the_plain_loss(family: str) -> None:
    model = copy.deepcopy(base(family))
    total, first = torch.zeros(()), 0
    for group in GROUPS:
        end = first + len(group.responses)
        loss = loss_of(ours(model, [group]), live_reference(family)[first:end], first)
        loss.backward()
        total, first = total + loss.detach(), end
    assert_same(outcome(model, total), expected(family))


def adapted(family: str) -> PeftModel:
    settings = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)  # peft takes no generator
        model = get_peft_model(tiny_model(family, seed=REFERENCE_SEED), settings)
    assert isinstance(model, PeftModel)
    return model.eval()


def cached_reference(family: str, io: StageIO) -> Tensor:
    """As the reference's stage writes it, for groups of any size."""
    policy = HFPolicy(SPEC, tiny_model(family, seed=REFERENCE_SEED), word_tokenizer())
    rows = [TokenRow((Yielding(group.prompt, ()),), group.responses, [True] * len(group.responses)) for group in GROUPS]
    found = [scored(policy, fit_rows("preferences", [row], 1_000)[0], 1, io) for row in rows]
    return torch.cat([one["logprob"][0] for one in found])


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_and_switched_off_references_give_the_loss_of_a_separate_model(family: str, bench: Bench) -> None:
    model = adapted(family)
    found: list[dict[str, Tensor]] = []
    with torch.no_grad(), model.disable_adapter():
        switched_off = ours(model, GROUPS)
    for compute, reference in (
        (plain, live_reference(family)),
        (ours, cached_reference(family, bench.io())),
        (ours, switched_off),
    ):
        model.zero_grad()
        loss = loss_of(compute(model, GROUPS), reference)
        loss.backward()
        found.append(outcome(model, loss))
    assert len(found[0]) > 10
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])
