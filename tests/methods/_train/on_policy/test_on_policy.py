"""Training on the reward of own responses: first steps, masks, splitting, resuming, budgets, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core.datasets import read_prompts
from bench.core.errors import StageError
from bench.core.frozen import decode, digest_of_file, encode
from bench.core.method import Budget, Given, Lora
from bench.core.policy import Decoding, Tuned
from bench.core.reward import FileReward
from bench.core.stage import Progress, StageIO
from bench.core.task import user
from bench.models.likelihood.logprobs import Group
from bench.models.load import load_policy
from bench.models.rewards import open_reward
from methods._train.loop import checkpoint
from methods._train.loop.tune import loaded
from methods._train.on_policy import train as training
from methods._train.on_policy.critic import ValueModel, one_longer
from methods._train.on_policy.reward_optimisation import TrainOnReward
from methods._train.on_policy.rollouts import Rollouts, Sampler, answerable, logprobs_at, noise_seed, numbered_draws
from methods._train.on_policy.train import explained_variance, train_on_reward
from methods.grpo import GRPO
from methods.ppo import PPO
from methods.reinforce import REINFORCE
from methods.rloo import RLOO
from tests import forked
from tests.methods.tiny import DEMONSTRATIONS, Bench, data, log, pretrained

QUICK: dict[str, Any] = {
    "updates": 3,
    "prompts_per_update": 4,
    "samples": 2,
    "batch_size": 4,
    "epochs": 2,
    "lr": 5e-3,
    "max_new_tokens": 6,
    "start": {"lr": 5e-3, "epochs": 1, "batch_size": 4},
}
LETTERS = "return [float(r.count('e')) for r in responses]"


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(
        base=pretrained(tmp_path / "model"),
        demonstrations=data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS),
        prompts=data(tmp_path / "prompts.jsonl", [{"id": f"p{n}", **row} for n, row in enumerate(DEMONSTRATIONS)]),
        seed=0,
    )


def reward(folder: Path, body: str = LETTERS) -> FileReward:
    name = hashlib.sha256(body.encode()).hexdigest()[:8]
    path = folder / f"reward_{name}.py"
    path.write_text(f"import math\n\ndef reward(prompts, responses):\n    {body}\n", encoding="utf-8")
    return FileReward(path=str(path), digest=digest_of_file(path))


def stage_of(method: PPO | RLOO | GRPO | REINFORCE, given: Given) -> TrainOnReward:
    spec = method.policy(given)
    assert isinstance(spec, Tuned)
    assert isinstance(spec.by, TrainOnReward)
    return spec.by


def weights(stage: TrainOnReward, bench: Bench) -> dict[str, torch.Tensor]:
    policy = load_policy(Tuned(base=stage.init, by=stage), bench.io())
    return dict(policy.model.named_parameters())


@pytest.mark.parametrize("lora", [None, Lora(rank=4)], ids=["full", "lora"])
@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_the_first_step_finds_the_policy_where_it_was(
    given: Given, tmp_path: Path, bench: Bench, lora: Lora | None, critic: str
) -> None:
    given = given.model_copy(update={"lora": lora})
    method = PPO(**{**QUICK, "epochs": 1, "batch_size": 8, "reward": reward(tmp_path), "critic": critic})
    first, *_, last = log(bench.payload(stage_of(method, given)))
    assert first["ratio"] == 1
    assert first["approximate_kl"] == 0
    assert first["clip_fraction"] == 0
    assert first["kl"] == pytest.approx(0, abs=1e-5)
    assert last["kl"] != pytest.approx(0, abs=1e-3)
    assert {"reward", "entropy", "value_loss", "policy_loss", "explained_variance", "without_end"} <= set(first)


def test_further_passes_move_as_in_the_logged_run(given: Given, tmp_path: Path, bench: Bench) -> None:
    """Means over passes rise from 0 like those of the logged run of arXiv:2403.17031 (METHODS 2d), same order."""
    found = []
    for epochs in (1, 2, 3, 4):
        settings = {**QUICK, "epochs": epochs, "batch_size": 64, "prompts_per_update": 32, "updates": 1, "lr": 1e-3}
        method = PPO(**{**settings, "reward": reward(tmp_path), "critic": "shared"})
        found.append(log(bench.payload(stage_of(method, given)))[0])
    moved, clipped, losses = (
        [row[name] for row in found] for name in ("approximate_kl", "clip_fraction", "policy_loss")
    )
    assert moved[0] == clipped[0] == 0
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert moved == sorted(moved)
    assert losses == sorted(losses, reverse=True)
    assert 1e-4 < moved[-1] < 0.05
    assert abs(found[-1]["ratio"] - 1) < 0.05


def test_splitting_a_batch_changes_nothing(given: Given, tmp_path: Path, bench: Bench) -> None:
    for method, extra in ((PPO, {"critic": "shared"}), (PPO, {"critic": "separate"}), (GRPO, {}), (RLOO, {})):
        found = []
        for micro_tokens in (8192, 40):
            settings = {**QUICK, "micro_tokens": micro_tokens, "batch_size": 8, "updates": 1, **extra}
            stage = stage_of(method(**{**settings, "reward": reward(tmp_path)}), given)
            bench.payload(stage)
            found.append(weights(stage, bench))
        for name, values in found[0].items():
            torch.testing.assert_close(values, found[1][name], atol=2e-4, rtol=1e-3)


def test_a_batch_of_one_is_a_row_of_a_batch(given: Given, bench: Bench) -> None:
    policy = load_policy(given.base, bench.io())
    groups = [Group([1, 5, 6], [[7, 8, 2], [9, 2]]), Group([1, 9, 9, 9, 9, 4], [[5, 6, 7, 8, 9, 4], [2]])]
    shape = torch.Size((4, 6))
    whole = logprobs_at(policy, groups, shape, 0.7)
    alone = [
        logprobs_at(policy, [Group(group.prompt, [response])], torch.Size((1, 6)), 0.7)
        for group in groups
        for response in group.responses
    ]
    torch.testing.assert_close(torch.cat(alone), whole, atol=1e-6, rtol=0)


def test_padding_and_what_stands_behind_the_end_change_nothing(given: Given, bench: Bench) -> None:
    policy = load_policy(given.base, bench.io())
    critic = ValueModel(policy, torch.nn.Linear(16, 1))
    groups = [Group([1, 5, 6], [[7, 8, 2], [9, 2]]), Group([1, 4], [[5, 6, 7, 8, 9, 4]])]
    found = []
    for behind in (0, 17):
        longer = one_longer(groups, behind, 6)
        assert [len(response) for group in longer for response in group.responses] == [4, 3, 6]
        found.append(critic.all_values(longer, torch.Size((3, 6))))
    assert torch.equal(*found)
    assert found[0][1, 3:].abs().max() == 0
    policy.pad_id = 9
    assert torch.equal(critic.all_values(longer, torch.Size((3, 6))), found[0])
    chats = [user("ask"), user("a much longer one"), user("ask")]
    seeds = [noise_seed(0, 1, 2, draw) for draw in (0, 1, 2)]
    together = policy.generate(chats, Decoding(max_new_tokens=6), seeds=seeds)
    for chat, seed, one in zip(chats, seeds, together, strict=True):
        assert policy.generate([chat], Decoding(max_new_tokens=6), seeds=[seed])[0].tokens == one.tokens


def test_noise_is_of_run_update_prompt_and_draw() -> None:
    found = {noise_seed(*parts) for parts in ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))}
    assert len(found) == 5
    assert noise_seed(3, 4, 5, 6) == noise_seed(3, 4, 5, 6)


def test_draws_of_a_prompt_are_numbered_across_an_update() -> None:
    assert numbered_draws([7, 3], 2) == [(7, 0), (7, 1), (3, 0), (3, 1)]
    assert numbered_draws([7, 3, 7, 7], 2)[4:] == [(7, 2), (7, 3), (7, 4), (7, 5)]
    many = numbered_draws([number % 3 for number in range(12)], 4)
    assert len(set(many)) == 48 and {draw for _, draw in many} == set(range(16))


@pytest.mark.parametrize("method", [PPO, RLOO, GRPO, REINFORCE])
def test_a_prompt_that_comes_up_again_is_answered_anew(
    method: type[Any], given: Given, tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three rows, of which two are the same chat, stand twelve times in each update, four responses to each."""
    rows = [{"prompt": "ask one"}, {"prompt": "ask two"}, {"prompt": "ask one"}]
    settings = {
        **QUICK, "updates": 2, "prompts_per_update": 12, "samples": 4, "batch_size": 48, "epochs": 1, "lr": 1e-9,
        "reward": reward(tmp_path),
    }  # fmt: skip
    seen: list[Rollouts] = []
    draw = Sampler.draw

    def drawn(self: Sampler, numbers: Any, update: int) -> Rollouts:
        seen.append(draw(self, numbers, update))
        return seen[-1]

    monkeypatch.setattr(Sampler, "draw", drawn)
    prompts = data(tmp_path / "few.jsonl", rows)
    bench.payload(stage_of(method(**settings), given.model_copy(update={"prompts": prompts})))
    for one in seen:
        places: dict[tuple[int, ...], list[Any]] = {}
        for group in one.groups:
            places.setdefault(tuple(group.prompt), []).append(tuple(map(tuple, group.responses)))
        assert sorted(map(len, places.values())) == [4, 8]
        assert all(len(found) == len(set(found)) for found in places.values())
        # The policy hardly learns, so responses that are drawn alike are chance: far fewer than three quarters.
        responses = [(prompt, text) for prompt, groups in places.items() for group in groups for text in group]
        assert len(set(responses)) > 36
    assert {text for group in seen[0].groups for text in map(tuple, group.responses)} != {
        text for group in seen[1].groups for text in map(tuple, group.responses)
    }


