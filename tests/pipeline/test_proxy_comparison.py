"""A whole comparison with a proxied arm and a task of lm-eval, on tiny models, down to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.engine.inline import InlineEngine
from bench.engine.store import Store
from bench.pipeline.compare import compare
from bench.pipeline.plan import make_plan
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.records import RECORDS
from tests.engine.test_scheduler import Notes
from tests.evaluation.measurements.everything import without_list_of_packages
from tests.methods.tiny import DEMONSTRATIONS, pretrained
from tests.sketched import sketched

TASKS = Path(__file__).resolve().parents[1] / "evaluation" / "measurements" / "lm_eval_tasks"
ASKS = Path(__file__).resolve().parents[1] / "models" / "asks.py"
FILE = """\
question: Does a small model steer a large one?
given:
  base: {path: base, template: "{prompt}?"}
  small: {path: small, template: "{prompt}?"}
  demonstrations: {path: demonstrations.jsonl}
  lora: none
  max_length: 64
  seeds: [0]
methods:
  base: {}
  sft: &sft {lr: 5.0e-3, epochs: 1, batch_size: 4}
  proxy_tuning: {expert: {method: sft, lr: 5.0e-3, epochs: 1, batch_size: 4}}
  proxy_half: {method: proxy_tuning, alpha: 0.5, expert: {method: sft, lr: 5.0e-3, epochs: 1, batch_size: 4}}
evaluate:
  tasks:
    - ./asks.py
    - {lm_eval: tiny_choice, folder: lm_eval}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    pretrained(tmp_path / "base", 0, hidden=24)
    pretrained(tmp_path / "small", 1)
    rows = "".join(json.dumps(row) + "\n" for row in DEMONSTRATIONS)
    (tmp_path / "demonstrations.jsonl").write_text(rows, encoding="utf-8")
    shutil.copy(ASKS, tmp_path / "asks.py")
    shutil.copytree(TASKS, tmp_path / "lm_eval", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "comparison.yaml").write_text(FILE, encoding="utf-8")
    return tmp_path


def test_it_runs_to_the_report(place: Path) -> None:
    comparison = load_comparison(place / "comparison.yaml")
    plan, store = make_plan(comparison), Store(place / "store")
    # Both proxied arms share one expert.
    assert sum(stage.KIND == "train/sft" for stage in plan.stages.values()) == 2
    engine = InlineEngine(store)
    try:
        with without_list_of_packages(), sketched():
            result = compare(plan, store, engine, Notes())
    finally:
        engine.close()
    assert result.outcome.failed == {}
    assert not result.summary.missing
    records = RECORDS.read(place).to_pylist()
    scored = [row for row in records if row["task"] == "tiny_choice"]
    assert {row["method"] for row in scored} == {"base", "sft", "proxy_tuning", "proxy_half"}
    assert {row["metric"] for row in scored} == {"acc", "acc_norm"}
    assert len(scored) == 4 * 6 * 2
    found: list[Contrast] = [item for item in result.contrasts if item.task == "tiny_choice"]
    assert {(item.a, item.b) for item in found} == {("sft", "base"), ("proxy_tuning", "base"), ("proxy_half", "base")}
    assert all(item.higher_is_better for item in found)
    assert {one.arm for one in result.summary.shifts} == {"proxy_tuning", "proxy_half"}
    # Benchmarks and an arm called sft: what the others cost on them is asked by itself.
    tax = CONCLUSIONS.read(place).tax
    assert {(item.arm, item.versus, item.metric) for item in tax} == {
        (arm, "sft", metric) for arm in ("base", "proxy_tuning", "proxy_half") for metric in ("acc", "acc_norm")
    }
    report = (place / "report.md").read_text(encoding="utf-8")
    assert "## Alignment tax" in report
    assert "## Tokens that proxy-tuning changed" in report
    assert "token_shifts" in report
