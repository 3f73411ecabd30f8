"""Several responses that must be equal are refused, or told, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.errors import BenchError
from bench.engine.store import Store
from bench.pipeline.forecast import forecast, forecast_lines
from bench.pipeline.plan import Plan, make_plan
from tests.whole import COMPARISON, write_whole

REWARD = "{judge: lexicon, path: ../../words.txt}"
GREEDY = "max_new_tokens: 6, temperature: 0"


def planned(root: Path, method: str, task: str, draws: int = 1) -> Plan:
    text = COMPARISON.replace("  dpo_lora:", f"  best: {{{method}, reward: {REWARD}, start: *sft}}\n  dpo_lora:")
    text = text.replace("max_new_tokens: 6", task).replace("evaluate:\n", f"evaluate:\n  draws: {draws}\n")
    return make_plan(load_comparison(write_whole(root, text)))


def test_the_best_of_equal_responses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"'best'.*best of 4.*all equal on prompts: decoding is greedy.*temperature"):
        planned(tmp_path / "greedy", "method: best_of_n, n: 4", GREEDY)
    assert planned(tmp_path / "one", "method: best_of_n, n: 1", GREEDY)
    assert planned(tmp_path / "warm", "method: best_of_n, n: 4", "max_new_tokens: 6, temperature: 0.1")


def test_greedy_samples_of_a_method_are_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"'best'.*n: 4 responses.*decoding is greedy"):
        planned(tmp_path, "method: expert_iteration, n: 4, decoding: {temperature: 0}", GREEDY)


def test_further_draws_of_a_greedy_task_are_told(tmp_path: Path) -> None:
    method = "method: expert_iteration, n: 2"
    for draws, task, told in ((3, GREEDY, True), (1, GREEDY, False), (3, "max_new_tokens: 6", False)):
        root = tmp_path / f"{draws}{told}"
        found = forecast(planned(root, method, task, draws), Store(root / "store"))
        assert found.equal_draws == (("prompts",) if told else ())
        assert any("prompts decodes greedily" in line for line in forecast_lines(found)) == told
