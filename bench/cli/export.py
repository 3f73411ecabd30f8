"""What the commands do that hand a finished comparison on: as a table, as a model, to a tracker."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.config.load import load_comparison
from bench.core.errors import BenchError
from bench.export.model import PolicyChoice, export_policy
from bench.export.scalars import default_folder, tracked_runs
from bench.export.tables import FORMATS, SUFFIXES, TableFormat
from bench.export.trackers import TrackerName, track
from bench.gate.finished_run import stored
from bench.pipeline.plan import make_plan
from bench.pipeline.run import store_of
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.records import RECORDS


def export_table(path: Path, overrides: Sequence[str], form: TableFormat, to: Path | None) -> None:
    """Write the contrasts as a table to a file, into a folder under the comparison's name, or to standard output."""
    comparison = load_comparison(path, overrides=overrides)
    folder, summary = stored(comparison)
    text = FORMATS[form](CONCLUSIONS.read(folder).contrasts, summary)
    if to is None:
        sys.stdout.write(text)
        return
    file = to / f"{comparison.name}.{SUFFIXES[form]}" if to.is_dir() else to
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    Console(highlight=False).print(f"wrote {file}", markup=False, soft_wrap=True)


def export_model(path: Path, overrides: Sequence[str], wanted: PolicyChoice, to: Path | None) -> None:
    """Write one arm's policy as a model, with its card, into the folder ``to``."""
    comparison = load_comparison(path, overrides=overrides)
    if to is None:
        raise BenchError(f"a policy needs a folder to go to: bench export {path} {wanted.arm} --to FOLDER")
    folder, summary = stored(comparison)
    contrasts = CONCLUSIONS.read(folder).contrasts
    written = export_policy(make_plan(comparison), store_of(comparison), summary, contrasts, wanted, to)
    Console(highlight=False).print(f"wrote {written}", markup=False, soft_wrap=True)


def track_run(path: Path, overrides: Sequence[str], tracker: TrackerName, to: Path | None) -> None:
    """Hand the scalars of the last run to a tracker, and say where they are."""
    comparison = load_comparison(path, overrides=overrides)
    folder, summary = stored(comparison)
    runs = tracked_runs(summary, CONCLUSIONS.read(folder).contrasts, RECORDS.read(folder))
    place = to or default_folder(Path(comparison.path), tracker)
    track(tracker, runs, place)
    Console(highlight=False).print(f"tracked: {len(runs)} runs in {place}", markup=False, soft_wrap=True)
