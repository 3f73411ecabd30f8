"""The reward model: its loss, its training, its normalisation and what it says of held-out pairs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import methods
from bench.core.datasets import Reply
from bench.core.errors import StageError
from bench.core.frozen import decode, encode
from bench.core.method import Given, Lora
from bench.core.reward import MixedReward, ModelReward, Part, reward_models
from bench.core.task import user
from bench.models.likelihood.logprobs import Group
from bench.models.reward_model import RewardModel, load_reward_model, new_head
from methods._train.rewards.held_out import Labels, held_out_prompts, measured
from methods._train.rewards.stage import TrainRewardModel
from methods._train.rewards.train import preference_loss
from methods._train.settings import Optimisation, RewardModelSettings
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, log

QUICK = RewardModelSettings(lr=5e-3, epochs=6, batch_size=4, held_out=0.25)


def planned(given: Given, settings: RewardModelSettings = QUICK) -> TrainRewardModel:
    return methods.reward_model(given, settings, Optimisation(lr=5e-3, epochs=1, batch_size=4))


def diagnostics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "diagnostics.json").read_text(encoding="utf-8"))
    return found


def loss(difference: float, probability: float = 1.0, margin: float = 0.0) -> torch.Tensor:
    one = torch.tensor([difference], requires_grad=True)
    return preference_loss(one, torch.zeros(1), torch.tensor([probability]), torch.tensor([margin]))


def test_equal_rewards_cost_ln_2_and_pull_with_one_half() -> None:
    chosen = torch.zeros(1, requires_grad=True)
    found = preference_loss(chosen, torch.zeros(1), torch.ones(1), torch.zeros(1))
    found.sum().backward()
    assert found.item() == pytest.approx(0.693147, abs=1e-6)
    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(-0.5)


def test_a_soft_label_has_its_optimum_at_its_log_odds() -> None:
    points = torch.linspace(-2, 2, 40001, dtype=torch.float64)
    soft = torch.full_like(points, 0.65)
    found = preference_loss(points, torch.zeros_like(points), soft, torch.zeros_like(points))
    assert points[found.argmin()].item() == pytest.approx(0.619039, abs=1e-4)
    assert found.min().item() == pytest.approx(0.647447, abs=1e-6)
    with_margin = preference_loss(points, torch.zeros_like(points), soft, torch.full_like(points, 0.5))
    assert points[with_margin.argmin()].item() == pytest.approx(1.119039, abs=1e-4)


def test_a_label_turned_round_is_the_same_label() -> None:
    assert loss(0.7, 0.8).item() == pytest.approx(loss(-0.7, 0.2).item())
    assert loss(2.0, 1.0, 0.5).item() == pytest.approx(loss(1.5).item())


def test_it_learns_and_its_references_average_zero(given: Given, bench: Bench) -> None:
    stage = planned(given)
    folder = bench.payload(stage)
    rows = log(folder)
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[-1]["accuracy"] == 1.0
    model = load_reward_model(stage, bench.io())
    found = model.score_texts(
        [user(row["prompt"]) for row in DEMONSTRATIONS], [Reply(row["response"]) for row in DEMONSTRATIONS]
    )
    assert np.mean(found) == pytest.approx(0, abs=1e-5)
    said = diagnostics(folder)
    assert said["references"] == len(DEMONSTRATIONS)
    assert (said["trained_pairs"], said["held_out"]["pairs"]) == (6, 2)
    assert said["scale"] == 1.0


def test_without_demonstrations_the_pairs_are_the_reference_and_the_spread_is_one(given: Given, bench: Bench) -> None:
    settings = QUICK.model_copy(update={"spread": "unit"})
    stage = planned(given.model_copy(update={"demonstrations": None}), settings)
    bench.payload(stage)
    model = load_reward_model(stage, bench.io())
    chats = [user(row["prompt"]) for row in PREFERENCES for _ in range(2)]
    found = model.score_texts(chats, [Reply(row[side]) for row in PREFERENCES for side in ("chosen", "rejected")])
    assert np.mean(found) == pytest.approx(0, abs=1e-5)
    assert np.std(found) == pytest.approx(1, abs=1e-5)


def test_the_spread_changes_neither_the_order_nor_what_is_measured(given: Given, bench: Bench) -> None:
    natural, unit = (planned(given, QUICK.model_copy(update={"spread": spread})) for spread in ("natural", "unit"))
    held_out = [diagnostics(bench.payload(stage))["held_out"] for stage in (natural, unit)]
    assert held_out[0] == held_out[1]
    chats, texts = [user("ask one")] * 3, ["red.", "no.", "tea no."]
    one, other = (
        load_reward_model(stage, bench.io()).score_texts(chats, list(map(Reply, texts))) for stage in (natural, unit)
    )
    scale = diagnostics(bench.payload(unit))["scale"]
    assert [value * scale for value in other] == pytest.approx(one, abs=1e-5)


def test_lora_trains_an_adapter_and_the_head(given: Given, bench: Bench) -> None:
    stage = planned(given.model_copy(update={"lora": Lora(rank=4, dropout=0.1)}))
    folder = bench.payload(stage)
    assert (folder / "policy" / "adapter_config.json").is_file()
    assert log(folder)[-1]["loss"] < log(folder)[0]["loss"]
    assert len(load_reward_model(stage, bench.io()).score_texts([user("ask one")], [Reply("red.")])) == 1


def test_the_head_begins_small_and_by_its_seed(given: Given, bench: Bench) -> None:
    from bench.models.load import load_policy

    policy = load_policy(given.base, bench.io())
    heads = [new_head(policy, seed) for seed in (0, 0, 1)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    many = torch.cat([new_head(policy, seed).weight for seed in range(200)])
    assert many.std().item() == pytest.approx(1 / math.sqrt(17), rel=0.05)
    assert all(head.bias.item() == 0 for head in heads)


def test_a_split_batch_is_the_whole_batch(given: Given, tmp_path: Path) -> None:
    found = []
    for micro_tokens in (8192, 20):
        stage = planned(given, QUICK.model_copy(update={"micro_tokens": micro_tokens}))
        bench = Bench(tmp_path / str(micro_tokens))
        found.append(load_file(bench.payload(stage) / "head.safetensors")["weight"])
    assert torch.allclose(*found, atol=1e-4)


def test_recomputed_activations_change_nothing(given: Given, tmp_path: Path) -> None:
    found = []
    for activations in ("kept", "recomputed"):
        stage = planned(given, QUICK.model_copy(update={"activations": activations}))
        found.append(load_file(Bench(tmp_path / activations).payload(stage) / "head.safetensors")["weight"])
    assert torch.allclose(*found, atol=1e-5)


def test_a_killed_training_goes_on_to_the_same_bytes(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from methods._train.loop.checkpoint import Pace

    monkeypatch.setattr(Pace, "due", lambda _self, _step: True)
    stage = planned(given)
    whole, cut = Bench(tmp_path / "whole"), Bench(tmp_path / "cut")
    whole.payload(stage)

    def stop(progress: Any) -> None:
        if progress.unit == "step" and progress.done == 4:
            raise KeyboardInterrupt

    cut.payload(stage.inputs()[0])
    with pytest.raises(KeyboardInterrupt):
        cut.run(stage, stop)
    cut.run(stage)
    for path in sorted(whole.payload(stage).rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (cut.payload(stage) / path.relative_to(whole.payload(stage))).read_bytes(), path


def test_soft_labels_and_margins_reach_the_loss(given: Given, tmp_path: Path) -> None:
    def first_loss(name: str, **columns: float) -> float:
        rows = [{**row, **columns} for row in PREFERENCES]
        changed = given.model_copy(update={"preferences": data(tmp_path / f"{name}.jsonl", rows)})
        return log(Bench(tmp_path / name).payload(planned(changed)))[0]["loss"]

    hard, soft, margin = first_loss("hard"), first_loss("soft", probability=0.65), first_loss("margin", margin=1.0)
    assert soft == pytest.approx(hard, abs=0.3)
    assert soft != hard
    assert margin > hard + 0.3


def test_one_reward_for_all_cannot_be_spread(
    given: Given, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "ask", "chosen": "no.", "rejected": "so."}]
    only = given.model_copy(update={"preferences": data(tmp_path / "same.jsonl", rows), "demonstrations": None})
    monkeypatch.setattr(RewardModel, "scores", lambda _model, groups, _io=None: [0.5] * (2 * len(groups)))
    with pytest.raises(StageError, match="one reward"):
        bench.run(planned(only, QUICK.model_copy(update={"spread": "unit"})))


def test_all_who_ask_share_it(given: Given) -> None:
    stage = methods.reward_model(given, RewardModelSettings())
    assert stage.key == methods.reward_model(given, RewardModelSettings()).key
    assert decode(encode(stage)).key == stage.key
    mixed = MixedReward(parts=(Part(reward=ModelReward(), weight=0.5), Part(reward=ModelReward(by=stage))))
    opened = methods.opened_reward(given, mixed, RewardModelSettings())
    assert isinstance(opened, MixedReward)
    assert [part.reward for part in opened.parts] == [ModelReward(by=stage)] * 2
    assert [part.weight for part in opened.parts] == [0.5, 1.0]
    assert reward_models(stage.init) == ()


def test_held_out_prompts_are_whole() -> None:
    prompts = [user(name) for name in "aabbccddee"]
    kept = held_out_prompts(prompts, 0.4, seed=0)
    assert len(kept) == 4
    assert {prompts[number] for number in kept}.isdisjoint(prompts[number] for number in set(range(10)) - kept)
    assert held_out_prompts(prompts, 0.4, seed=0) == kept
    assert held_out_prompts(prompts, 0.0, seed=0) == frozenset()
    assert len(held_out_prompts([user("a"), user("b")], 0.9, seed=0)) == 1
    assert len({held_out_prompts(prompts, 0.4, seed=seed) for seed in range(5)}) > 1


def test_diagnostics_of_known_numbers() -> None:
    odds = np.array([2.0, -1.0, 0.0, 3.0, 1.0])
    labels = Labels(
        probability=np.array([1.0, 1.0, 0.9, 0.1, 0.5]),
        longer_by=np.array([4, -4, 0, 1, 2]),
        prompt=np.arange(5),
    )
    found: Any = measured(odds, labels)
    # Right, wrong, a tie, wrong (the rejected one is better), and a label that says nothing.
    assert found["accuracy"]["value"] == pytest.approx(1.5 / 4)
    assert (found["pairs"], found["labelled"], found["accuracy"]["pairs"]) == (5, 4, 4)
    assert found["accuracy"]["low"] < 0.375 < found["accuracy"]["high"]
    sigmoid = 1 / (1 + np.exp(-odds))
    assert found["brier"] == pytest.approx(np.mean((sigmoid - labels.probability) ** 2))
    assert found["least_loss"] == pytest.approx((2 * 0.325083 + 0.693147) / 5, abs=1e-6)
    lengths = {row["better_is"]: (row["value"], row["pairs"]) for row in found["by_length"]}
    assert lengths == {
        "much shorter": (None, 0),
        "shorter": (0.0, 2),
        "as long": (0.5, 1),
        "longer": (1.0, 1),
        "much longer": (None, 0),
    }
    assert found["prefers_longer"] == {"model": 1.0, "label": pytest.approx(1 / 3), "pairs": 3}


def test_a_calibrated_model_has_no_calibration_error_and_the_least_loss() -> None:
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 2, 100_000)
    chosen = 1 / (1 + np.exp(-odds))
    drawn = (generator.random(len(odds)) < chosen).astype(float)
    even = np.zeros(len(odds), dtype=np.int64)
    found: Any = measured(odds, Labels(drawn, even, np.arange(len(odds))))
    assert found["calibration_error"] < 0.01
    overdone: Any = measured(3 * odds, Labels(drawn, even, np.arange(len(odds))))
    assert overdone["calibration_error"] > 0.05
    soft: Any = measured(odds, Labels(chosen, even, np.arange(len(odds))))
    assert soft["loss"] == pytest.approx(soft["least_loss"], rel=1e-9)


def test_pairs_of_one_prompt_are_a_cluster() -> None:
    odds, ones = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0]), np.ones(6)
    even = np.zeros(6, dtype=np.int64)
    together: Any = measured(odds, Labels(ones, even, np.array([0, 0, 1, 1, 2, 2])))
    apart: Any = measured(odds, Labels(ones, even, np.arange(6)))
    assert together["accuracy"]["value"] == apart["accuracy"]["value"] == pytest.approx(2 / 3)
    width = [found["accuracy"]["high"] - found["accuracy"]["low"] for found in (together, apart)]
    assert width[0] > width[1]
    one: Any = measured(odds, Labels(ones, even, np.zeros(6, dtype=np.int64)))
    assert one["accuracy"]["low"] is None
    right: Any = measured(np.ones(6), Labels(ones, even, np.array([0, 0, 1, 1, 2, 2])))
    assert right["accuracy"]["high"] == 1.0
    assert 0.3 < right["accuracy"]["low"] < 0.6  # three prompts, all right
    few: Any = measured(np.array([1.0, 1, 1, -1]), Labels(np.ones(4), np.zeros(4, dtype=int), np.array([0, 0, 1, 1])))
    assert (few["accuracy"]["low"], few["accuracy"]["high"]) == (0.0, 1.0)


def test_scores_depend_on_nothing_beside_the_response(given: Given, bench: Bench) -> None:
    stage = planned(given)
    bench.payload(stage)
    model = load_reward_model(stage, bench.io())
    chats = [user("ask one"), user("tell five"), user("ask one"), user("say a long thing")]
    texts = ["red.", "no no no.", "a black cat sat.", "so."]
    whole = model.score_texts(chats, list(map(Reply, texts)))
    alone = [model.score_texts([chat], [Reply(text)])[0] for chat, text in zip(chats, texts, strict=True)]
    assert whole == pytest.approx(alone, abs=1e-5)
    prompt, response = model.policy.prompt(chats[0]), [8, 9, 2]
    # Padding left and right: a longer neighbour before and behind.
    long = Group(prompt, [[5] * 30])
    assert model.scores([long, Group(prompt, [response]), long])[1] == pytest.approx(
        model.scores([Group(prompt, [response])])[0], abs=1e-5
    )


def test_it_is_refused_where_no_reward_model_was_trained(given: Given, bench: Bench) -> None:
    start = methods.supervised_start(given)
    with pytest.raises(StageError, match="trained no reward model"):
        load_reward_model(start.by, bench.io())
