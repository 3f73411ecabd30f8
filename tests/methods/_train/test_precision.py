"""What is trained is what is evaluated, in each type that can be computed in, for whole weights and adapters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from bench.core.files import digest_of_folder
from bench.core.frozen import digest_of_file
from bench.core.method import Given, Lora, Method
from bench.core.policy import Kept, PolicySpec, Pretrained, Tuned
from bench.core.reward import FileReward
from bench.core.stage import Progress
from bench.models.for_transformers import write_adapter, write_model
from bench.models.load import load_model, load_trainable
from bench.models.reward_model import load_reward_model
from bench.models.tokenised.token_rows import preference_rows
from methods._shared import reward_model
from methods._train.loop import checkpoint, tune
from methods._train.loop.optimizer import Optimizer
from methods._train.pairs.score_reference import pair_examples
from methods._train.settings import Optimisation, RewardModelSettings
from methods.dpo import DPO
from methods.grpo import GRPO
from methods.kto import KTO
from methods.ppo import PPO
from methods.sft import SFT
from tests.methods import tiny

LORA = Lora(rank=4)
START = Optimisation(lr=1e-3, epochs=1, batch_size=4)
PAIRS: dict[str, Any] = {"epochs": 1, "batch_size": 4, "schedule": "constant", "warmup": 0.0, "start": START}
DRAWN: dict[str, Any] = {
    "updates": 1, "prompts_per_update": 4, "samples": 2, "batch_size": 4, "max_new_tokens": 6, "epochs": 1,
    "start": START,
}  # fmt: skip


def model_of(family: str, folder: Path, *, tied: bool) -> None:
    shape = {
        "vocab_size": 4 + len(tiny.LETTERS), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 128, "initializer_range": 0.1,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": tied,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        made = LlamaForCausalLM(LlamaConfig(**shape)) if family == "llama" else Qwen2ForCausalLM(Qwen2Config(**shape))
    made.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)


class World:
    """A base, data and a bench to run stages on."""

    def __init__(self, root: Path, family: str = "llama", *, dtype: Kept = "bfloat16", tied: bool = False) -> None:
        model_of(family, root / "model", tied=tied)
        reward = root / "reward.py"
        reward.write_text(
            "def reward(prompts, responses):\n    return [float(text.count('a')) for text in responses]\n"
        )
        self.root, self.bench = root, tiny.Bench(root / "bench")
        self.reward = FileReward(path=str(reward), digest=digest_of_file(reward))
        digest = digest_of_folder(root / "model")
        self.base = Pretrained(path=str(root / "model"), digest=digest, dtype=dtype, template="{prompt}?")
        self.data = tiny.data(root / "pairs.jsonl", tiny.PREFERENCES)
        self.demonstrations = tiny.data(root / "demonstrations.jsonl", tiny.DEMONSTRATIONS)

    def given(self, lora: Lora | None, **more: Any) -> Given:
        fields: dict[str, Any] = {"base": self.base, "preferences": self.data, "prompts": self.data, "lora": lora}
        return Given(**{**fields, "demonstrations": self.demonstrations, "max_length": 64, "seed": 0, **more})

    def trained(self, method: Method, given: Given) -> tuple[Tuned, list[dict[str, float]]]:
        policy = method.policy(given)
        assert isinstance(policy, Tuned)
        return policy, tiny.log(self.bench.payload(policy.by))

    def sums(self, spec: PolicySpec) -> torch.Tensor:
        """log pi of chosen and rejected, pair by pair, as an evaluation reads them."""
        policy = load_model(spec, self.bench.io("read"))
        examples, _ = pair_examples(policy, preference_rows(self.data, policy, self.bench.io("read")), 64)
        return policy.token_logprobs([(example.group,) for example in examples]).sum()


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The sums of each policy on its pairs at the moment its training ended."""
    found: list[torch.Tensor] = []

    def fit(training: Any, *args: Any, _fit: Callable[..., None] = tune.fit, **named: Any) -> None:
        _fit(training, *args, **named)
        if isinstance(training.examples[0].group.responses, list) and len(training.examples[0].group.responses) == 2:
            rows = sorted(training.examples, key=lambda example: example.row)
            with torch.no_grad():
                found.append(tune_sums(training.model, rows))

    monkeypatch.setattr(tune, "fit", fit)
    return found