def test_without_a_price_it_collapses_to_what_is_paid(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "updates": 25, "prompts_per_update": 8, "batch_size": 16, "beta": 0.0, "schedule": "constant"}
    method = PPO(
        **{**settings, "reward": reward(tmp_path), "critic": "shared", "missing_end_penalty": None, "lr": 2e-2}
    )
    rows = log(bench.payload(stage_of(method, given)))
    assert rows[0]["reward"] < 2
    assert rows[-1]["reward"] > 5.5
    assert rows[-1]["entropy"] < 0.3 < rows[0]["entropy"]


def test_a_huge_price_holds_it_at_the_reference(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "updates": 12, "prompts_per_update": 8, "batch_size": 16, "epochs": 1, "lr": 1e-3}
    settings |= {"missing_end_penalty": None, "schedule": "constant"}
    nothing = reward(tmp_path, "return [0.0] * len(responses)")
    far = {}
    for beta in (20.0, 0.0):
        method = RLOO(**{**settings, "beta": beta, "reward": nothing if beta else reward(tmp_path)})
        rows = log(bench.payload(stage_of(method, given)))
        far[beta] = sum(row["kl"] for row in rows[-4:]) / 4
    assert abs(far[20.0]) < 0.05
    assert far[0.0] > 3 * abs(far[20.0])


