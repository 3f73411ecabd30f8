"""A model folder that can be planned with holds a causal language model, by its config.json alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.config.fields.named_files import digest_of_model
from bench.core.errors import DataError
from tests.config.conftest import WEIGHTS


def folder(path: Path, config: str) -> Path:
    (path / "config.json").write_text(config, encoding="utf-8")
    (path / "model.safetensors").write_bytes(WEIGHTS + b"a")
    return path


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"architectures": ["WhisperForConditionalGeneration"], "is_encoder_decoder": True},
            "not known here; known: t5, ",
        ),
        ({"model_type": "led", "is_encoder_decoder": True}, "'led' is an encoder-decoder"),
        ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM is no causal language model"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "no causal language model"),
        ({"architectures": ["LlamaModel"]}, "no causal language model"),
        ([], "no mapping"),
    ],
)
def test_a_model_of_another_kind_is_refused_in_one_line(tmp_path: Path, config: Any, said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        digest_of_model(folder(tmp_path, json.dumps(config)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma3ForConditionalGeneration", None])
def test_a_causal_model_is_taken(tmp_path: Path, name: str | None) -> None:
    config = {"model_type": "any"} if name is None else {"architectures": [name]}
    assert digest_of_model(folder(tmp_path, json.dumps(config)))


def test_a_broken_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.json cannot be read"):
        digest_of_model(folder(tmp_path, "{"))
