"""Fixtures of the method tests: one torch thread, and a bench that runs stages in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.core.method import Given
from tests.methods.tiny import DEMONSTRATIONS, PREFERENCES, Bench, data, pretrained


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """A tiny base, demonstrations and preferences."""
    return Given(
        base=pretrained(tmp_path / "model"),
        demonstrations=data(tmp_path / "demonstrations.jsonl", DEMONSTRATIONS),
        preferences=data(tmp_path / "preferences.jsonl", PREFERENCES),
        seed=0,
    )