def test_demonstrations_are_mixed_in(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "updates": 8, "reward": reward(tmp_path), "critic": "shared"}
    rows = log(bench.payload(stage_of(PPO(**settings, ptx=5.0), given)))
    assert rows[-1]["demonstration_loss"] < rows[0]["demonstration_loss"]
    assert "demonstration_loss" not in log(bench.payload(stage_of(PPO(**settings), given)))[0]
    assert PPO(ptx=1.0).needs() >= {"demonstrations"}


def test_the_best_weights_of_held_out_prompts_are_kept(given: Given, tmp_path: Path, bench: Bench) -> None:
    """Steps of an absurd size spoil the policy at once, so the first update is kept."""
    settings = {**QUICK, "held_out": 3, "select_every": 1, "updates": 4, "lr": 0.5, "schedule": "constant"}
    stage = stage_of(PPO(**{**settings, "reward": reward(tmp_path), "critic": "shared"}), given)
    folder = bench.payload(stage)
    rows = log(folder)
    found = [row["held_out_objective"] for row in rows]
    kept = json.loads((folder / "diagnostics.json").read_text())
    assert kept["kept_update"] == found.index(max(found)) + 1
    assert [row["held_out_objective"] for row in kept["held_out"]] == found
    policy = load_policy(Tuned(base=stage.init, by=stage), bench.io())
    again = policy.generate(
        [user(row["prompt"]) for row in DEMONSTRATIONS[-3:] for _ in range(2)],
        Decoding(max_new_tokens=6),
        seeds=[noise_seed(0, 2**32 - 1, number, draw) for number in (5, 6, 7) for draw in range(2)],
    )
    scores = [one.text.count("e") - (one.finish != "end") for one in again]
    assert rows[kept["kept_update"] - 1]["held_out_reward"] == pytest.approx(sum(scores) / 6)


