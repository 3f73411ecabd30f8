"""RAHF and HIR: the losses by hand, whose states are read, what gets a gradient, and both from end to end."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.core.data import Made
from bench.core.datasets import read_demonstrations
from bench.core.errors import BenchError, StageError
from bench.core.frozen import decode, encode
from bench.core.method import Given, Lora
from bench.core.policy import Instructed, Message, PolicySpec, Pretrained, Tuned, as_read
from bench.core.task import user
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group, states_at_responses
from bench.models.load import load_policy, load_trainable
from methods._train.pairs.contexts import Contexts, contexts, wordings_of
from methods._train.representations.contrast_loss import Instructions, contrast_loss
from methods._train.representations.instruction_contrast import ContrastSettings, TrainContrast, named_instructions
from methods._train.representations.sides import side_of
from methods._train.representations.train_activations import Aim, Reader, activations_sum, layers_at
from methods._train.representations.train_contrast import Batch, contrast_sum, own_token_logprobs
from methods._train.sft.stage import TrainSFT
from methods.hir import HIR
from methods.rahf import RAHF, TrainActivity, activations_loss
from tasks._atlas.tokenizer import build_tokenizer
from tests.methods.tiny import PREFERENCES, Bench, data, log, pretrained

LN2 = math.log(2)
WORDS = {"good": "be good.", "bad": "be very bad.", "separator": " "}
QUICK: dict[str, Any] = {"lr": 5e-3, "epochs": 2, "batch_size": 4, "warmup": 0.0}
GROUPS = [Group([1, 5, 6], [[7, 8, 2], [9, 2]]), Group([1, 10], [[2], [11, 12, 13, 2]])]


@pytest.fixture
def given(given: Given) -> Given:
    return given.model_copy(update={"max_length": 64})


def quick(**fields: Any) -> RAHF:
    contrast = {**QUICK, **({} if fields.get("variant") == "dual" else {"instructions": WORDS})}
    return RAHF.model_validate({**QUICK, "contrast": contrast, "start": QUICK, **fields})


def planned(method: RAHF, given: Given) -> tuple[Tuned, TrainActivity]:
    spec = method.policy(given)
    assert isinstance(spec, Tuned)
    assert isinstance(spec.by, TrainActivity)
    return spec, spec.by


# The losses.


@pytest.mark.parametrize(("smoothing", "expected"), [(0.2, 0.513262), (0.0, 0.313262)])
def test_the_contrast_one_nat_apart(smoothing: float, expected: float) -> None:  # U19
    found = contrast_loss(torch.tensor([-1.0, -3.5]), torch.tensor([-2.0, -4.5]), smoothing)
    assert found.tolist() == pytest.approx([expected] * 2, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_contrast_of_equals_is_ln_2(smoothing: float) -> None:
    one = torch.tensor([-1.3, -0.2, -40.0])
    assert contrast_loss(one, one, smoothing).tolist() == pytest.approx([LN2] * 3, abs=1e-6)


def test_the_smoothed_contrast_is_least_where_the_share_is_point_eight() -> None:
    share = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    found = contrast_loss(share.logit(), torch.zeros(99, dtype=torch.float64), 0.2)
    assert float(share[found.argmin()]) == pytest.approx(0.8, abs=1e-9)
    at = torch.tensor(0.8, dtype=torch.float64).logit().requires_grad_()
    contrast_loss(at, torch.zeros((), dtype=torch.float64), 0.2).backward()  # type: ignore[no-untyped-call]
    assert at.grad is not None
    assert float(at.grad) == pytest.approx(0, abs=1e-12)


def test_activations_at_the_start() -> None:  # U20
    base = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(3, 4)
    assert activations_loss(base, base, ones, 5.0, "norm").tolist() == pytest.approx([10.0] * 3, abs=1e-5)
    assert activations_loss(base, base, ones, 5.0, "squared").tolist() == pytest.approx([100.0] * 3, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0, 7.5])
def test_activations_is_linear_in_alpha_at_the_start(alpha: float) -> None:
    noise = torch.Generator().manual_seed(1)
    base, difference = torch.randn(6, 8, generator=noise), torch.randn(6, 8, generator=noise)
    found = activations_loss(base, base, difference, alpha, "norm")
    torch.testing.assert_close(found, alpha * difference.norm(dim=-1), atol=1e-5, rtol=1e-5)


def test_layers_are_fractions_of_the_depth() -> None:
    assert layers_at(tuple(layer / 32 for layer in (10, 12, 14, 16, 18)), 32) == (10, 12, 14, 16, 18)
    assert layers_at(tuple(layer / 32 for layer in (10, 12, 14, 16, 18, 20)), 4) == (1, 2, 3)
    assert layers_at((0.01, 1.0), 5) == (1, 5)


# The first step.


def naive(policy: HFPolicy, prompt: Sequence[int], response: Sequence[int], offset: int) -> Tensor:
    """Log-probabilities of a response's tokens from the states ``offset`` places before them; a plain forward."""
    logits = policy.model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
    places = torch.arange(len(prompt), len(prompt) + len(response)) - offset
    return logits[places, torch.tensor(response)]