def tune_sums(model: nn.Module, rows: list[Any]) -> torch.Tensor:
    from bench.models.likelihood.logprobs import response_logprobs  # noqa: PLC0415 - one use

    return response_logprobs(model, [example.group for example in rows], pad_id=0).sum()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_every_kind_of_method_trains_and_starts_at_its_reference(
    tmp_path: Path, family: str, lora: Lora | None, dtype: Kept
) -> None:
    world = World(tmp_path, family, dtype=dtype, tied=family == "qwen2")
    given = world.given(lora)
    reward: dict[str, Any] = {"reward": world.reward, **DRAWN}
    # One pair per pass in training, all pairs in one for the reference: what stands beside a pair changes nothing.
    _, dpo = world.trained(DPO(lr=1e-3, micro_tokens=1, **PAIRS), given)
    assert dpo[0]["loss"] == pytest.approx(0.6931472, abs=1e-7)
    assert (dpo[0]["accuracy"], dpo[0]["chosen_ratio"], dpo[0]["rejected_ratio"]) == (0, 0, 0)
    _, kto = world.trained(KTO(lr=1e-3, **PAIRS), given)
    assert (kto[0]["loss"], kto[0]["accuracy"], kto[0]["divergence"]) == (0.5, 0, 0)
    for method in (GRPO(lr=1e-3, **reward), PPO(lr=1e-3, critic="shared", **reward)):
        _, log = world.trained(method, given)
        assert log[0]["kl"] == (0 if dtype == "bfloat16" else pytest.approx(0, abs=1e-5))
    assert {"train/sft", "train/dpo", "train/kto", "train/grpo", "train/ppo"} <= set(world.bench.ran)


@pytest.mark.parametrize(("lora", "lr"), [(None, 1e-6), (LORA, 2e-5)], ids=["full", "lora"])
def test_the_evaluated_margin_is_the_trained_one(
    tmp_path: Path, lora: Lora | None, lr: float, caught: list[torch.Tensor]
) -> None:
    """Steps far below what bfloat16 can tell apart, on top of a supervised start, are not lost on the way."""
    world = World(tmp_path)
    tuned, _ = world.trained(DPO(lr=lr, **{**PAIRS, "epochs": 4}), world.given(lora))
    (trained,) = caught
    evaluated = world.sums(tuned)
    assert evaluated.equal(trained)
    # It moved, and in the stored numbers more than rounding would keep.
    folder = world.bench.payload(tuned.by) / "policy"
    stored = load_file(next(folder.glob("*.safetensors")))
    assert {values.dtype for values in stored.values()} == {torch.float32}
    if lora is None:
        assert isinstance(tuned.base, Tuned)
        before = load_file(next((world.bench.payload(tuned.base.by) / "policy").glob("*.safetensors")))
        moved = sum(int((stored[name] != before[name]).sum()) for name in stored)
        seen = sum(int((stored[name].bfloat16() != before[name].bfloat16()).sum()) for name in stored)
        assert moved > 0.9 * sum(values.numel() for values in stored.values())
        assert seen < moved / 2
    in_full = world.base.model_copy(update={"dtype": "float32"})
    assert world.sums(in_full).dtype == torch.float32


def test_steps_that_bfloat16_cannot_hold_add_up(tmp_path: Path) -> None:
    policy = load_trainable(World(tmp_path).base, tiny.Bench(tmp_path / "x").io(), lora=None, seed=0)
    weight = policy.model.get_output_embeddings().weight
    optimizer = Optimizer(policy.model, Optimisation(lr=1e-6, weight_decay=0.0), "cpu")
    before = optimizer.weights()["lm_head.weight"].clone()
    for _ in range(3):
        policy.model(input_ids=torch.tensor([[4, 5, 6]])).logits.float().logsumexp(-1).sum().backward()
        optimizer.step(1e-6, 1.0)
    master = optimizer.weights()["lm_head.weight"]
    assert master.dtype == torch.float32 and weight.dtype == torch.bfloat16
    assert float((master - before).abs().max()) == pytest.approx(3e-6, rel=0.2)
    assert weight.detach().equal(master.bfloat16())


