from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from bench.core.errors import DataError, StageError
from bench.core.files import digest_of_folder
from bench.core.machine_limits import told_of_machine
from bench.core.method import Lora
from bench.core.policy import Built, Decoding, Pretrained, Tuned
from bench.core.stage import Stage, StageIO
from bench.core.task import user
from bench.models import load
from bench.models.hf import HFPolicy
from bench.models.likelihood.logprobs import Group, response_logprobs
from bench.models.load import load_policy, load_trainable, save_adapter, save_weights
from tests.models.tiny import FAMILIES, SPEC, tiny_chats, tiny_model, tiny_policy, word_tokenizer

GROUPS = [Group([1, 5, 6, 7], [[8, 9, 2], [10, 2]]), Group([1, 11], [[12, 13, 14, 15, 16, 2]])]


class Makes(Stage):
    """A stage whose payload a test writes by hand."""

    KIND: ClassVar[str] = "test/makes"
    VERSION: ClassVar[int] = 1
    name: str

    def run(self, io: StageIO) -> None:
        raise AssertionError("tests write the payload themselves")


@pytest.fixture
def io(tmp_path: Path) -> StageIO:
    def payload(stage: Stage) -> Path:
        assert isinstance(stage, Makes)
        return tmp_path / stage.name

    return StageIO(out=tmp_path / "out", scratch=tmp_path / "scratch", read_payload=payload)


@pytest.fixture
def built(io: StageIO) -> Callable[[str], Built]:
    def build(family: str) -> Built:
        stage = Makes(name=family)
        save_weights(HFPolicy(SPEC, tiny_model(family), word_tokenizer()), io.read(stage) / "policy")
        return Built(by=stage)

    return build


def scores(policy: HFPolicy) -> torch.Tensor:
    return response_logprobs(policy.model, GROUPS, pad_id=policy.pad_id).sum().detach()