def contrast_stage(given: Given, **fields: Any) -> TrainContrast:
    spec = HIR.model_validate({**QUICK, "instructions": WORDS, **fields}).policy(given)
    assert isinstance(spec, Instructed)
    assert isinstance(spec.base, Tuned)
    assert isinstance(spec.base.by, TrainContrast)
    return spec.base.by


@pytest.mark.parametrize("positions", ["shifted", "unshifted"])
@pytest.mark.parametrize("mean", ["response", "padded"])
@pytest.mark.parametrize("language", ["response", "tokens"])
def test_the_first_step_by_hand(given: Given, bench: Bench, positions: str, mean: str, language: str) -> None:
    fields = {"contrast_positions": positions, "contrast_mean": mean, "language_mean": language, "smoothing": 0.2}
    stage = contrast_stage(given, **fields)
    policy = load_trainable(given.base, bench.io(), lora=None, seed=0)
    good, bad = [1, 5, 6, 7], [1, 5, 20, 21, 6, 7]
    responses = [[8, 9, 2], [10, 2]]
    part = [Contexts(0, (Group(good, responses), Group(bad, responses)))]
    found = contrast_sum(stage, policy, part, Batch(rows=2, tokens=5, longest=9))
    expected = 0.0
    for fitting, other, response in ((good, bad, responses[0]), (bad, good, responses[1])):
        over = len(response) if mean == "response" else 9
        offset = 1 if positions == "shifted" else 0
        plus = float(naive(policy, fitting, response, offset).sum()) / over
        minus = float(naive(policy, other, response, offset).sum()) / over
        share = math.exp(plus) / (math.exp(plus) + math.exp(minus))
        language_loss = -float(naive(policy, fitting, response, 1).sum())
        expected += language_loss / (len(response) if language == "response" else 5 / 2)
        expected += -0.8 * math.log(share) - 0.2 * math.log(1 - share)
    assert found.weight == 2
    assert found.total.item() == pytest.approx(expected, abs=1e-5)


