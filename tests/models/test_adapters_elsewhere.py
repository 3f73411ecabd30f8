"""Adapters that PEFT made elsewhere: the same logits as PEFT's own, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    HRAConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from transformers import PreTrainedModel

from bench.core.errors import DataError, StageError
from bench.core.files import digest_of_folder
from bench.core.formats.adapter_files import read_adapter
from bench.core.method import Lora
from bench.core.policy import Adapter, Pretrained
from bench.core.stage import StageIO
from bench.models.load import load_model, load_trainable, load_whole
from bench.models.tokenizer import tokenizer_of
from tests.models.tiny import tiny_model, word_tokenizer

HALF = "bfloat16"
IDS = torch.tensor([[1, 7, 9, 4, 30, 12]])
PLAIN: dict[str, Any] = {"r": 3, "lora_alpha": 5, "init_lora_weights": False, "task_type": "CAUSAL_LM"}
EVERY = {**PLAIN, "target_modules": "all-linear"}
BESIDE = {
    "plain": LoraConfig(**EVERY),
    "rslora": LoraConfig(**EVERY, use_rslora=True),
    "patterns": LoraConfig(**EVERY, rank_pattern={"q_proj": 5}, alpha_pattern={"v_proj": 40}),
    "some layers": LoraConfig(**PLAIN, target_modules=["q_proj", "down_proj"], layers_to_transform=[1]),
    "embeddings and head": LoraConfig(**PLAIN, target_modules=["embed_tokens", "lm_head", "v_proj"]),
}
OTHER: dict[str, PeftConfig] = {
    "dora": LoraConfig(**EVERY, use_dora=True),
    "saved modules": LoraConfig(**EVERY, modules_to_save=["lm_head", "embed_tokens"]),
    "new tokens": LoraConfig(**EVERY, trainable_token_indices={"embed_tokens": [4, 9]}),
    "ia3": IA3Config(
        task_type="CAUSAL_LM", target_modules=["v_proj", "down_proj"], feedforward_modules=["down_proj"],
        init_ia3_weights=False,
    ),
    "loha": LoHaConfig(task_type="CAUSAL_LM", r=3, target_modules=["q_proj"], init_weights=False),
    "lokr": LoKrConfig(task_type="CAUSAL_LM", r=3, target_modules=["q_proj"], init_weights=False),
    "oft": OFTConfig(task_type="CAUSAL_LM", r=0, oft_block_size=4, target_modules=["q_proj"], init_weights=False),
    "vera": VeraConfig(task_type="CAUSAL_LM", r=3, target_modules=["q_proj"], init_weights=False),
    "hra": HRAConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"], init_weights=False),
}  # fmt: skip


def folder_of_model(folder: Path, family: str = "llama") -> Path:
    tiny_model(family).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_model(tmp_path_factory.mktemp("base"))


def adapter_on(model: PreTrainedModel, config: PeftConfig, folder: Path) -> PeftModel:
    """An adapter with random weights, which grow where PEFT begins them at nothing, saved."""
    with torch.random.fork_rng():
        torch.manual_seed(len(folder.name))  # noqa: TID251 - peft takes no generator
        adapted = get_peft_model(model, config)
        for name, weight in adapted.named_parameters():
            if weight.requires_grad and weight.is_floating_point():
                scale = 0.02 if "lora_embedding" in name else 0.1
                weight.data += scale * torch.randn(weight.shape)
    adapted.save_pretrained(str(folder))
    return adapted


def of(folder: Path) -> Adapter:
    return Adapter(path=str(folder), digest=digest_of_folder(folder))


def spec_of(base: Path, *folders: Path, dtype: str = "float32") -> Pretrained:
    return Pretrained.model_validate(
        {"path": str(base), "digest": digest_of_folder(base), "adapters": [of(one) for one in folders], "dtype": dtype}
    )


def io_in(folder: Path) -> StageIO:
    return StageIO(out=folder, scratch=folder, read_payload=lambda stage: folder)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(input_ids=IDS).logits.float()
    return found


@pytest.mark.parametrize("name", [*BESIDE, *OTHER])
def test_the_logits_are_those_of_peft(base: Path, tmp_path: Path, name: str) -> None:
    plain = tiny_model("llama")
    before = logits(plain)
    wanted = logits(adapter_on(plain, {**BESIDE, **OTHER}[name], tmp_path / "adapter"))
    assert (wanted - before).abs().max() > 1e-3
    assert read_adapter(tmp_path / "adapter", "it").beside == (name in BESIDE)
    spec = spec_of(base, tmp_path / "adapter")
    for load in (load_model, load_whole):
        found = logits(load(spec, io_in(tmp_path)).model)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


def test_gpt2_and_its_transposed_layers(tmp_path: Path) -> None:
    base = folder_of_model(tmp_path / "base", "gpt2")
    config = LoraConfig(**PLAIN, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    wanted = logits(adapter_on(tiny_model("gpt2"), config, tmp_path / "adapter"))
    found = logits(load_model(spec_of(base, tmp_path / "adapter"), io_in(tmp_path)).model)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


def test_what_is_merged_is_rounded_once_as_a_loaded_model_is(base: Path, tmp_path: Path) -> None:
    whole = adapter_on(tiny_model("llama"), OTHER["dora"], tmp_path / "adapter").merge_and_unload()
    whole.save_pretrained(tmp_path / "whole")
    word_tokenizer().save_pretrained(tmp_path / "whole")
    merged, loaded = (
        load_model(spec, io_in(tmp_path)).model
        for spec in (
            spec_of(base, tmp_path / "adapter", dtype="bfloat16"),
            spec_of(tmp_path / "whole", dtype="bfloat16"),
        )
    )
    assert {part.dtype for part in merged.parameters()} == {torch.bfloat16}
    assert torch.equal(logits(merged), logits(loaded))


def test_biases_that_were_trained_too(tmp_path: Path) -> None:
    base = folder_of_model(tmp_path / "base", "qwen2")
    config = LoraConfig(**EVERY, bias="all")
    wanted = logits(adapter_on(tiny_model("qwen2"), config, tmp_path / "adapter"))
    found = logits(load_model(spec_of(base, tmp_path / "adapter"), io_in(tmp_path)).model)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kinds", [("plain", "rslora"), ("dora", "plain"), ("plain", "dora")])
def test_an_adapter_on_another(base: Path, tmp_path: Path, kinds: tuple[str, str]) -> None:
    first, second = ({**BESIDE, **OTHER}[kind] for kind in kinds)
    whole = adapter_on(tiny_model("llama"), first, tmp_path / "first").merge_and_unload()
    wanted = logits(adapter_on(whole, second, tmp_path / "second one"))
    spec = spec_of(base, tmp_path / "first", tmp_path / "second one")
    torch.testing.assert_close(logits(load_model(spec, io_in(tmp_path)).model), wanted, atol=1e-4, rtol=1e-5)
    # What is trained from there on begins as it.
    for lora in (None, Lora(rank=2)):
        begun = load_trainable(spec, io_in(tmp_path), lora=lora, seed=0)
        torch.testing.assert_close(logits(begun.model), wanted, atol=1e-4, rtol=1e-5)


def test_the_tokenizer_that_the_adapter_was_saved_with_is_read(base: Path, tmp_path: Path) -> None:
    adapter_on(tiny_model("llama"), BESIDE["plain"], tmp_path / "adapter")
    assert tokenizer_of(spec_of(base, tmp_path / "adapter")).chat_template is None
    own = word_tokenizer()
    own.chat_template = "{% for message in messages %}{{ message['content'] }} </s>{% endfor %}"
    own.save_pretrained(tmp_path / "adapter")
    spec = spec_of(base, tmp_path / "adapter")
    assert tokenizer_of(spec).chat_template == own.chat_template
    assert load_model(spec, io_in(tmp_path)).tokenizer.chat_template == own.chat_template


def test_an_adapter_of_the_hub_comes_from_its_cache(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "a" * 40
    place = tmp_path / "hub" / "models--org--adapter"
    wanted = logits(adapter_on(tiny_model("llama"), BESIDE["plain"], place / "snapshots" / commit))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit, encoding="utf-8")
    for revision in (commit, "main"):
        spec = spec_of(base).model_copy(update={"adapters": (Adapter(repo="org/adapter", revision=revision),)})
        torch.testing.assert_close(logits(load_model(spec, io_in(tmp_path)).model), wanted, atol=1e-4, rtol=1e-5)
    absent = spec_of(base).model_copy(update={"adapters": (Adapter(repo="org/none", revision="main"),)})
    with pytest.raises(StageError, match="cannot load the adapter org/none: .*reachable or cached already"):
        load_model(absent, io_in(tmp_path))


def rewritten(folder: Path, **changes: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "'PROMPT_TUNING' is not computed here"),
        ({"peft_type": None}, "of the kind None"),
        ({"task_type": "SEQ_CLS"}, "for the task 'SEQ_CLS'"),
        ({"init_lora_weights": "pissa_niter_4"}, "changing the model's own weights"),
        ({"layer_replication": [[0, 1]]}, "with layer_replication"),
        ({"alora_invocation_tokens": [3]}, "with alora_invocation_tokens"),
        ({"lora_bias": True}, "with lora_bias"),
        ({"use_of_tomorrow": True}, "with use_of_tomorrow"),
    ],
)
def test_what_is_not_computed_as_peft_does_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    adapter_on(tiny_model("llama"), BESIDE["plain"], tmp_path / "adapter")
    rewritten(tmp_path / "adapter", **changes)
    with pytest.raises(DataError, match=why):
        read_adapter(tmp_path / "adapter", "it")


def test_a_prompt_that_was_tuned_is_refused(tmp_path: Path) -> None:
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(tiny_model("llama"), config).save_pretrained(str(tmp_path / "adapter"))
    with pytest.raises(DataError, match=r"PROMPT_TUNING.*known: LORA"):
        read_adapter(tmp_path / "adapter", "it")