def test_special_tokens_that_a_policy_writes_are_counted(given: Given, tmp_path: Path, bench: Bench) -> None:
    folder = bench.payload(stage_of(RLOO(**{**QUICK, "reward": reward(tmp_path)}), given))
    found = sum(row.get("special_tokens", 0) for row in log(folder))
    assert 0 < found < 24
    told = json.loads((folder / "diagnostics.json").read_text())["spelling"]
    assert (told["written"], told["responses"]) == (found, 24)


def test_a_pass_too_far_is_the_last(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {**QUICK, "epochs": 4, "reward": reward(tmp_path), "critic": "shared"}
    assert {row["passes"] for row in log(bench.payload(stage_of(PPO(**settings), given)))} == {4}
    stopped = log(bench.payload(stage_of(PPO(**settings, target_kl=1e-9), given)))
    assert {row["passes"] for row in stopped} == {1}


@pytest.mark.parametrize(("axis", "value"), [("examples", 17), ("tokens", 2500), ("flops", 1e8)])
def test_budgets_are_never_exceeded(given: Given, tmp_path: Path, bench: Bench, axis: Any, value: float) -> None:
    given = given.model_copy(update={"budget": Budget(axis=axis, value=value)})
    settings = {**QUICK, "updates": 50, "reward": reward(tmp_path), "critic": "separate"}
    stage = stage_of(PPO(**settings), given)
    bench.payload(stage.init.by)  # type: ignore[union-attr]
    io = bench.run(stage)
    meter = io.meter
    tokens = meter.trained_tokens + meter.read_tokens + meter.generated_tokens
    assert {"examples": meter.examples, "tokens": tokens, "flops": meter.flops}[axis] <= value
    assert 0 < len(log(io.out)) < 50
    assert meter.examples == 8 * len(log(io.out)) or axis != "examples"


def test_a_budget_below_an_update_is_refused(given: Given, tmp_path: Path, bench: Bench) -> None:
    stage = stage_of(PPO(**{**QUICK, "reward": reward(tmp_path)}), given)
    stage = stage.model_copy(update={"budget": Budget(axis="examples", value=7)})
    with pytest.raises(StageError, match=r"train/ppo .*7 examples does not pay for one update of 4 prompts"):
        bench.run(stage)


def test_prompts_without_room_are_left_out_and_counted(given: Given, tmp_path: Path, bench: Bench) -> None:
    """Five of the prompts have 11 tokens, and the others fewer."""
    practice = {**QUICK, "updates": 2, "prompts_per_update": 2, "reward": reward(tmp_path)}
    stage = stage_of(PPO(**practice), given).model_copy(update={"max_length": 16})
    told = json.loads((bench.payload(stage) / "diagnostics.json").read_text())["lengths"]
    assert [(one["rows"], one["dropped"]) for one in told] == [(8, 5)]


def test_what_is_drawn_to_a_prompt_does_not_depend_on_those_left_out(
    given: Given, tmp_path: Path, bench: Bench
) -> None:
    """The first two and the sixth of eight prompts have room."""
    stage = stage_of(GRPO(**{**QUICK, "reward": reward(tmp_path)}), given)
    found: list[dict[tuple[int, ...], list[list[int]]]] = []
    for max_length in (100, 16):
        short, io = stage.model_copy(update={"max_length": max_length}), bench.io(f"drawn{max_length}")
        policy = loaded(short, io)
        asked, _ = answerable(short, policy, read_prompts(short.data, io))
        sampler = Sampler(short, io, policy, asked, open_reward(short.reward, io, asked_by=short))
        drawn = sampler.draw(range(len(asked.prompts)), 0)
        found.append({tuple(group.prompt): list(group.responses) for group in drawn.groups})
    whole, left = found
    assert (len(whole), len(left)) == (8, 3)
    assert list(left) != list(whole)[:3]
    assert all(whole[prompt] == responses for prompt, responses in left.items())


def test_no_prompt_with_room_is_told_before_anything_is_computed(given: Given, tmp_path: Path, bench: Bench) -> None:
    stage = stage_of(PPO(**{**QUICK, "max_new_tokens": 55, "reward": reward(tmp_path)}), given)
    stage = stage.model_copy(update={"max_length": 58})
    with pytest.raises(StageError, match=r"none of 8 prompts .*max_new_tokens 55 .* 3 tokens.*Lower max_new_tokens"):
        bench.run(stage)
    assert not list((bench.root / stage.key).glob("out/*"))


def test_a_wrong_reward_ends_the_stage_and_names_it(given: Given, tmp_path: Path, bench: Bench) -> None:
    stage = stage_of(PPO(**{**QUICK, "reward": reward(tmp_path, "return [math.nan] * len(responses)")}), given)
    with pytest.raises(StageError, match=r"train/ppo .*gave nan for a response to prompt 'p\d'"):
        bench.run(stage)


def test_too_few_prompts_are_refused(given: Given, tmp_path: Path, bench: Bench) -> None:
    with pytest.raises(StageError, match="8 prompts, of which 8 are held out"):
        bench.run(stage_of(PPO(**{**QUICK, "held_out": 8, "reward": reward(tmp_path)}), given))


def test_compiled_layers_are_refused(given: Given, tmp_path: Path, bench: Bench) -> None:
    with pytest.raises(StageError, match=r"train/ppo .*Set graph: eager"):
        bench.run(stage_of(PPO(**{**QUICK, "graph": "compiled", "reward": reward(tmp_path)}), given))


def test_the_explained_variance_is_that_of_places_with_a_return() -> None:
    mask = torch.tensor([[True, True, False]])
    returns, values = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[1.0, 2.0, 9.0]])
    assert explained_variance(returns, values, mask) == pytest.approx(0.75)
    assert explained_variance(torch.ones(1, 3), values, mask) is None
    assert explained_variance(returns, values, torch.zeros_like(mask)) is None