def test_swapping_sides_and_instructions_changes_nothing(given: Given, bench: Bench) -> None:
    stage = contrast_stage(given)
    policy = load_trainable(given.base, bench.io(), lora=None, seed=0)
    one, other = [[8, 9, 2], [10, 2]], [[10, 2], [8, 9, 2]]
    here = Contexts(0, (Group([1, 5, 6], one), Group([1, 7, 6], one)))
    there = Contexts(0, (Group([1, 7, 6], other), Group([1, 5, 6], other)))
    losses = [float(contrast_sum(stage, policy, [part], Batch()).total) for part in (here, there)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_own_tokens_are_scored_where_they_stand(given: Given, bench: Bench) -> None:
    policy = load_policy(given.base, bench.io())
    rows = [(group.prompt, response) for group in GROUPS for response in group.responses]
    expected = torch.stack([naive(policy, prompt, response, 0).sum() for prompt, response in rows])
    torch.testing.assert_close(own_token_logprobs(policy, GROUPS), expected, atol=1e-5, rtol=0)


# Instructions.


def test_an_instruction_stands_before_the_first_user_turn() -> None:
    base = Pretrained(repo="x")
    inner = Instructed(base=base, instruction="one")
    chat = (Message(role="system", content="s"), *user("ask"), Message(role="assistant", content="a"), *user("more"))
    found = as_read(Instructed(base=inner, instruction="two", separator=" "), chat)
    assert [turn.content for turn in found] == ["s", "one\n\ntwo ask", "a", "more"]
    assert as_read(base, chat) == chat
    assert as_read(inner, chat[:1]) == chat[:1]


def test_an_instructed_policy_reads_its_instruction(given: Given, bench: Bench) -> None:
    plain = load_policy(given.base, bench.io())
    asked = load_policy(Instructed(base=given.base, instruction="be good.", separator=" "), bench.io())
    assert asked.prompt(user("ask")) == plain.prompt(user("be good. ask"))
    assert asked.loglikelihood([(user("ask"), "red.")]) == plain.loglikelihood([(user("be good. ask"), "red.")])


def test_responses_are_the_same_tokens_in_every_context_whatever_is_cut(
    given: Given, bench: Bench, tmp_path: Path
) -> None:
    policy = load_policy(given.base, bench.io())
    texts = Instructions.model_validate(WORDS)
    specs = (given.base, texts.for_good(given.base), texts.for_bad(given.base))
    chat, pair = user("tell me all of it"), {"chosen": "red.", "rejected": "a black cat."}
    written = data(tmp_path / "pair.jsonl", [{"prompt": chat[0].content, **pair}])
    rows = wordings_of(written, policy, specs, bench.io())
    whole = contexts(policy, rows, 64)[0][0].groups
    assert [list(group.prompt) for group in whole] == [policy.prompt(as_read(spec, chat)) for spec in specs]
    assert whole[0].responses == whole[1].responses == whole[2].responses
    cut = contexts(policy, rows, 34)[0][0].groups
    assert cut[0].responses == cut[1].responses == cut[2].responses
    kept = list(cut[0].prompt)
    assert 0 < len(kept) < len(whole[0].prompt)
    for group, long in zip(cut[1:], whole[1:], strict=True):
        head = len(group.prompt) - len(kept)
        # The beginning token and the instruction stay; the chat loses the same tokens of its beginning everywhere.
        assert list(group.prompt) == [*long.prompt[: head + 1], *kept[1:]]
        assert len(group.prompt) + max(map(len, group.responses)) <= 34
    with pytest.raises(StageError, match="1 do not fit into 15 tokens"):
        contexts(policy, rows, 15)


def test_the_instructions_of_the_program() -> None:
    found = named_instructions()
    assert set(found) == {"english", "brief", "atlas"}
    for name, texts in found.items():
        assert ContrastSettings.model_validate({"instructions": name}).texts() == texts
        assert len(texts.good.split()) == len(texts.bad.split())
        assert texts.good != texts.bad


def test_the_texts_are_in_the_key(given: Given) -> None:
    keys = {contrast_stage(given, instructions={**WORDS, "bad": text}).key for text in ("be bad.", "be mean.")}
    assert len(keys) == 2


def test_the_instructions_of_atlas_are_words_of_atlas() -> None:
    made = build_tokenizer(world_seed=0)
    for text in (named_instructions()["atlas"].good, named_instructions()["atlas"].bad):
        assert made.unk_token_id not in made(text, add_special_tokens=False)["input_ids"]


# The second step.


def reader_of(given: Given, bench: Bench, good: PolicySpec, bad: PolicySpec, layers: tuple[int, ...]) -> Reader:
    policy = load_trainable(given.base, bench.io(), lora=Lora(rank=4, targets=("q_proj", "v_proj")), seed=0)

    def of(spec: PolicySpec) -> HFPolicy:
        return policy if spec == given.base else load_policy(spec, bench.io())

    return Reader(policy, of(good), of(bad), layers)


def three(groups: Sequence[Group]) -> list[Contexts]:
    return [Contexts(number, (group, group, group)) for number, group in enumerate(groups)]


def aim_at(given: Given, **fields: Any) -> Aim:
    values = {"layers": (1.0,), "response_tokens": 64, "responses": "both", "mean": "response", **fields}
    return Aim(good=given.base, bad=given.base, **values)


def norm_with(alpha: float) -> Any:
    return lambda states, base, difference: activations_loss(states, base, difference, alpha, "norm")


def trained_gradients(reader: Reader) -> dict[str, Tensor | None]:
    return {name: part.grad for name, part in reader.policy.model.named_parameters() if part.requires_grad}


def test_good_equal_to_bad_gives_no_loss_and_no_gradient(given: Given, bench: Bench) -> None:
    reader = reader_of(given, bench, given.base, given.base, (1, 2))
    found = activations_sum(reader, three(GROUPS), aim_at(given), norm_with(5.0))
    assert found.total.item() == 0.0
    found.total.backward()  # type: ignore[no-untyped-call]
    gradients = trained_gradients(reader)
    assert gradients
    assert all(part is None or not part.any() for part in gradients.values())


def test_the_start_is_alpha_times_the_difference(given: Given, bench: Bench, tmp_path: Path) -> None:
    other = pretrained(tmp_path / "other", seed=5)
    reader = reader_of(given, bench, other, given.base, (1, 2))
    differences = []
    for policy in (reader.good, reader.bad):
        with torch.no_grad():
            differences.append(states_at_responses(policy.model, GROUPS, pad_id=0, layers=(1, 2)).layers)
    norms = [(differences[0][layer] - differences[1][layer]).norm(dim=-1).sum().item() for layer in (1, 2)]
    for alpha in (1.0, 2.0, 5.0):
        found = activations_sum(reader, three(GROUPS), aim_at(given), norm_with(alpha))
        assert found.weight == 10
        assert found.total.item() == pytest.approx(alpha * sum(norms) / 2, rel=1e-5)
        assert float(found.metrics["difference_1"]) == pytest.approx(norms[0], rel=1e-5)
        assert float(found.metrics["loss_2"]) == pytest.approx(alpha * norms[1], rel=1e-5)
    padded = activations_sum(reader, three(GROUPS), aim_at(given, mean="padded", response_tokens=7), norm_with(5.0))
    assert padded.weight == 4 * 7
    assert float(padded.metrics["difference_1"]) / padded.weight == pytest.approx(norms[0] / 10, rel=1e-5)


def test_no_gradient_above_the_top_layer(given: Given, bench: Bench, tmp_path: Path) -> None:
    reader = reader_of(given, bench, pretrained(tmp_path / "other", seed=5), given.base, (1,))
    activations_sum(reader, three(GROUPS), aim_at(given), norm_with(5.0)).total.backward()  # type: ignore[no-untyped-call]
    gradients = trained_gradients(reader)
    assert any(".layers.0." in name and part is not None and part.any() for name, part in gradients.items())
    above = [part for name, part in gradients.items() if ".layers.1." in name]
    assert len(above) == 4
    assert all(part is None or not part.any() for part in above)


def test_prompt_tokens_never_enter_the_loss(given: Given, bench: Bench, tmp_path: Path) -> None:
    reader = reader_of(given, bench, pretrained(tmp_path / "other", seed=5), given.base, (1, 2))
    whole = [list(group.prompt) + list(group.responses[0]) for group in GROUPS]
    found = activations_sum(
        reader, three([Group(g.prompt, g.responses[:1]) for g in GROUPS]), aim_at(given), norm_with(1.0)
    )
    expected = 0.0
    with torch.no_grad():
        for group, ids in zip(GROUPS, whole, strict=True):
            states = []
            for policy in (reader.good, reader.policy):
                output = policy.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
                states.append(output[len(group.prompt) :])
            expected += float((states[0] - states[1]).norm(dim=-1).sum())
    assert float(found.metrics["loss_1"]) == pytest.approx(expected, rel=1e-5)
    assert found.weight == 4


def test_nothing_flows_back_from_the_prompts_own_states(given: Given, bench: Bench, tmp_path: Path) -> None:
    """At the top layer only response tokens pull: their states get a gradient, those of prompt tokens none."""
    reader = reader_of(given, bench, pretrained(tmp_path / "other", seed=5), given.base, (2,))
    seen: list[Tensor] = []

    def keep(_block: Any, _arguments: Any, output: Any) -> None:
        state = output[0] if isinstance(output, tuple) else output
        if state.requires_grad:
            state.retain_grad()
            seen.append(state)

    handle = reader.policy.model.get_base_model().model.layers[1].register_forward_hook(keep)
    group = Group([1, 5, 6, 9], [[7, 8, 2]])
    activations_sum(reader, three([group]), aim_at(given), norm_with(5.0)).total.backward()  # type: ignore[no-untyped-call]
    handle.remove()
    (state,) = seen
    assert state.grad is not None
    pulled = state.grad.flatten(0, -2).norm(dim=-1) > 0
    # The states stand in order; those of prompt tokens that nothing reads need not be there at all.
    assert pulled.tolist() == [False] * (len(pulled) - 3) + [True] * 3


@pytest.mark.parametrize("base", ["sft", "good"])
def test_dual_starts_at_alpha_times_the_difference(given: Given, bench: Bench, base: str) -> None:
    """The first logged loss is linear in alpha, whatever carries the adapter, and equals the difference's mean norm."""
    losses = {}
    for alpha in (0.5, 1.0, 2.0):
        method = quick(variant="dual", base=base, alpha=alpha, epochs=1, batch_size=8, adapter={"dropout": 0.0})
        rows = log(bench.payload(planned(method, given)[1]))
        losses[alpha] = rows[0]["loss"]
        assert rows[0]["loss"] == pytest.approx(alpha * rows[0]["difference_1"], rel=1e-4)
    assert losses[2.0] == pytest.approx(2 * losses[1.0], rel=1e-4) == pytest.approx(4 * losses[0.5], rel=1e-4)
    assert losses[1.0] > 0


# From end to end.


@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["full", "lora"])
@pytest.mark.parametrize("variant", ["scit", "dual"])
def test_both_variants_train_and_load(given: Given, bench: Bench, variant: str, lora: Lora | None) -> None:
    given = given.model_copy(update={"lora": lora})
    spec, stage = planned(quick(variant=variant, epochs=6, lr=2e-2), given)
    assert stage.lora == (lora or RAHF().adapter)
    assert decode(encode(stage)) == stage
    folder = bench.payload(stage)
    assert (folder / "policy" / "adapter_config.json").is_file()
    rows = log(folder)
    assert len(rows) == 12
    assert rows[-1]["loss"] < rows[0]["loss"]
    diagnostics = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))["layers"]
    assert [row["layer"] for row in diagnostics] == [1]
    for row in diagnostics:
        assert row["fraction"] == row["layer"] / 2
        assert row["difference_norm"] > 0
        assert -1 <= row["cosine_to_mean"] <= 1
        assert 0 < row["loss"] < 5 * row["difference_norm"]
    merged = load_policy(spec, bench.io())
    chat = user("ask one")
    before = load_policy(spec.base, bench.io()).loglikelihood([(chat, "red.")])[0].logprob
    assert merged.loglikelihood([(chat, "red.")])[0].logprob != before
    assert merged.prompt(chat) == load_policy(given.base, bench.io()).prompt(chat)
    assert bench.ran.count("train/sft") == (1 if variant == "scit" else 3)


