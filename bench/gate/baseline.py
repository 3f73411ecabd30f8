"""``bench baseline``: the last run's values, kept for later checks."""

from __future__ import annotations

from pathlib import Path

from bench.config.comparison import Comparison
from bench.core.errors import BenchError, DataError
from bench.gate.against_baseline import make_baseline
from bench.gate.finished_run import whole
from bench.results.baseline import BASELINE_FILE, Baseline
from bench.results.lock import LOCK
from bench.results.records import RECORDS


def keep_baseline(comparison: Comparison, reason: str, file: Path | None) -> tuple[Path, Baseline]:
    """Return where the baseline of the last run was written, and it; an earlier one there is replaced.

    Raises BenchError without a reason; DataError for a run that is incomplete or not of this comparison.
    """
    if not reason.strip():
        raise BenchError('a baseline needs a reason that a reviewer can judge: --reason "DPO with the new template"')
    folder, summary = whole(comparison, "A baseline")
    lock = LOCK.read(folder)
    records = RECORDS.read(folder)
    target = file or BASELINE_FILE.path(folder)
    baseline = make_baseline(comparison, summary, lock, records, " ".join(reason.split()))
    BASELINE_FILE.write_to(target, baseline)
    return target, baseline


def refuse_replacing(target: Path) -> None:
    """Raise BenchError where there is a baseline already, telling whose it is."""
    if not target.exists():
        return
    try:
        text = f'made because: "{BASELINE_FILE.read_from(target).reason}"'
    except DataError:
        text = "one that this version cannot read"
    raise BenchError(f"{target}: there is a baseline already, {text}. Add --replace to put the last run in its place.")
