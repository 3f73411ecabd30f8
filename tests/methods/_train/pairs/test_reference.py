"""The stored reference is the live one, and an adapter switched off is the reference too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bench.core.errors import DataError
from bench.core.method import Lora
from bench.models.likelihood.logprobs import response_logprobs
from bench.models.load import load_policy, load_trainable
from bench.models.tokenised.token_rows import TokenRows, preference_rows
from methods._train.pairs.reference import ReferenceLogprobs
from methods._train.pairs.score_reference import FILE, mismatched, pair_examples
from methods._train.pairs.train import pair_logprobs
from tests.methods.tiny import PREFERENCES, Bench, data, pretrained


def test_the_stored_reference_is_the_live_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    base = pretrained(tmp_path / "model")
    rows = data(tmp_path / "pairs.jsonl", PREFERENCES)
    io = bench.run(ReferenceLogprobs(policy=base, data=rows, max_length=64))
    stored = load_file(io.out / FILE)
    policy = load_policy(base, bench.io())
    examples, _ = pair_examples(policy, preference_rows(rows, policy, bench.io()), 64)
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
    rows = preference_rows(data(tmp_path / "pairs.jsonl", PREFERENCES), frozen, bench.io())
    examples, _ = pair_examples(frozen, rows, 64)
    reference = pair_logprobs(frozen, examples)
    with tuned.model.disable_adapter():
        switched_off = pair_logprobs(tuned, examples)
    torch.testing.assert_close(switched_off.chosen, reference.chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(switched_off.rejected, reference.rejected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(pair_logprobs(tuned, examples).chosen, reference.chosen, atol=1e-2)


def test_no_row_borrows_a_response_without_tokens(tmp_path: Path) -> None:
    """One that was cut before it had any text; a row that borrowed it would be dropped, and its pair be missed."""
    bench = Bench(tmp_path / "bench")
    policy = load_policy(pretrained(tmp_path / "model"), bench.io())

    def rows(*finishes: str) -> TokenRows:
        texts = {"end": "a", "length": "", "said": ""}
        finish = {"end": "end", "length": "length", "said": "end"}
        made = [
            {"prompt": str(n), "chosen": texts[one], "rejected": "no", "chosen_finish": finish[one]}
            for n, one in enumerate(finishes)
        ]
        return preference_rows(data(tmp_path / f"{'-'.join(finishes)}.jsonl", made), policy, bench.io())

    found = mismatched(rows("end", "length", "said"))
    assert found[0].responses == [policy.response("")]
    with pytest.raises(DataError, match="without text"):
        mismatched(rows("end", "length"))