def test_merged_equals_unmerged_and_switched_off_is_the_base(given: Given, bench: Bench) -> None:
    from peft import PeftModel

    spec, stage = planned(quick(lr=2e-2), given)
    folder = bench.payload(stage)
    merged, base = load_policy(spec, bench.io()), load_policy(spec.base, bench.io())
    ids = torch.tensor([[1, 5, 6, 7, 8]])
    with torch.no_grad():
        plain = base.model(input_ids=ids).logits.clone()
        adapted = PeftModel.from_pretrained(base.model, str(folder / "policy")).eval()
        torch.testing.assert_close(merged.model(input_ids=ids).logits, adapted(input_ids=ids).logits, atol=1e-5, rtol=0)
        assert not torch.allclose(adapted(input_ids=ids).logits, plain, atol=1e-4)
        with adapted.disable_adapter():
            torch.testing.assert_close(adapted(input_ids=ids).logits, plain, atol=1e-5, rtol=0)


def test_alpha_zero_changes_nothing(given: Given, bench: Bench) -> None:
    adapter = {"rank": 8, "targets": ("q_proj", "v_proj")}
    spec, stage = planned(quick(alpha=0.0, adapter=adapter), given)
    assert all(row["loss"] == 0 for row in log(bench.payload(stage)))
    found, base = load_policy(spec, bench.io()), load_policy(spec.base, bench.io())
    assert found.loglikelihood([(user("ask"), "red.")]) == base.loglikelihood([(user("ask"), "red.")])


