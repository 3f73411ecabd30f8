"""What a run left beside a comparison, checked to be of that comparison and whole."""

from __future__ import annotations

from pathlib import Path

from bench.config.comparison import Comparison
from bench.core.errors import DataError
from bench.results.summary import SUMMARY, RunSummary
from bench.results.wording import counted


def stored(comparison: Comparison) -> tuple[Path, RunSummary]:
    """Return the folder of a comparison that has been run, and its summary; raises DataError when it has not."""
    folder = Path(comparison.path).parent
    summary = SUMMARY.read(folder)
    arms = tuple(arm.name for arm in comparison.arms)
    if set(summary.arms) != set(arms) or summary.seeds != comparison.given.seeds:
        raise DataError(
            f"{SUMMARY.path(folder)}: the last run had methods {', '.join(summary.arms)} and seeds "
            f"{list(summary.seeds)}, the comparison file has {', '.join(arms)} and {list(comparison.given.seeds)}. "
            f"Run `bench run {folder}` again."
        )
    return folder, summary


def whole(comparison: Comparison, what: str) -> tuple[Path, RunSummary]:
    """Return the same for a run without missing cells; raises DataError otherwise. ``what`` needs all of them."""
    folder, summary = stored(comparison)
    refuse_missing(folder, summary, what)
    return folder, summary


def refuse_missing(folder: Path, summary: RunSummary, what: str) -> None:
    """Raise DataError for a run with missing cells. ``what`` needs all of them."""
    if summary.missing:
        raise DataError(
            f"{folder}: the last run is incomplete ({counted(len(summary.missing), 'cell')} missing, the first: "
            f"{summary.lacking()[0]}). {what} needs all of them. "
            f"Run `bench run {folder}` again."
        )
