"""``bench run``, ``plan`` and ``report``: compute a comparison, say what that would take, write it up again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from bench.cli.options import (
    JsonOption,
    PathArgument,
    Printed,
    SetOption,
    StoreOption,
    Tracker,
    err,
    example,
    out,
    state,
    write,
    writing_results,
)
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.config.comparison import Comparison
    from bench.engine.events import Engine
    from bench.engine.store import Store
    from bench.pipeline.compare import Result
    from bench.results.computed_on import KernelsFrom
    from bench.results.conclusions.contrast import Contrast

commands = typer.Typer()
EngineKind = Literal["processes", "sharded", "inline"]


@commands.command(
    epilog=example("bench run results/quickstart", "bench run results/mine --set given.seeds=[0] --workers 1")
)
def run(  # noqa: PLR0913 - a command has as many parameters as options
    context: typer.Context,
    path: PathArgument,
    overrides: SetOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="CPU worker processes; one per core by default.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that train one stage together, each on a device of its own.")
    ] = 1,
    engine: Annotated[
        EngineKind,
        typer.Option(help="sharded divides the weights that --processes train; inline runs stages in this process."),
    ] = "processes",
    *,
    portable: Annotated[
        bool,
        typer.Option(
            "--portable",
            help="Compute as any x86-64 processor does, to the same bytes: plain kernels, one thread, no GPU. Slower.",
        ),
    ] = False,
    track: Annotated[
        Tracker | None, typer.Option("--track", help="Then hand the scalars to a tracker, as `bench track` does.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a comparison, or the rest of it: what is in the store is not computed again.

    Writes records.parquet, responses.parquet, verdicts.parquet, contrasts.json, run.json, report.md, report.html and
    plots/ beside the comparison file.
    Where a stage fails the others go on, and the message says what is missing and why.
    """
    from bench.config.fields.known_data import FilesKnown
    from bench.config.load import load_comparison
    from bench.engine.store import LENGTHS, store_beside, store_of
    from bench.export.trackers import require

    if track is not None:
        require(track)  # its package is looked for before anything is computed
    choice = EngineChoice(engine, workers, processes, "portable" if portable else "processor")
    choice.prepare(context.find_root().obj)
    comparison = load_comparison(path, overrides=overrides or [], files=FilesKnown(store_beside(path, store) / LENGTHS))
    console, where = Printed(stderr=as_json), choice.part_of(store_of(comparison, store))
    result = computed(comparison, where, choice, console)
    if state["debug"]:
        show_tracebacks(where, result)
    if track is not None:
        hand_to_tracker(comparison, result, track)
    if as_json:
        write(json.dumps(as_data(result), indent=1, allow_nan=False) + "\n")
    else:
        show_result(console, comparison, result)
    raise typer.Exit(1 if result.outcome.failed else 0)


@dataclass(frozen=True)
class EngineChoice:
    """Where stages run: the kind of engine, CPU workers (None: by cores), processes that train together.

    ``sharded``: worker processes too, and the weights that several processes train are divided over them. ``kernels``:
    whether libraries choose theirs by the processor, or take those of every processor.
    """

    kind: EngineKind
    workers: int | None = None
    processes: int = 1
    kernels: KernelsFrom = "processor"

    def prepare(self, line: Sequence[str]) -> None:
        """Start this program anew, in this process's place, where its libraries would choose other kernels than asked.

        ``line``: what the command line says after the program's name. Raises BenchError where the kernels cannot be
        fixed, or for what several processes would add in another order.
        """
        if self.kernels == "processor":
            return
        from bench.engine.kernels import portable_environment
        from bench.engine.processes import with_these_packages

        if self.processes > 1:
            raise BenchError("--portable trains each stage in one process: leave --processes away.")
        given = with_these_packages()
        wanted = portable_environment(given)
        if wanted != given:
            sys.stdout.flush()
            os.execve(sys.executable, [sys.executable, "-m", "bench.cli", *line], wanted)

    def part_of(self, store: Store) -> Store:
        """Return the part of a store that holds what these kernels computed."""
        return store.portable if self.kernels == "portable" else store

    def open(self, store: Store, timeout: float | None) -> Engine:
        """Return the engine, which ends a stage after ``timeout`` seconds.

        Raises BenchError for a choice that contradicts itself or the machine.
        """
        from bench.engine.events import Together
        from bench.engine.inline import InlineEngine
        from bench.engine.processes import ProcessEngine, slots_of_this_machine

        if self.kind == "sharded" and self.processes == 1:
            raise BenchError("--engine sharded divides weights over several processes: say how many by --processes.")
        if self.kind != "inline":
            together = Together(self.processes, "sharded" if self.kind == "sharded" else "replicated")
            return ProcessEngine(store, slots_of_this_machine(self.workers, together), timeout)
        if self.processes > 1 or self.workers is not None:
            raise BenchError("--engine inline runs in this one process: leave --workers and --processes away.")
        if timeout is not None:
            raise BenchError(
                "--engine inline cannot end a stage: leave it away, or leave `timeout` out of the comparison."
            )
        return InlineEngine(store)


