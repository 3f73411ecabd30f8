"""The disk that a run will need: weights by their headers, adapters by their rank, what cannot be known told."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.core.data import Data
from bench.core.method import Lora
from bench.core.policy import Pretrained, Tuned
from bench.engine.store import Store
from bench.pipeline.disk import DiskNeed, disk_need, shapes_in
from methods._train.settings import Optimisation
from methods._train.sft.stage import TrainSFT
from tests.methods.tiny import DEMONSTRATIONS, data, model, pretrained


def header(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


ODD = ("[]", "{}", '{"a": 1}', '{"a": {"shape": ["x"]}}', '{"a": {"shape": 3}}', '{"a": ' * 5000)


class Free(NamedTuple):
    total: int
    used: int
    free: int


def training(base: Pretrained | Tuned, rows: Data, **more: object) -> TrainSFT:
    fields = {"lora": None, "keep": "float32", "budget": None, "max_length": 64, "seed": 0, **more}
    return TrainSFT(init=base, data=rows, optimisation=Optimisation(lr=0.1), **fields)  # type: ignore[arg-type]


def test_weights_are_counted_by_their_headers_and_adapters_by_their_rank(tmp_path: Path) -> None:
    base, rows, store = pretrained(tmp_path / "model"), data(tmp_path / "rows.jsonl", DEMONSTRATIONS), Store(tmp_path)
    parameters = sum(weight.numel() for weight in model().parameters())
    shapes = shapes_in(tmp_path / "model")
    assert shapes is not None
    assert shapes.parameters() == parameters
    whole, half = (disk_need([training(base, rows, keep=keep)], store).kept for keep in ("float32", "bfloat16"))
    assert abs(whole - half - 2 * parameters) < 10
    # Rank 2 over the seven linear layers of each of two blocks: 16 wide, 32 within.
    assert shapes.adapter_parameters(Lora(rank=2)) == 2 * 2 * (4 * 32 + 3 * 48)
    assert shapes.adapter_parameters(Lora(rank=2, targets=("q_proj", "v_proj"))) == 2 * 2 * 2 * 32
    first = training(base, rows)
    two = disk_need([first, training(Tuned(base=base, by=first), rows, seed=1)], store)
    assert two.kept == pytest.approx(2 * whole, rel=0.1)
    assert two.meanwhile >= 2 * 3 * 4 * parameters
    assert two.not_known == ()


def test_what_cannot_be_known_is_told_and_what_does_not_fit_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = data(tmp_path / "rows.jsonl", DEMONSTRATIONS)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    stage = training(Pretrained(repo="org/name", revision="abc"), rows)
    store = Store(tmp_path / "not" / "there" / "yet")
    found = disk_need([stage], store)
    assert found.not_known == ("org/name",)
    assert found.at == str(tmp_path)
    assert found.free > 0
    assert any("not counted: what rests on org/name" in line for line in found.lines())
    place = tmp_path / "cache" / "models--org--name" / "snapshots" / "abc"
    pretrained(place)
    found = disk_need([stage], store)
    assert found.not_known == ()
    assert not any("DOES NOT FIT" in line for line in found.lines())
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Free(10, 5, 5))
    assert sum("DOES NOT FIT" in line for line in disk_need([stage], store).lines()) == 1
    assert disk_need([], store).lines() == []
    assert DiskNeed.model_validate(found.model_dump()) == found


@pytest.mark.parametrize(
    "content", [b"", b"12345678", struct.pack("<Q", 2**60), struct.pack("<Q", 4) + b"nope", *map(header, ODD)]
)
def test_weights_that_cannot_be_read_have_no_size(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert shapes_in(tmp_path) is None
    assert shapes_in(tmp_path / "nowhere") is None