def test_gradients_of_parts_add_up_in_float32(tmp_path: Path) -> None:
    """One part is 2^10 times another: added in bfloat16 the small one would vanish."""
    model = nn.Linear(1, 1, bias=False).bfloat16()
    optimizer = Optimizer(model, Optimisation(lr=1e-3, max_grad_norm=None), "cpu")
    for size in (1024.0, 1.0, 1.0):
        optimizer.backward((model(torch.ones(1, 1, dtype=torch.bfloat16)) * size).sum())
    assert optimizer.step(0.0, 1.0) == 1026.0


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_reward_model_gives_the_rewards_it_was_trained_to(
    tmp_path: Path, lora: Lora | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    settings = RewardModelSettings(lr=1e-6 if lora is None else 2e-5, epochs=2, batch_size=4, held_out=0.25)
    stage = reward_model(world.given(lora), settings, START)
    seen: list[list[float]] = []
    from methods._train.rewards import train as body  # noqa: PLC0415 - one use

    def save(head: nn.Linear, folder: Path, _save: Callable[..., None] = body.save_head) -> None:
        seen.append(model_of_rewards())
        _save(head, folder)

    held: dict[str, Any] = {}

    def normalise(fit: Any, io: Any, model: Any, pairs: Any, _normalise: Any = body.normalise) -> Any:
        held.update(model=model, groups=[one.group for one in pairs])
        return _normalise(fit, io, model, pairs)

    def model_of_rewards() -> list[float]:
        scores: list[float] = held["model"].scores(held["groups"])
        return scores

    monkeypatch.setattr(body, "normalise", normalise)
    monkeypatch.setattr(body, "save_head", save)
    world.bench.run(stage)
    assert load_reward_model(stage, world.bench.io("read")).scores(held["groups"]) == seen[0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_weights_stored_rounded_are_told(tmp_path: Path, dtype: Kept) -> None:
    world = World(tmp_path, dtype=dtype)
    given = world.given(None, keep="bfloat16", demonstrations=None)
    tuned, _ = world.trained(DPO(lr=1e-5, **PAIRS), given)
    folder = world.bench.payload(tuned.by)
    found = json.loads((folder / "diagnostics.json").read_text())["rounded_to_bfloat16"]
    assert 0 < found["kept"] < found["changed"] / 2 <= found["weights"]
    stored = load_file(next((folder / "policy").glob("*.safetensors")))
    assert {values.dtype for values in stored.values()} == {torch.bfloat16}
    assert bool(torch.isfinite(world.sums(tuned)).all())


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("kind", ["dpo", "grpo"])
def test_a_killed_training_goes_on_to_the_same_bytes(
    tmp_path: Path, kind: str, lora: Lora | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    methods: dict[str, Method] = {
        "dpo": DPO(lr=1e-5, **{**PAIRS, "epochs": 2}),
        "grpo": GRPO(lr=1e-5, reward=world.reward, **{**DRAWN, "updates": 3}),
    }
    tuned, _ = world.trained(methods[kind], world.given(lora))
    whole = contents(world.bench.payload(tuned.by))
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE_OF_TIME", float("inf"))

    def stop(progress: Progress) -> None:
        if progress.unit in ("step", "update") and progress.done == 2:
            raise _KilledError

    again = tiny.Bench(tmp_path / "again")
    with pytest.raises(_KilledError):
        again.run(tuned.by, stop)
    assert contents(again.run(tuned.by).out) == whole


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_the_past_of_a_process_changes_no_byte(tmp_path: Path, method: str) -> None:
    """Adapter dropout draws from its own seed only, in every pass that a method makes."""
    world = World(tmp_path, dtype="float32")
    given = world.given(Lora(rank=4, dropout=0.3), demonstrations=None if method != "sft" else world.demonstrations)
    made: dict[str, Method] = {
        "sft": SFT(lr=3e-2, epochs=2, batch_size=4),
        "dpo": DPO(lr=3e-2, **PAIRS),
        "kto": KTO(lr=3e-2, **{**PAIRS, "epochs": 2}),
    }
    policy = made[method].policy(given)
    assert isinstance(policy, Tuned)
    found = []
    for seed in (0, 1):
        torch.default_generator.manual_seed(seed)
        found.append(contents(tiny.Bench(tmp_path / f"past{seed}").run(policy.by).out))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "targets", [("lm_head",), ("embed_tokens",), ("embed_tokens", "lm_head", "q_proj")], ids="+".join
)
def test_an_adapter_on_one_end_of_a_tied_model(
    tmp_path: Path, targets: tuple[str, ...], caught: list[torch.Tensor]
) -> None:
    world = World(tmp_path, dtype="float32", tied=True)
    given = world.given(Lora(rank=4, targets=targets), demonstrations=None)
    tuned, _ = world.trained(DPO(lr=1e-2, **{**PAIRS, "epochs": 3}), given)
    (trained,) = caught
    evaluated = world.sums(tuned)
    assert evaluated.equal(trained)
    assert float((evaluated - world.sums(world.base)).abs().max()) > 0.1
    io = world.bench.io("export")
    write_model(tuned, io, tmp_path / "merged")
    written = Pretrained(path=str(tmp_path / "merged"), template="{prompt}?")
    torch.testing.assert_close(world.sums(written), evaluated, atol=1e-4, rtol=0)
    write_adapter(tuned, io, tmp_path / "adapter")
    assert set(load_file(tmp_path / "adapter" / "adapter_model.safetensors")) == set(
        load_file(world.bench.payload(tuned.by) / "policy" / "adapter_model.safetensors")
    )


def test_adapters_on_adapters_are_exported_as_they_are_evaluated(tmp_path: Path) -> None:
    from peft import PeftModel  # noqa: PLC0415 - as a reader of the export would
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    world = World(tmp_path, dtype="float32")
    tuned, _ = world.trained(DPO(lr=1e-2, **PAIRS), world.given(LORA))
    assert isinstance(tuned.base, Tuned)
    evaluated = load_model(tuned, world.bench.io("read"))
    assert sum("lora_A" in name and "layers.0.self_attn.q_proj" in name for name, _ in
               evaluated.model.named_parameters()) == 2  # fmt: skip
    write_model(tuned, world.bench.io("x"), tmp_path / "merged")
    write_adapter(tuned, world.bench.io("x"), tmp_path / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "adapter" / "base")
    beside = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
    ids = torch.tensor([[1, 5, 9, 12, 7]])
    with torch.inference_mode():
        expected = evaluated.model(input_ids=ids).logits
        for one in (merged, beside):
            torch.testing.assert_close(one(input_ids=ids).logits, expected, atol=1e-5, rtol=0)


def test_all_weights_on_top_of_an_adapter(tmp_path: Path) -> None:
    """They begin at the adapter merged in float32, in both types."""
    world = World(tmp_path)
    start, _ = world.trained(SFT(lr=1e-2, epochs=1, batch_size=4), world.given(LORA))
    whole = load_trainable(start, world.bench.io("read"), lora=None, seed=0)
    assert {part.dtype for part in whole.model.parameters()} == {torch.bfloat16}
    assert not any("lora" in name for name, _ in whole.model.named_parameters())
    masters = Optimizer(whole.model, Optimisation(lr=1e-3), "cpu").weights()
    write_model(start, world.bench.io("x"), tmp_path / "merged")
    stored = load_file(tmp_path / "merged" / "model.safetensors")
    assert all(masters[name].equal(stored[name]) for name in stored)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
