"""What the commands do that work on a comparison."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from bench.cli.progress import LiveWatcher, PlainWatcher
from bench.config.comparison import Comparison
from bench.config.load import load_comparison
from bench.core.errors import BenchError
from bench.core.metrics import WIN_RATE
from bench.engine.events import Engine, Together
from bench.engine.inline import InlineEngine
from bench.engine.processes import ProcessEngine, slots_of_this_machine
from bench.engine.store import Store
from bench.evaluation.api.spending import name_this_run
from bench.export.scalars import default_folder, tracked_runs
from bench.export.trackers import TrackerName, require, track
from bench.gate.finished_run import stored
from bench.pipeline.forecast import forecast, forecast_lines, seconds_by_kind
from bench.pipeline.plan import make_plan
from bench.pipeline.run import Result, compare, conclude, store_of
from bench.report.page.markdown import write_report
from bench.report.terminal.show import Wanted, show
from bench.report.terminal.summary import summary_table
from bench.results.conclusions.contrast import Contrast
from bench.results.records import RECORDS


@dataclass(frozen=True)
class EngineChoice:
    """Where stages run: the kind of engine, CPU workers (None: by cores), processes that train together.

    ``sharded``: worker processes too, and the weights that several processes train are divided over them.
    """

    kind: Literal["processes", "sharded", "inline"]
    workers: int | None = None
    processes: int = 1

    def open(self, store: Store) -> Engine:
        """Return the engine; raises BenchError for a choice that contradicts itself or the machine."""
        if self.kind == "sharded" and self.processes == 1:
            raise BenchError("--engine sharded divides weights over several processes: say how many by --processes.")
        if self.kind != "inline":
            together = Together(self.processes, "sharded" if self.kind == "sharded" else "replicated")
            return ProcessEngine(store, slots_of_this_machine(self.workers, together))
        if self.processes > 1 or self.workers is not None:
            raise BenchError("--engine inline runs in this one process: leave --workers and --processes away.")
        return InlineEngine(store)


def run_comparison(
    path: Path, overrides: Sequence[str], choice: EngineChoice, as_json: bool, tracker: TrackerName | None = None
) -> int:
    """Return the exit status of running a comparison: 0, or 1 when something failed.

    ``tracker`` is told the scalars afterwards; its package is looked for before anything is computed.
    """
    if tracker is not None:
        require(tracker)
    comparison = load_comparison(path, overrides=overrides)
    store = store_of(comparison)
    console = Console(stderr=as_json, highlight=False)
    plan = make_plan(comparison)
    name_this_run()
    runs_on = choice.open(store)
    watcher = LiveWatcher if console.is_terminal else PlainWatcher
    try:
        with watcher(console, plan.labels(), len(runs_on.slots), seconds_by_kind(plan, store)) as shown:
            result = compare(plan, store, runs_on, shown)
    finally:
        runs_on.close()
    if tracker is not None:
        folder = Path(comparison.path).parent
        runs = tracked_runs(result.summary, result.contrasts, RECORDS.read(folder))
        track(tracker, runs, default_folder(Path(comparison.path), tracker))
    if as_json:
        sys.stdout.write(json.dumps(as_data(result), indent=1, allow_nan=False) + "\n")
    else:
        show_result(console, comparison, result)
    return 1 if result.outcome.failed else 0


def show_result(console: Console, comparison: Comparison, result: Result) -> None:
    """Print the table of contrasts, what is missing, and where the report is."""
    console.print()
    console.print(summary_table(headline_contrasts(comparison, result), result.summary))
    for line in result.summary.lacking():
        console.print(f"missing: {line}", style="red", markup=False)
    if result.outcome.failed:
        console.print("The same command tries the failed stages again; everything finished is kept.", style="red")
    console.print(f"report: {result.report}", markup=False, soft_wrap=True)
    console.print(f"plots:  {result.report.parent / 'plots'}", markup=False, soft_wrap=True)


def headline_contrasts(comparison: Comparison, result: Result) -> list[Contrast]:
    """Return the win rates, or every contrast where no judge was asked."""
    if not comparison.evaluation.judges:
        return list(result.contrasts)
    return [contrast for contrast in result.contrasts if contrast.metric == WIN_RATE.name]


def as_data(result: Result) -> dict[str, Any]:
    """Return a result as plain data."""
    return {
        "contrasts": [contrast.model_dump() for contrast in result.contrasts],
        "missing": [cell.model_dump() for cell in result.summary.missing],
        "stages": {
            "found": len(result.outcome.found),
            "computed": len(result.outcome.computed),
            "failed": result.outcome.failed,
            "blocked": result.outcome.blocked,
        },
        "report": str(result.report),
    }


def show_plan(path: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Print what a run would do."""
    comparison = load_comparison(path, overrides=overrides)
    found = forecast(make_plan(comparison), store_of(comparison))
    if as_json:
        sys.stdout.write(json.dumps(found.model_dump(), indent=1) + "\n")
        return
    console = Console(highlight=False)
    for line in forecast_lines(found):
        console.print(line, markup=False, soft_wrap=True)


def write_report_again(path: Path, overrides: Sequence[str]) -> None:
    """Write contrasts, report and plots from the stored records."""
    comparison = load_comparison(path, overrides=overrides)
    folder, summary = stored(comparison)
    conclude(comparison, summary, RECORDS.read(folder), folder)
    report = write_report(folder, comparison)
    Console(highlight=False).print(f"report: {report}", markup=False, soft_wrap=True)


def show_prompts(path: Path, overrides: Sequence[str], wanted: Wanted) -> None:
    """Print one prompt with the responses of all methods and the verdicts on them, or a list of prompts."""
    comparison = load_comparison(path, overrides=overrides)
    folder, _ = stored(comparison)
    console = Console(highlight=False)
    console.print(show(folder, comparison, wanted, console.width))
