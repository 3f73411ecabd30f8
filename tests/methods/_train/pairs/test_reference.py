"""The stored reference is the live one, and an adapter switched off is the reference too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.core.datasets import Preference, Reply, read_preferences
from bench.core.errors import DataError
from bench.core.method import Lora
from bench.core.policy import Message
from bench.models.likelihood.logprobs import response_logprobs
from bench.models.load import load_policy, load_trainable
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import FILE, mismatched_texts, pair_examples
from methods._train.pairs.train import pair_logprobs
from tests.methods.tiny import PREFERENCES, Bench, data, pretrained


def test_the_stored_reference_is_the_live_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    base = pretrained(tmp_path / "model")
    rows = data(tmp_path / "pairs.jsonl", PREFERENCES)
    io = bench.run(ReferenceLogprobs(policy=base, data=rows, max_length=64))
    stored = load_file(io.out / FILE)
    policy = load_policy(base, bench.io())
    examples, _ = pair_examples(policy, read_preferences(rows, bench.io()), 64)
    with torch.no_grad():
        for number, example in enumerate(examples):
            live = response_logprobs(policy.model, [example.group], pad_id=policy.pad_id)
            torch.testing.assert_close(stored["logprob"][number], live.sum(), atol=1e-5, rtol=1e-5)
            assert stored["tokens"][number].tolist() == live.mask.sum(-1).tolist()


def test_an_adapter_switched_off_is_the_reference(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    base = pretrained(tmp_path / "model")
    frozen = load_policy(base, bench.io())
    tuned = load_trainable(base, bench.io(), lora=Lora(rank=2), seed=0)
    with torch.no_grad():
        for name, weight in tuned.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(len(name)))
    rows = read_preferences(data(tmp_path / "pairs.jsonl", PREFERENCES), bench.io())
    examples, _ = pair_examples(frozen, rows, 64)
    reference = pair_logprobs(frozen, examples)
    with tuned.model.disable_adapter():
        switched_off = pair_logprobs(tuned, examples)
    torch.testing.assert_close(switched_off.chosen, reference.chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(switched_off.rejected, reference.rejected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(pair_logprobs(tuned, examples).chosen, reference.chosen, atol=1e-2)


def test_no_row_borrows_a_response_without_tokens() -> None:
    """One that was cut before it had any text; a row that borrowed it would be dropped, and its pair be missed."""

    def row(prompt: str, chosen: str, *, ended: bool) -> Preference:
        asked = (Message(role="user", content=prompt),)
        return Preference(id=prompt, prompt=asked, chosen=chosen, rejected="no", chosen_ended=ended)

    rows = [row("one", "a", ended=True), row("two", "", ended=False), row("three", "", ended=True)]
    assert mismatched_texts(rows)[0][1] == [Reply("")]
    with pytest.raises(DataError, match="without text"):
        mismatched_texts(rows[:2])
