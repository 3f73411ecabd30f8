"""Supervised fine-tuning: what is scored, what padding does, and that the end token is learnt."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from bench.core.method import Given
from bench.core.policy import Decoding, Message, Tuned
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_policy, load_trainable
from methods._shared import supervised_start
from methods._train.loop.tune import Example
from methods._train.sft.stage import TrainSFT
from methods._train.sft.train import sft_loss
from methods.sft import SFT
from tests.methods.tiny import DEMONSTRATIONS, Bench, data, log, pretrained


@pytest.fixture
def policy(tmp_path: Path, bench: Bench) -> HFPolicy:
    return load_trainable(pretrained(tmp_path / "model"), bench.io(), lora=None, seed=0)


def loss_and_gradient(policy: HFPolicy, groups: list[Group]) -> tuple[float, dict[str, torch.Tensor]]:
    policy.model.zero_grad()
    found = sft_loss(policy, [Example(number, group) for number, group in enumerate(groups)])
    (found.total / found.weight).backward()
    gradient = {name: part.grad.clone() for name, part in policy.model.named_parameters() if part.grad is not None}
    return found.total.item() / found.weight, gradient


def test_uniform_logits_give_ln_of_the_vocabulary(policy: HFPolicy) -> None:
    with torch.no_grad():
        policy.model.lm_head.weight.zero_()
    loss, _ = loss_and_gradient(policy, [Group([1, 5, 6], [[7, 8, 2]]), Group([1, 9], [[4, 2]])])
    assert loss == pytest.approx(math.log(33), abs=1e-6)


def test_the_mean_is_over_tokens_and_not_over_sequences(policy: HFPolicy) -> None:
    short, long = Group([1, 5], [[7, 2]]), Group([1, 6], [[4, 5, 6, 7, 8, 2]])
    one, _ = loss_and_gradient(policy, [short])
    other, _ = loss_and_gradient(policy, [long])
    both, _ = loss_and_gradient(policy, [short, long])
    assert both == pytest.approx((2 * one + 6 * other) / 8, abs=1e-6)


def test_the_prompt_is_read_but_not_scored(policy: HFPolicy) -> None:
    # With embeddings of all prompt tokens alike, permuting the prompt's ids changes nothing that is scored.
    with torch.no_grad():
        table = policy.model.get_input_embeddings().weight
        table[10:14] = table[10]
    here = loss_and_gradient(policy, [Group([1, 10, 11, 12, 13], [[7, 8, 2]])])
    there = loss_and_gradient(policy, [Group([1, 13, 10, 12, 11], [[7, 8, 2]])])
    assert here[0] == there[0]
    assert torch.equal(here[1]["lm_head.weight"], there[1]["lm_head.weight"])


def test_padding_on_the_right_changes_nothing(policy: HFPolicy) -> None:
    # A short row beside a long one, whose own part is taken off again.
    short, long = Group([1, 5], [[7, 8, 2]]), Group([1, 6], [[4] * 20])
    alone, beside, rest = (loss_and_gradient(policy, groups) for groups in ([short], [short, long], [long]))
    assert beside[0] * 23 - rest[0] * 20 == pytest.approx(alone[0] * 3, abs=1e-5)
    for name, gradient in alone[1].items():
        assert (beside[1][name] * 23 - rest[1][name] * 20 - gradient * 3).abs().max() < 1e-5, name


@pytest.mark.parametrize("rank", [None, 16])
def test_overfitting_eight_examples_reproduces_them_and_stops(tmp_path: Path, bench: Bench, rank: int | None) -> None:
    base = pretrained(tmp_path / "model", hidden=32)
    given = Given.model_validate(
        {
            "base": base,
            "demonstrations": data(tmp_path / "rows.jsonl", DEMONSTRATIONS),
            "lora": None if rank is None else {"rank": rank, "alpha": 32.0, "targets": ()},
            "seed": 0,
        }
    )
    spec = SFT(lr=1e-2 if rank is None else 3e-2, epochs=60, batch_size=8).policy(given)
    assert isinstance(spec, Tuned)
    policy = load_policy(spec, bench.io())
    chats = [(Message(role="user", content=row["prompt"]),) for row in DEMONSTRATIONS]
    found = policy.generate(chats, Decoding(temperature=0, max_new_tokens=30), seeds=[0] * len(chats))
    assert [item.text for item in found] == [row["response"] for row in DEMONSTRATIONS]
    assert {item.finish for item in found} == {"end"}


def test_the_sft_arm_is_the_start_of_the_others(tmp_path: Path) -> None:
    base = pretrained(tmp_path / "model")
    given = Given(base=base, demonstrations=data(tmp_path / "rows.jsonl", DEMONSTRATIONS), seed=0)
    arm, start = SFT().policy(given), supervised_start(given)
    assert isinstance(arm, Tuned)
    assert isinstance(start, Tuned)
    assert arm.by.key == start.by.key
    assert supervised_start(given.model_copy(update={"demonstrations": None})) == base


def test_the_stage_logs_and_meters(tmp_path: Path, bench: Bench) -> None:
    base = pretrained(tmp_path / "model")
    given = Given(base=base, demonstrations=data(tmp_path / "rows.jsonl", DEMONSTRATIONS), seed=0)
    spec = SFT(epochs=2, batch_size=4, lr=1e-3).policy(given)
    assert isinstance(spec, Tuned)
    assert isinstance(spec.by, TrainSFT)
    io = bench.run(spec.by)
    # A beginning token, the prompt and its question mark, the response, the end token.
    tokens = sum(len(row["prompt"]) + len(row["response"]) + 3 for row in DEMONSTRATIONS)
    assert io.meter.examples == 16
    assert io.meter.trained_tokens == 2 * tokens
    assert len(log(io.out)) == 4


def test_lost_characters_and_spelt_tokens_of_the_data_are_told(tmp_path: Path, bench: Bench) -> None:
    odd = [{"prompt": "say", "response": text} for text in ("red <eos> tea", "caf\u00e9", "caf\u00e9", "tea")]
    given = Given(base=pretrained(tmp_path / "model"), demonstrations=data(tmp_path / "odd.jsonl", odd), seed=0)
    stage = supervised_start(given, SFT(epochs=1, batch_size=4)).by
    told = json.loads((bench.payload(stage) / "diagnostics.json").read_text())
    # The tokenizer knows neither the accent nor the marks around a tag.
    assert told["spelling"] == {"changed": 2, "spelt": 1, "written": 0, "responses": 0}
    plain = given.model_copy(update={"demonstrations": data(tmp_path / "plain.jsonl", DEMONSTRATIONS)})
    stage = supervised_start(plain, SFT(epochs=1, batch_size=4)).by
    assert "spelling" not in json.loads((bench.payload(stage) / "diagnostics.json").read_text())
