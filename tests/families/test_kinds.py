"""A family of each kind of cache, and an encoder-decoder, do all that is asked, and the table knows them all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.families.checks import check_family
from tests.families.families import BY_NAME, FAMILIES
from tests.families.table import BEGIN, END, PAGE

COUNT = 77
# The way that must be taken: a slower one that is not needed would be as silent as a faster one that is wrong.
WAYS = {
    "Llama 3": "cached",
    "Mistral": "cached",
    "Mixtral": "cached",
    "Phi-3, longrope": "cached",
    "Mamba": "level",
    "Qwen3.5": "own cache",
    "RWKV": "reread",
    "Flan-T5": "encoded",
}


@pytest.mark.parametrize("name", WAYS)
def test_a_family_of_each_kind(name: str, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = check_family(BY_NAME[name], tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert found.failed == {}
    assert found.decoding == WAYS[name]


def test_the_table_has_every_family() -> None:
    assert len(FAMILIES) == len(BY_NAME) == COUNT
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in shown.splitlines() if line.startswith("| ")]
    assert rows[1:] == [family.name for family in FAMILIES]
    assert "| - |" not in shown