def nudge(policy: HFPolicy) -> None:
    """Change every trainable weight, as training would."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_weights_come_back_frozen(family: str, io: StageIO, built: Callable[[str], Built]) -> None:
    policy = load_policy(built(family), io)
    torch.testing.assert_close(scores(policy), scores(tiny_policy(family)), atol=1e-6, rtol=0)
    assert not policy.model.training
    assert not any(parameter.requires_grad for parameter in policy.model.parameters())
    assert policy.end_ids == {2}
    chats = tiny_chats(5)
    decoding = Decoding(max_new_tokens=8)
    assert policy.generate(chats, decoding, seeds=range(5)) == tiny_policy(family).generate(
        chats, decoding, seeds=range(5)
    )


def test_a_folder_is_known_by_its_content(tmp_path: Path, io: StageIO, built: Callable[[str], Built]) -> None:
    built("llama")
    folder = tmp_path / "llama" / "policy"
    spec = Pretrained(path=str(folder), digest=digest_of_folder(folder), template="Q: {prompt}")
    assert load_policy(spec, io).template == "Q: {prompt}"
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="changed"):
        load_policy(spec, io)


@pytest.mark.parametrize("damage", ["config", "weights", "half the weights", "tokenizer", "folder"])
def test_what_cannot_be_loaded_is_a_message(
    damage: str, tmp_path: Path, io: StageIO, built: Callable[[str], Built]
) -> None:
    from safetensors.torch import load_file, save_file

    spec = built("llama")
    folder = tmp_path / "llama" / "policy"
    weights = folder / "model.safetensors"
    if damage == "config":
        (folder / "config.json").write_text("{}", encoding="utf-8")
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:500])
    elif damage == "half the weights":
        save_file({name: one for name, one in load_file(weights).items() if "norm" in name}, weights, {"format": "pt"})
    elif damage == "tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        (folder / "config.json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(StageError, match="cannot load the model"):
        load_policy(spec, io)


def test_full_training_has_gradients_and_no_dropout(io: StageIO, built: Callable[[str], Built]) -> None:
    policy = load_trainable(built("gpt2"), io, lora=None, seed=0)
    assert policy.model.training
    assert all(parameter.requires_grad for parameter in policy.model.parameters())
    # GPT-2 has a dropout of 0.1 in embeddings, attention and residuals unless it is taken out.
    assert scores(policy).equal(scores(policy))
    torch.testing.assert_close(scores(policy), scores(tiny_policy("gpt2")), atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_is_saved_and_stays_beside_the_weights(
    family: str, io: StageIO, built: Callable[[str], Built]
) -> None:
    base = built(family)
    policy = load_trainable(base, io, lora=Lora(rank=4), seed=3)
    trainable = [name for name, parameter in policy.model.named_parameters() if parameter.requires_grad]
    assert trainable and all("lora_" in name for name in trainable)
    assert not any("lm_head" in name for name in trainable)
    torch.testing.assert_close(scores(policy), scores(tiny_policy(family)), atol=1e-6, rtol=0)
    nudge(policy)
    trained = scores(policy)
    assert (trained - scores(tiny_policy(family))).abs().max() > 0.01
    with policy.model.disable_adapter():
        torch.testing.assert_close(scores(policy), scores(tiny_policy(family)), atol=1e-6, rtol=0)
    stage = Makes(name="adapter")
    save_adapter(policy, io.read(stage) / "policy")
    tuned = Tuned(base=base, by=stage)
    loaded = load_policy(tuned, io)
    torch.testing.assert_close(scores(loaded), trained, atol=1e-6, rtol=0)
    assert any("lora" in name for name, _ in loaded.model.named_parameters())
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    decoding = Decoding(max_new_tokens=6, temperature=0)
    texts = [one.text for one in loaded.generate(tiny_chats(4), decoding, seeds=range(4))]
    assert texts == [one.text for one in policy.generate(tiny_chats(4), decoding, seeds=range(4))]


def test_a_second_adapter_stands_beside_the_first(io: StageIO, built: Callable[[str], Built]) -> None:
    first = load_trainable(built("llama"), io, lora=Lora(rank=2), seed=1)
    nudge(first)
    stage = Makes(name="first")
    save_adapter(first, io.read(stage) / "policy")
    tuned = Tuned(base=Built(by=Makes(name="llama")), by=stage)
    second = load_trainable(tuned, io, lora=Lora(rank=4), seed=2)
    torch.testing.assert_close(scores(second), scores(first), atol=1e-4, rtol=0)
    nudge(second)
    later = Makes(name="second")
    save_adapter(second, io.read(later) / "policy")
    again = load_policy(Tuned(base=tuned, by=later), io)
    torch.testing.assert_close(scores(again), scores(second), atol=1e-4, rtol=0)


def test_whole_weights_over_a_base(io: StageIO, built: Callable[[str], Built]) -> None:
    base = built("qwen2")
    policy = load_trainable(base, io, lora=None, seed=0)
    nudge(policy)
    stage = Makes(name="full")
    save_weights(policy, io.read(stage) / "policy")
    torch.testing.assert_close(scores(load_policy(Tuned(base=base, by=stage), io)), scores(policy), atol=1e-6, rtol=0)


def test_adapters_are_seeded_and_leave_the_global_generator_alone(io: StageIO, built: Callable[[str], Built]) -> None:
    base = built("llama")
    before = torch.get_rng_state()

    def first_factor(seed: int) -> torch.Tensor:
        named = load_trainable(base, io, lora=Lora(rank=4), seed=seed).model.named_parameters()
        return next(parameter for name, parameter in named if "lora_A" in name)

    one, again, other = first_factor(7), first_factor(7), first_factor(8)
    assert one.equal(again)
    assert not one.equal(other)
    assert torch.get_rng_state().equal(before)


def test_dropout_of_an_adapter_is_the_only_one(io: StageIO, built: Callable[[str], Built]) -> None:
    policy = load_trainable(built("gpt2"), io, lora=Lora(rank=4, dropout=0.5), seed=0)
    nudge(policy)
    assert not scores(policy).equal(scores(policy))
    policy.model.eval()
    assert scores(policy).equal(scores(policy))


def test_targets_name_modules(io: StageIO, built: Callable[[str], Built]) -> None:
    base = built("llama")
    policy = load_trainable(base, io, lora=Lora(rank=2, targets=("q_proj", "v_proj")), seed=0)
    names = {name.split(".")[-4] for name, parameter in policy.model.named_parameters() if parameter.requires_grad}
    assert {name.rstrip("0123456789") for name in names} == {"q_proj", "v_proj"}
    with pytest.raises(StageError, match="adapter"):
        load_trainable(base, io, lora=Lora(targets=("nowhere",)), seed=0)


def test_saved_bytes_are_reproducible_and_name_no_place(
    tmp_path: Path, io: StageIO, built: Callable[[str], Built]
) -> None:
    built("llama")
    saved = []
    for place in ("here", "there"):
        base = tmp_path / f"base {place}"
        shutil.copytree(tmp_path / "llama" / "policy", base)
        spec = Pretrained(path=str(base))
        save_adapter(load_trainable(spec, io, lora=Lora(), seed=4), tmp_path / place / "adapter")
        save_weights(load_trainable(spec, io, lora=None, seed=4), tmp_path / place / "weights")
        saved.append((contents(tmp_path / place / "adapter"), contents(tmp_path / place / "weights")))
    assert saved[0] == saved[1]
    adapter, weights = saved[0]
    assert set(adapter) == {"adapter_config.json", "adapter_model.safetensors"}
    assert not [name for name, text in {**adapter, **weights}.items() if str(tmp_path).encode() in text]
    # peft holds the names in a set, whose order changes from process to process.
    targets = json.loads(adapter["adapter_config.json"])["target_modules"]
    assert targets == sorted(targets) and len(targets) > 1


def test_saving_the_wrong_kind_is_refused(tmp_path: Path, io: StageIO, built: Callable[[str], Built]) -> None:
    base = built("llama")
    with pytest.raises(StageError, match="adapter alone"):
        save_weights(load_trainable(base, io, lora=Lora(), seed=0), tmp_path / "x")
    with pytest.raises(StageError, match="no adapter"):
        save_adapter(load_trainable(base, io, lora=None, seed=0), tmp_path / "x")


def test_digest_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        digest_of_folder(tmp_path / "none")
    (tmp_path / "a" / "deep").mkdir(parents=True)
    with pytest.raises(DataError, match="no files"):
        digest_of_folder(tmp_path / "a")
    (tmp_path / "a" / "one").write_text("1", encoding="utf-8")
    first = digest_of_folder(tmp_path / "a")
    (tmp_path / "a" / "deep" / "two").write_text("2", encoding="utf-8")
    assert digest_of_folder(tmp_path / "a") != first
    (tmp_path / "a" / "deep" / "two").unlink()
    assert digest_of_folder(tmp_path / "a") == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest_of_folder(tmp_path / "b") == first


def test_loglikelihood_is_that_of_the_losses() -> None:
    policy = tiny_policy(seed=3)
    pairs = [(chat, "w1 w2 w3" if row % 2 else "w4") for row, chat in enumerate(tiny_chats(9))]
    found = policy.loglikelihood(pairs)
    groups = [Group(policy.prompt(chat), [[5, 6, 7, 2] if row % 2 else [8, 2]]) for row, (chat, _) in enumerate(pairs)]
    expected = response_logprobs(policy.model, groups, pad_id=0).sum().tolist()
    assert [one.logprob for one in found] == pytest.approx(expected, abs=1e-5)
    assert [one.n_tokens for one in found] == [4 if row % 2 else 2 for row in range(9)]
    greedy = policy.generate(tiny_chats(9), Decoding(temperature=0, max_new_tokens=40), seeds=range(9))
    ended = [
        (chat, one)
        for chat, one in zip(tiny_chats(9), greedy, strict=True)
        if one.finish == "end" and min(one.tokens[:-1]) > 3  # nothing special in it, so its text is the whole of it
    ]
    assert ended
    assert all(one.is_greedy for one in policy.loglikelihood([(chat, one.text) for chat, one in ended]))
    assert not all(one.is_greedy for one in found)
    with pytest.raises(StageError, match="pair 1"):
        policy.loglikelihood([pairs[0], (user("w1"), "w1 " * 120)])


@pytest.mark.data
def test_the_real_model(real_data: Path, io: StageIO) -> None:
    folder = real_data / "models" / "stories260K"
    policy = load_policy(Pretrained(path=str(folder), digest=digest_of_folder(folder)), io)
    assert policy.end_ids == {1, 2}
    with gzip.open(real_data / "tinystories_sentiment" / "pairs_test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(12)]
    chats = [user(row["prompt"]) for row in rows]
    decoding = Decoding(max_new_tokens=24)
    written = policy.generate(chats, decoding, seeds=range(12))
    assert [policy.generate([chat], decoding, seeds=[row])[0].tokens for row, chat in enumerate(chats[:3])] == [
        one.tokens for one in written[:3]
    ]
    ids = torch.tensor([policy.prompt(chats[0])])
    greedy = policy.generate(chats[:1], Decoding(temperature=0, max_new_tokens=24), seeds=[0])[0]
    expected = policy.model.generate(ids, do_sample=False, max_new_tokens=24, pad_token_id=0)[0, ids.shape[1] :]
    assert list(greedy.tokens) == expected.tolist()
    found = policy.loglikelihood([(chat, row["chosen"]) for chat, row in zip(chats, rows, strict=True)])
    # The rows were sampled from this model: one to two nats a token, and not the certainty of a copied text.
    assert 1.0 < -sum(one.logprob for one in found) / sum(one.n_tokens for one in found) < 2.0


def test_memory_that_runs_out_says_nothing_of_the_model(
    io: StageIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weights(HFPolicy(SPEC, tiny_model("llama"), word_tokenizer()), tmp_path / "model")

    def none_left(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: Error code 12 (Cannot allocate memory)")

    monkeypatch.setattr(load, "_weights", none_left)
    with pytest.raises(RuntimeError) as raised:
        load.load_policy(Pretrained(path=str(tmp_path / "model")), io)
    assert str(told_of_machine(raised.value)).startswith("memory ran out")