def computed(comparison: Comparison, store: Store, choice: EngineChoice, console: Console) -> Result:
    """Return the result of a comparison; the console shows the progress meanwhile."""
    from bench.cli.progress import LiveWatcher, PlainWatcher
    from bench.evaluation.api.spending import name_this_run
    from bench.pipeline.compare import compare
    from bench.pipeline.forecast import seconds_by_kind
    from bench.pipeline.plan import make_plan

    plan = make_plan(comparison)
    name_this_run()
    engine = choice.open(store, comparison.timeout)
    watcher = LiveWatcher if console.is_terminal else PlainWatcher
    try:
        with watcher(console, plan.labels(), len(engine.slots), seconds_by_kind(plan, store)) as shown:
            return compare(plan, store, engine, shown)
    finally:
        engine.close()


def show_tracebacks(store: Store, result: Result) -> None:
    """Print to standard error the tracebacks of the stages that failed, from their logs."""
    from bench.engine.failures import failure_log

    for key in result.outcome.failed:
        log = failure_log(store.root, key)
        if log.is_file():
            err.print(log.read_text(encoding="utf-8"), markup=False, soft_wrap=True)


def hand_to_tracker(comparison: Comparison, result: Result, tracker: Tracker) -> None:
    """Hand the scalars of a result to a tracker, in the folder that is its own by default."""
    from bench.export.scalars import default_folder, tracked_runs
    from bench.export.trackers import track
    from bench.results.records import RECORDS

    file = Path(comparison.path)
    with writing_results(file):
        runs = tracked_runs(result.summary, result.contrasts, RECORDS.read(file.parent))
        track(tracker, runs, default_folder(file, tracker))


def show_result(console: Console, comparison: Comparison, result: Result) -> None:
    """Print the table of contrasts, what is missing, and where the report is."""
    from bench.report.terminal.contrast_tables import summary_table
    from bench.results.lengths import length_lines, spelling_lines

    console.print()
    console.print(summary_table(headline_contrasts(comparison, result), result.summary))
    for line in length_lines(result.summary):
        console.print(f"length: {line}", style="yellow", markup=False)
    for line in spelling_lines(result.summary):
        console.print(f"text: {line}", style="yellow", markup=False)
    for line in result.summary.lacking():
        console.print(f"missing: {line}", style="red", markup=False)
    if result.outcome.failed:
        console.print("The same command tries the failed stages again; everything finished is kept.", style="red")
    console.print(f"report: {result.report}", markup=False, soft_wrap=True)
    console.print(f"plots:  {result.report.parent / 'plots'}", markup=False, soft_wrap=True)


def headline_contrasts(comparison: Comparison, result: Result) -> list[Contrast]:
    """Return the win rates, or every contrast where no judge was asked."""
    from bench.core.metrics import WIN_RATE

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


@commands.command(epilog=example("bench plan results/quickstart", "bench plan results/mine --json"))
def plan(
    path: PathArgument, overrides: SetOption = None, store: StoreOption = None, as_json: JsonOption = False
) -> None:  # fmt: skip
    """Show what a run would do: stages, what is in the store, the cost, the smallest effect it can detect."""
    from bench.cli.no_pandas import use_tables_without_pandas
    from bench.config.fields.known_data import FilesKnown
    from bench.config.load import load_comparison
    from bench.engine.store import LENGTHS, store_beside, store_of
    from bench.pipeline.forecast import forecast, forecast_lines
    from bench.pipeline.lengths import planned_lengths
    from bench.pipeline.plan import make_plan

    use_tables_without_pandas()
    files = FilesKnown(store_beside(path, store) / LENGTHS)
    comparison = load_comparison(path, overrides=overrides or [], files=files)
    planned, kept = make_plan(comparison), store_of(comparison, store)
    found = forecast(planned, kept, planned_lengths(planned, kept))
    files.keep()
    if as_json:
        write(json.dumps(found.model_dump(), indent=1) + "\n")
        return
    for line in forecast_lines(found):
        out.print(line, markup=False, soft_wrap=True)


@commands.command(epilog=example("bench report results/quickstart"))
def report(path: PathArgument, overrides: SetOption = None) -> None:
    """Write contrasts, report and plots again from the stored records. Computes no stage and loads no torch.

    Says, here and in the report, what of the comparison differs from what was run, and which of its files are not here.
    """
    from bench.pipeline.report_again import report_again
    from bench.pipeline.standing import standing_of

    with writing_results(path):
        standing = standing_of(path, overrides or [])
        for line in standing.lines:
            out.print(line, markup=False, soft_wrap=True)
        written = report_again(standing, standing.folder, standing.lines)
    out.print(f"report: {written}", markup=False, soft_wrap=True)
