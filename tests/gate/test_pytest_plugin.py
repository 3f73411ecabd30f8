"""The pytest plug-in, in a test suite of somebody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.results.summary import SUMMARY
from tests.report.synthetic import build
from tests.report.synthetic import comparison as synthetic

pytest_plugins = ["pytester"]
SUITE = """
def test_better(alignment_bench):
    found = alignment_bench("run").assert_passes(metric="win_rate", method="dpo", versus="sft", superior_by=0.0)
    assert found[0].verdict == "pass"

def test_the_other_way_round(alignment_bench):
    alignment_bench("run").assert_passes(metric="win_rate", method="sft", versus="dpo", superior_by=0.0)

def test_no_regression(alignment_bench):
    run = alignment_bench("run")
    run.assert_no_regression(metric="win_rate", method="dpo", versus="dpo_again", not_worse_by=0.001)

def test_typo(alignment_bench):
    alignment_bench("run").assert_passes(metric="win_rate", method="dpo", versus="sft", superior=0.0)

def test_opened_once(alignment_bench):
    assert alignment_bench("run") is alignment_bench("run")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test suite beside a finished run; the comparison is a value here, because a file would need real models."""
    folder = pytester.mkdir("run")
    build(folder)
    SUMMARY.write(SUMMARY.read(folder).model_copy(update={"missing": ()}), folder)
    found = synthetic().model_copy(update={"path": str(folder / "comparison.yaml")})
    monkeypatch.setattr("bench.gate.assertions.load_comparison", lambda path: found)
    monkeypatch.setattr("bench.gate.check.refuse_lost_prompts", lambda *_: None)
    pytester.makepyfile(SUITE)
    return pytester


def test_criteria_are_asserted_in_somebody_elses_suite(suite: pytest.Pytester) -> None:
    done = suite.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=3, failed=2)
    done.stdout.fnmatch_lines(
        [
            "*AssertionError: sft is better than dpo by more than 0 on win rate (gold judge, questions): regression: *",
            "*BenchError: a criterion has no 'superior'. Did you mean 'superior_by'?*",
        ]
    )


def test_loading_the_plug_in_loads_nothing_heavy() -> None:
    code = (
        "import sys, bench.gate.pytest_plugin;"
        "heavy = {'torch', 'numpy', 'pydantic', 'scipy', 'pyarrow', 'typer'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_plug_in_is_announced() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nalignment_bench = "bench.gate.pytest_plugin"\n' in text
