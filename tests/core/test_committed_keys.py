"""Every stage key that a committed comparison was run with is the one that planning gives today.

A key may change only with a VERSION, or where the change is reviewed and the comparison run again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.pipeline.plan import make_plan
from tests.awaiting import AWAITING

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ALIGNMENT_BENCH_DATA", ROOT.parent / "shared" / "data"))
LOCKS = [path for path in sorted((ROOT / "results").glob("*/lock.json")) if path.parent.name not in AWAITING]
KEYS = 1391


def needs_data(comparison: Path) -> bool:
    return "shared/data" in (comparison / "comparison.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", LOCKS, ids=[path.parent.name for path in LOCKS])
def test_planning_gives_the_keys_that_the_comparison_was_run_with(lock: Path) -> None:
    if needs_data(lock.parent) and not DATA.is_dir():
        pytest.skip(f"{lock.parent.name} is planned from files below {DATA}, which are not here")
    plan = make_plan(load_comparison(lock.parent))
    recorded = json.loads(lock.read_text(encoding="utf-8"))["stages"]
    assert {key: stage.KIND for key, stage in plan.stages.items()} == recorded


def test_no_committed_key_is_left_out() -> None:
    assert len(LOCKS) + len(AWAITING) == 9
    assert sum(len(json.loads(path.read_text(encoding="utf-8"))["stages"]) for path in LOCKS) == KEYS