def test_hir_learns_to_tell_the_sides_apart(given: Given, bench: Bench) -> None:
    method = HIR.model_validate({**QUICK, "lr": 2e-2, "epochs": 40, "instructions": WORDS, "start": QUICK})
    spec = method.policy(given)
    assert isinstance(spec, Instructed)
    assert spec.instruction == WORDS["good"]
    assert isinstance(spec.base, Tuned)
    rows = log(bench.payload(spec.base.by))
    assert rows[-1]["contrast"] < rows[0]["contrast"]
    assert rows[-1]["accuracy"] > 0.9
    good, plain = load_policy(spec, bench.io()), load_policy(spec.base, bench.io())
    bad = load_policy(spec.model_copy(update={"instruction": WORDS["bad"]}), bench.io())
    chat, texts = user("ask two"), ("green tea.", "no no.")
    margins = []
    for policy in (good, bad):
        chosen, rejected = policy.loglikelihood([(chat, text) for text in texts])
        margins.append(chosen.logprob - rejected.logprob)
    assert margins[0] > 1 > -1 > margins[1]
    assert plain.prompt(chat) != good.prompt(chat)


def test_hir_and_scit_share_their_training(given: Given) -> None:
    method = quick()
    _, stage = planned(method, given)
    spec = HIR.model_validate({**method.contrast.model_dump(), "start": QUICK}).policy(given)
    assert isinstance(spec, Instructed)
    assert spec.base == stage.init
    assert stage.good == spec


