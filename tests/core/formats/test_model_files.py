"""What a model folder may say of itself: honest checkpoints are taken, weights that are no numbers are not."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from bench.core.errors import DataError
from bench.core.formats.model_files import check_sizes
from bench.core.formats.weight_numbers import check_numbers


def weights(file: Path, **tensors: tuple[list[int], list[float]]) -> Path:
    head, content = {}, b""
    for name, (shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}f", *values)
        place = [len(content), len(content) + len(packed)]
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": place}
        content += packed
    text = json.dumps(head).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return file


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_weights_are_finite_numbers(tmp_path: Path, wrong: float) -> None:
    check_numbers(weights(tmp_path / "right", a=([2], [1.0, -3e38]), b=([1], [0.0])), "right")
    with pytest.raises(DataError, match=r"wrong holds weights that are no finite numbers \(b: NaN or infinite\)"):
        check_numbers(weights(tmp_path / "wrong", a=([2], [1.0, 2.0]), b=([1], [wrong])), "wrong")


def test_the_number_for_masked_places_may_be_infinite(tmp_path: Path) -> None:
    check_numbers(weights(tmp_path / "neox", masked_bias=([], [-math.inf]), a=([1], [1.0])), "neox")


def test_weights_that_become_shorter_are_told(tmp_path: Path) -> None:
    file = weights(tmp_path / "cut", a=([4], [1.0, 2.0, 3.0, 4.0]))
    file.write_bytes(file.read_bytes()[:-6])
    with pytest.raises(DataError, match="became shorter"):
        check_numbers(file, "cut")


def test_the_largest_sizes_that_models_have_are_taken() -> None:
    check_sizes({"max_position_embeddings": 10_485_760, "vocab_size": 262_208}, "Llama 4")
    with pytest.raises(DataError, match="vocab_size 1000000000, wanted a whole number from 1 to 100,000,000"):
        check_sizes({"vocab_size": 10**9}, "no model")
