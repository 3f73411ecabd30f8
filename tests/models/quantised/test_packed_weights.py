"""Weights in 4 and 8 bits: the numbers are those of the unpacked weights, only adapters learn, all is counted right."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from bench.cli.app import main
from bench.core.errors import StageError
from bench.core.frozen import digest
from bench.core.method import Given, Lora
from bench.core.policy import Decoding, LoadIn, Pretrained, Tuned
from bench.core.task import user
from bench.models.for_transformers import write_adapter, write_model
from bench.models.load import load_policy, load_trainable, load_whole
from methods.dpo import DPO
from tests.methods.tiny import PREFERENCES, Bench, data, log, pretrained
from tests.models import tiny_encoded
from tests.whole import write_whole

PAIRS = [(user("ask one"), "red."), (user("tell four"), "green tea.")]
packs = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (extra quant)"
)
KINDS = pytest.mark.parametrize("load_in", ["4bit", "8bit"])


def sums(spec: Any, bench: Bench) -> list[float]:
    return [one.logprob for one in load_policy(spec, bench.io()).loglikelihood(PAIRS)]


def test_a_model_of_whole_weights_has_the_key_that_it_had() -> None:
    plain = Pretrained(path="model", digest="d")
    assert digest(plain) == digest(plain.model_copy(update={"load_in": None}))
    assert len({digest(plain.model_copy(update={"load_in": one})) for one in (None, "4bit", "8bit")}) == 3


@packs
@KINDS
def test_the_numbers_are_those_of_the_unpacked_weights(load_in: LoadIn, tmp_path: Path) -> None:
    bench, plain = Bench(tmp_path), pretrained(tmp_path / "model", hidden=32)
    spec = plain.model_copy(update={"load_in": load_in})
    io = bench.io("looked at")
    policy = load_policy(spec, io)
    whole = load_whole(spec, bench.io())
    for one, other in zip(policy.loglikelihood(PAIRS), whole.loglikelihood(PAIRS), strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
    assert policy.generate([PAIRS[0][0]], Decoding(temperature=0, max_new_tokens=6), seeds=[0])[0].tokens
    whole_count = load_policy(plain, bench.io()).parts[0].parameters
    assert policy.parts[0].parameters == whole.parameters == whole_count
    told = json.loads((io.out / "diagnostics.json").read_text())["quantised"]
    assert told["load_in"] == load_in and told["weights"] == whole_count and 0 < told["packed"] < whole_count
    assert 0 < told["kl"] < {"4bit": 0.1, "8bit": 0.001}[load_in] and 0 < told["shift"] < 1
    assert sums(spec, bench) != sums(plain, bench)


@packs
@KINDS
def test_an_adapter_is_trained_on_them_and_exported(load_in: LoadIn, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    spec = pretrained(tmp_path / "model", hidden=32).model_copy(update={"load_in": load_in, "dtype": "bfloat16"})
    given = {"base": spec, "preferences": data(tmp_path / "pairs.jsonl", PREFERENCES), "seed": 0, "max_length": 64}
    settings = DPO.model_validate({"lr": 1e-2, "epochs": 2, "batch_size": 4, "activations": "recomputed"})
    tuned = settings.policy(Given.model_validate({**given, "lora": Lora(rank=2)}))
    assert isinstance(tuned, Tuned)
    losses = [row["loss"] for row in log(bench.payload(tuned.by))]
    assert losses[0] == pytest.approx(0.693147, abs=1e-6) and losses[-1] < losses[0]
    assert json.loads((bench.payload(tuned.by) / "diagnostics.json").read_text())["quantised"]["load_in"] == load_in
    write_model(tuned, bench.io(), tmp_path / "merged")
    exported = Pretrained(path=str(tmp_path / "merged"), template="{prompt}?")
    assert sums(exported, bench) == pytest.approx(sums(tuned, bench), rel=0.01)
    write_adapter(tuned, bench.io(), tmp_path / "adapter")
    base = Pretrained(path=str(tmp_path / "adapter" / "base"), template="{prompt}?")
    assert sums(base, bench) == pytest.approx(sums(spec, bench), rel=0.01)
    with pytest.raises(StageError, match="cannot be trained"):
        load_trainable(spec, bench.io(), lora=None, seed=0)


@packs
def test_an_encoder_decoder_and_its_recorded_numbers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    spec = tiny_encoded.pretrained(tmp_path / "model", "flan").model_copy(update={"load_in": "4bit"})
    whole = [one.logprob for one in load_whole(spec, bench.io()).loglikelihood(PAIRS)]
    assert sums(spec, bench) == pytest.approx(whole, abs=1e-3)


PACKED = """\
question: Does an adapter on four bits learn?
given:
  base: {path: ../../model, template: "{prompt}?", load_in: 4bit}
  preferences: {path: ../../preferences.jsonl}
  seeds: [0]
methods:
  base: {}
  dpo: {lr: 0.01, epochs: 1, batch_size: 4}
evaluate:
  tasks: [{task: prompts, path: ../../prompts.jsonl, max_new_tokens: 6}]
"""


@pytest.mark.parametrize(
    ("installed", "change", "said"),
    [
        (True, ("", ""), "trains all weights of a model that is loaded in 4bit, of which only an adapter can be"),
        (False, ("", ""), "'4bit' needs the package bitsandbytes, which is not installed pip install"),
        (True, ("4bit", "3bit"), "load_in"),
    ],
    ids=["without an adapter", "without bitsandbytes", "of no kind"],
)
def test_it_is_refused_at_plan(
    installed: bool,
    change: tuple[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bench.config.fields.sources.find_spec", lambda _name: object() if installed else None)
    folder = write_whole(tmp_path, PACKED.replace(*change) if change[0] else PACKED)
    with pytest.raises(SystemExit):
        main(["plan", str(folder)])
    assert said in " ".join("".join(capsys.readouterr()).split())