def test_dual_takes_the_sides_apart(given: Given, bench: Bench) -> None:
    _, stage = planned(quick(variant="dual"), given)
    assert isinstance(stage.good, Tuned)
    assert isinstance(stage.good.by, TrainSFT)
    assert isinstance(stage.bad, Tuned)
    assert isinstance(stage.bad.by, TrainSFT)
    for policy, side in ((stage.good, "chosen"), (stage.bad, "rejected")):
        rows = read_demonstrations(policy.by.data, bench.io())
        assert [row.response for row in rows] == [row[side] for row in PREFERENCES]
        assert [row.prompt for row in rows] == [user(row["prompt"]) for row in PREFERENCES]
    assert stage.init == stage.good.base == stage.bad.base
    spec, other = planned(quick(variant="dual", base="good"), given)
    assert other.init == spec.base == other.good


def test_made_data_have_sides_too(given: Given, bench: Bench) -> None:
    once = side_of(given.preferences, "chosen") if given.preferences else None
    assert isinstance(once, Made)
    assert bench.payload(once.by).joinpath("rows.jsonl").read_text(encoding="utf-8").count("\n") == len(PREFERENCES)


def test_a_side_marks_what_was_cut(bench: Bench, tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "chosen": "b", "rejected": "c", "rejected_finish": "length"},
        {"prompt": "d", "chosen": "e", "rejected": "f", "chosen_finish": "length", "probability": 0.25},
    ]
    pairs = data(tmp_path / "cut.jsonl", rows)
    for side, ended in (("chosen", [True, True]), ("rejected", [False, False])):
        found = read_demonstrations(side_of(pairs, side), bench.io())
        assert [row.ended for row in found] == ended