def folder_digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def train_or_die(root: Path, kill_at: int) -> None:
    """In a process of its own: run the stage with a checkpoint after every update, and be killed at one of them."""
    torch.set_num_threads(1)
    stage = decode(json.loads((root / "stage.json").read_text()))
    bench = Bench(root / "bench")
    bench.payload(stage.init.by)

    def tell(progress: Progress) -> None:
        if progress.unit == "update" and progress.done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Pace", lambda _by_time: checkpoint.Pace(1))
        bench.run(stage, tell)


def test_a_killed_training_goes_on_to_the_same_bytes(given: Given, tmp_path: Path, bench: Bench) -> None:
    settings = {
        **QUICK,
        "updates": 4,
        "kl_target": 0.01,
        "kl_horizon": 50,
        "held_out": 2,
        "select_every": 1,
        "ptx": 0.5,
    }
    stage = stage_of(PPO(**{**settings, "reward": reward(tmp_path)}), given)

    def attempt(kill_at: int) -> int | None:
        root = tmp_path / "killed"
        root.mkdir(exist_ok=True)
        (root / "stage.json").write_text(json.dumps(encode(stage)))
        process = forked.start(train_or_die, root, kill_at)
        process.join()
        return process.exitcode

    assert attempt(2) == -signal.SIGKILL
    folder = tmp_path / "killed" / "bench" / stage.key
    assert (folder / "scratch" / "checkpoint.pt").is_file()
    assert attempt(-1) == 0
    whole = folder_digest(bench.payload(stage))
    assert folder_digest(folder / "out") == whole
    assert len(whole) >= 4


def test_the_meter_goes_on_where_a_killed_training_was(given: Given, tmp_path: Path, bench: Bench) -> None:
    class Killed(Exception):
        pass

    stage = stage_of(PPO(**{**QUICK, "reward": reward(tmp_path)}), given)
    whole = bench.run(stage)

    def attempt(kill_at: int) -> StageIO:
        def tell(progress: Progress) -> None:
            if progress.unit == "update" and progress.done == kill_at:
                raise Killed

        io = bench.io("again", tell)
        train_on_reward(stage, io, stage.objective(), None, 1)  # type: ignore[attr-defined]
        return io

    with pytest.raises(Killed):
        attempt(2)
    one, other = whole.meter.as_dict(), attempt(-1).meter.as_dict()
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert one["generated_tokens"] > 0
    assert one["trained_tokens"] > one["generated_tokens"]
