"""The contract of a measurement, held by every file of the folder, and what a run says where one has failed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config.load import load_comparison
from bench.core.errors import StageError
from bench.core.stage import Stage, StageIO
from bench.engine.store import Store, store_of
from bench.evaluation.measurement import Cell, Measurement, filled, measurements
from bench.pipeline.plan import Plan, closure, make_plan
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast
from bench.results.records import RECORDS
from bench.results.summary import SUMMARY, Missing
from bench.results.tables import TableFile
from tests.cli.test_cli import ROOT, bench
from tests.evaluation.measurements.everything import PLAIN, write_everything
from tests.sketched import sketched

FOLDER = ROOT / "bench" / "evaluation" / "measurements"
NAMES = sorted(path.stem for path in FOLDER.iterdir() if not path.stem.startswith("_"))
PLANTED = "planted. Dig it out"


@pytest.fixture(scope="module")
def ran(everything: Path) -> Iterator[Path]:
    """The folder of a comparison with cells of every measurement that has been run in this process."""
    with sketched():
        yield everything / "results" / "everything"


@pytest.fixture(scope="module")
def plan(ran: Path) -> Plan:
    return make_plan(load_comparison(ran))


def test_the_files_are_the_list() -> None:
    found = measurements()
    assert sorted(one.NAME for one in found) == NAMES
    assert len(NAMES) == 12
    assert len({one.ORDER for one in found}) == len(NAMES)


@pytest.mark.parametrize("one", measurements(), ids=lambda one: one.NAME)
def test_every_measurement_says_what_it_is(one: Measurement) -> None:
    cls = type(one)
    assert cls.__doc__ and cls.cells.__doc__ and cls.rows.__doc__
    assert all(isinstance(table, TableFile) for table in one.TABLES)
    # Contrasts of incomplete records are refused, so what gives records has to leave something out.
    assert one.LEAVES_OUT != "nothing" or RECORDS not in one.TABLES


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_cells_are_planned_for_it_and_its_rows_fill_its_tables(ran: Path, plan: Plan, name: str) -> None:
    store, cells = store_of(plan.comparison), plan.of(name)
    assert cells
    for cell in cells:
        assert cell.stage.key in plan.stages
        assert cell.measurement.judge_calls(cell) in (0, None) or cell.judge is not None
        given = list(cell.measurement.rows(cell, store.place, plan.design))
        assert {table for table, _ in given} == set(cell.measurement.tables(cell))
        for table, rows in given:
            assert filled(table, cell, rows).schema == table.schema
    assert len({tuple(cell.columns().values()) for cell in cells}) == len(cells)


def test_a_comparison_that_asks_for_nothing_more_has_responses_and_scores(tmp_path: Path) -> None:
    plain = make_plan(load_comparison(write_everything(tmp_path, PLAIN)))
    assert {cell.measurement.NAME for cell in plain.cells} == {"responses", "scores"}


def test_planning_everything_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from bench.config.load import load_comparison; from bench.pipeline.plan import make_plan\n"
        "from pathlib import Path\n"
        f"plan = make_plan(load_comparison(Path({str(write_everything(tmp_path))!r})))\n"
        f"assert {{cell.measurement.NAME for cell in plan.cells}} == set({NAMES!r})\n"
        "assert 'torch' not in sys.modules and 'lm_eval' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def fails(_stage: Stage, _io: StageIO) -> None:
    """In place of a stage's own ``run``."""
    raise StageError(PLANTED)


def forget(stage: Stage, plan: Plan, store: Store) -> None:
    """Delete the payload of a stage, and of all that rests on it."""
    for other in plan.stages.values():
        if stage.key in closure([other]):
            shutil.rmtree(store.place(other))


def run_again(ran: Path, root: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, Any]]:
    """Return a copy of the comparison that has been run with one stage failing, and what the run printed."""
    shutil.copytree(ran.parent.parent, root, dirs_exist_ok=True)
    folder = root / "results" / ran.name
    again = make_plan(load_comparison(folder))
    assert stage.key in again.stages
    forget(stage, again, store_of(again.comparison))
    monkeypatch.setattr(type(stage), "run", fails)
    done = bench("run", folder, "--engine", "inline", "--json")
    assert done.returncode == 1, done.stderr
    return folder, json.loads(done.stdout)


def chosen(plan: Plan, name: str) -> Cell[Any]:
    """Return a cell of a measurement, of one arm but not of the one that all others are compared with."""
    return next(cell for cell in plan.of(name) if cell.arm in (None, "proxy_tuning"))


def section(folder: Path) -> str:
    """Return what the report says of completeness."""
    return (folder / "report.md").read_text(encoding="utf-8").split("## What is missing\n", 1)[1].split("\n## ", 1)[0]


def estimates(contrasts: Iterable[Contrast]) -> list[tuple[Any, ...]]:
    """Return contrasts without what depends on their family, which is smaller where an arm is left out."""
    return [
        (item.a, item.b, item.task, item.metric, item.judge, item.estimate, item.low, item.high) for item in contrasts
    ]


def lost(contrast: Contrast, cell: Missing) -> bool:
    """Tell whether a contrast goes with a missing cell."""
    if cell.leaves_out == "arm":
        return cell.arm in (contrast.a, contrast.b)
    return cell.leaves_out == "judge" and contrast.judge == cell.judge and contrast.metric in cell.metrics


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_failed_stage_is_a_missing_cell(
    ran: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cell = chosen(plan, name)
    folder, printed = run_again(ran, tmp_path, cell.stage, monkeypatch)

    (told,) = SUMMARY.read(folder).missing
    assert [told.model_dump(mode="json")] == printed["missing"]
    assert (told.measurement, told.leaves_out) == (name, type(cell.measurement).LEAVES_OUT)
    assert (told.arm, told.versus, told.judge) == (cell.arm, cell.versus, cell.judge_label)
    assert (told.run, told.task) == (cell.seed, cell.task_name)
    assert PLANTED in told.reason

    line = f"{told.named()}: {told.reason}"
    assert f"- {line}" in section(folder).replace("\\", "")
    assert "No cell" not in section(folder)

    done = bench("check", folder)
    assert done.returncode == 2
    assert f"1 cell missing, the first: {line}" in done.stderr.replace("\n", " ")

    before, after = (CONCLUSIONS.read(where).contrasts for where in (ran, folder))
    left = [item for item in before if not lost(item, told)]
    assert left and estimates(after) == estimates(left)
    if told.leaves_out == "nothing":
        assert after == before
    else:
        assert len(left) < len(before)