def test_the_papers_settings() -> None:
    method = RAHF()
    assert (method.alpha, method.distance, method.activity_mean, method.base) == (5.0, "norm", "response", "sft")
    contrast = method.contrast
    assert (contrast.contrast_positions, contrast.contrast_mean, contrast.smoothing) == ("shifted", "response", 0.0)
    assert (method.adapter.rank, method.adapter.alpha, method.adapter.targets) == (8, 16.0, ("q_proj", "v_proj"))


def test_each_variant_has_its_layers_and_tokens(given: Given) -> None:
    _, scit = planned(quick(), given)
    _, dual = planned(quick(variant="dual"), given)
    assert (layers_at(scit.layers, 32), scit.response_tokens) == ((10, 12, 14, 16, 18), 512)
    assert (layers_at(dual.layers, 32), dual.response_tokens) == ((10, 12, 14, 16, 18, 20), 64)
    _, own = planned(quick(layers=(0.5,), response_tokens=9), given)
    assert (own.layers, own.response_tokens) == ((0.5,), 9)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 2.0),
        ("layers", (0.5,)),
        ("response_tokens", 5),
        ("responses", "random"),
        ("distance", "squared"),
        ("activity_mean", "padded"),
        ("adapter", {"rank": 2}),
        ("contrast", {**QUICK, "instructions": WORDS, "smoothing": 0.2}),
        ("contrast", {**QUICK, "instructions": WORDS, "contrast_positions": "unshifted"}),
        ("contrast", {**QUICK, "instructions": WORDS, "contrast_mean": "padded"}),
        ("contrast", {**QUICK, "instructions": WORDS, "language_mean": "tokens"}),
        ("contrast", {**QUICK, "instructions": "brief"}),
    ],
)
def test_every_setting_reaches_the_key(given: Given, field: str, value: Any) -> None:
    assert planned(quick(), given)[1].key != planned(quick(**{field: value}), given)[1].key


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "good"}, "base"),
        ({"variant": "dual", "contrast": {"smoothing": 0.2}}, "smoothing"),
        ({"variant": "dual", "contrast": {"instructions": "brief"}}, "instructions"),
        ({"layers": ()}, "layers"),
        ({"layers": (1.5,)}, "layers"),
        ({"alpha": -1}, "alpha"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RAHF.model_validate(fields)


@pytest.mark.parametrize("method", [RAHF(), HIR()])
def test_without_preferences_there_is_no_plan(given: Given, method: RAHF | HIR) -> None:
    with pytest.raises(BenchError, match="preferences"):
        method.policy(given.model_copy(update={"preferences": None}))


def test_a_random_response_is_one_of_the_pair(given: Given, bench: Bench) -> None:
    spec, stage = planned(quick(responses="random", epochs=1), given)
    both = planned(quick(epochs=1), given)[1]
    one_io, both_io = bench.run(stage), bench.run(both)
    assert isinstance(spec, Tuned)
    assert one_io.meter.trained_tokens < both_io.meter.trained_tokens
