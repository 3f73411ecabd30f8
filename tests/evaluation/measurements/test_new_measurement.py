"""A new measurement is one file: the example of CONTRIBUTING.md, as a file of the folder and as an entry point."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import bench.evaluation.measurements
from bench.config.load import load_comparison
from bench.core import plugins
from bench.core.errors import BenchError, StageError
from bench.core.stage import Stage, StageIO
from bench.engine.store import Store, store_of
from bench.evaluation.measurement import MEASUREMENT
from bench.pipeline.forecast import forecast
from bench.pipeline.plan import make_plan
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES
from bench.results.summary import SUMMARY
from tests.cli.test_cli import ROOT, bench_sketched
from tests.evaluation.measurements.everything import PLAIN, write_everything
from tests.once import take_stages

pytestmark = pytest.mark.slow
CALLS = 3
GATE = """\
gate:
  - {metric: vowels, method: sft, versus: base, equivalent_within: 1000}
"""
ASKS = f"""
    def judge_calls(self, cell: Cell[CountVowels]) -> int:
        return {CALLS}
"""


def example() -> str:
    """Return the code that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.split("## A new measurement\n", 1)[1].split("```python\n", 1)[1].split("```", 1)[0]


@pytest.fixture(params=["a file of the folder", "an entry point", "a file beside the comparison"])
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What a comparison calls the example by, which is found, and gone afterwards."""
    package, folder = bench.evaluation.measurements, tmp_path / "new"
    folder.mkdir()
    if request.param == "an entry point":
        module, file = "vowels_of_a_package", folder / "vowels_of_a_package.py"
        point = EntryPoint("vowels", f"{module}:Vowels", MEASUREMENT.group)
        monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == point.group else [])
        monkeypatch.syspath_prepend(folder)
    elif request.param == "a file beside the comparison":
        module, file = "none", folder / "vowels.py"
    else:
        module, file = f"{package.__name__}.vowels", folder / "vowels.py"
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    file.write_text(example() + ASKS, encoding="utf-8")
    importlib.invalidate_caches()
    yield str(file) if module == "none" else "vowels"
    sys.modules.pop(module, None)
    vars(package).pop("vowels", None)


def fails(_stage: Stage, _io: StageIO) -> None:
    """In place of the stage's own ``run``."""
    raise StageError("planted. Dig it out")


def test_it_is_planned_run_collected_concluded_and_told(
    name: str, tmp_path: Path, everything: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_plan(load_comparison(write_everything(tmp_path / "plain", PLAIN))).of("vowels") == ()
    folder = write_everything(tmp_path, PLAIN + f"  measurements: [{name}]\n" + GATE)
    take_stages(everything, tmp_path)
    plan = make_plan(load_comparison(folder))
    cells = plan.of("vowels")
    assert [(cell.arm, cell.seed) for cell in cells] == [(arm, seed) for arm in ("base", "sft") for seed in (0, 1)]
    assert plan.labels()[cells[0].stage.key] == "count_vowels (base, seed 0)"
    assert forecast(plan, Store(tmp_path / "empty")).judgements == CALLS * len(cells)

    done = bench_sketched("run", folder, "--engine", "inline")
    assert done.returncode == 0, done.stderr
    wrote = {(row["method"], row["run"], row["prompt"]): row["text"] for row in RESPONSES.read(folder).to_pylist()}
    counted = [row for row in RECORDS.read(folder).to_pylist() if row["metric"] == "vowels"]
    assert {(row["method"], row["run"], row["prompt"]): row["value"] for row in counted} == {
        which: sum(letter in "aeiou" for letter in text) for which, text in wrote.items()
    }
    assert SUMMARY.read(folder).metrics["vowels"]["description"] == "vowels in a response"
    contrasts = CONCLUSIONS.read(folder).contrasts
    assert [(item.a, item.b) for item in contrasts if item.metric == "vowels"] == [("sft", "base")]
    assert "vowels" in (folder / "report.md").read_text(encoding="utf-8")

    shutil.rmtree(store_of(plan.comparison).place(cells[-1].stage))
    monkeypatch.setattr(type(cells[-1].stage), "run", fails)
    done = bench_sketched("run", folder, "--engine", "inline")
    assert done.returncode == 1, done.stderr
    assert "missing: vowels (sft, seed 1, task prompts): planted. Dig it out" in done.stdout
    (told,) = SUMMARY.read(folder).missing
    assert (told.measurement, told.arm, told.run, told.leaves_out) == ("vowels", "sft", 1, "arm")
    assert CONCLUSIONS.read(folder).contrasts == ()

    assert bench_sketched("check", folder).returncode == 2


@pytest.mark.parametrize(
    ("measurements", "gate", "told"),
    [
        ("[vowel]", "", "unknown measurement 'vowel'"),
        ("[./none.py]", "", "evaluate.measurements.0: ./none.py: no such file"),
        ("[3]", "", "evaluate.measurements.0: must be the name of a measurement or a .py file, not 3"),
        ("[]", "", "evaluate.measurements: must be a list with at least one name"),
        ("[scores, scores]", "", "'scores' stands twice"),
        ("[scores]", GATE, "gate: nothing here measures 'vowels'"),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(
    measurements: str, gate: str, told: str, tmp_path: Path
) -> None:
    folder = write_everything(tmp_path, PLAIN + f"  measurements: {measurements}\n" + gate)
    with pytest.raises(BenchError, match=re.escape(told)):
        make_plan(load_comparison(folder))


def test_a_broken_one_that_nobody_names_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("broken", "no_such_module:Broken", MEASUREMENT.group)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == point.group else [])
    assert make_plan(load_comparison(write_everything(tmp_path / "plain", PLAIN))).cells
    folder = write_everything(tmp_path / "named", PLAIN + "  measurements: [broken]\n")
    with pytest.raises(BenchError, match="broken cannot be loaded"):
        make_plan(load_comparison(folder))
