"""One name of a model at two servers: their answers would be shared, so a version must tell them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config.load import load_comparison
from bench.core.errors import BenchError
from bench.pipeline.plan import make_plan
from tests.whole import COMPARISON, write_whole

ONE = "{judge: api, name: one, model: m, base_url: 'http://one/v1', prompt: brief}"
JUDGE = "{judge: api, name: two, model: m, base_url: 'URL', prompt: verdict}"


def planned(root: Path, *judges: str) -> None:
    text = COMPARISON.replace("judges: [", f"judges: [{', '.join(judges)}, ")
    make_plan(load_comparison(write_whole(root, text)))


def test_one_model_at_two_servers_is_refused_unless_a_version_tells_them_apart(tmp_path: Path) -> None:
    two = JUDGE.replace("URL", "http://two/v1")
    with pytest.raises(BenchError, match="the model m is asked for at http://one/v1 and at http://two/v1"):
        planned(tmp_path / "refused", ONE, two)
    planned(tmp_path / "told", ONE, two.replace("model: m", "model: m, version: b"))
    planned(tmp_path / "same", ONE, JUDGE.replace("URL", "http://ONE/v1/"))


def test_labellers_count_too(tmp_path: Path) -> None:
    text = COMPARISON.replace("judges: [", f"judges: [{ONE}, ")
    labeller = JUDGE.replace("URL", "http://two/v1").replace("name: two, ", "")
    arm = f"  rlaif: {{labeller: {labeller}, then: {{method: dpo, lr: 0.01, epochs: 1, batch_size: 4, start: *sft}}}}"
    folder = write_whole(tmp_path, text.replace("evaluate:", f"{arm}\nevaluate:"))
    with pytest.raises(BenchError, match="at http://two/v1"):
        make_plan(load_comparison(folder))
