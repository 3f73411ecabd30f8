"""A finished comparison to be damaged, and the program called within this process."""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from bench.cli.app import main
from bench.pipeline.lengths import NOTHING_KNOWN
from tests.once import STORE, run_whole

INTERRUPTED = 130
computed_at: list[Path] = []  # the suite puts its own here


@cache
def computed() -> Path:
    """Return the root of the comparison of ``tests.whole``, which has been run: to be copied."""
    if computed_at:
        return computed_at[0]
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    run_whole(root)
    return root


def finished(folder: Path) -> Path:
    """Return the folder of the finished comparison, copied into an empty folder that is its root."""
    shutil.copytree(computed(), folder, dirs_exist_ok=True, symlinks=True)
    return folder / "results" / "whole"


def store_of(whole: Path) -> Path:
    """Return the store of the comparison in a folder."""
    return whole.parents[1] / STORE


def said(*arguments: str | Path) -> tuple[int, str]:
    """Return the exit status of the program and all it printed; no report is written, and no lengths counted.

    Raises AssertionError where it printed a traceback or raised anything but its exit status.
    """
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.setattr("bench.pipeline.compare.write_report", lambda folder, _comparison: folder / "report.md")
        patch.setattr("bench.pipeline.lengths.planned_lengths", lambda *_: NOTHING_KNOWN)  # in a process of its own
        try:
            main([str(argument) for argument in arguments])
            status = 0
        except SystemExit as end:
            status = 0 if end.code is None else int(end.code)
    if status == INTERRUPTED:
        raise KeyboardInterrupt  # it was meant for the campaign
    text = printed.getvalue()
    assert "Traceback" not in text, text
    return status, " ".join(text.split())


def same_results(whole: Path) -> None:
    """Raise AssertionError where records or conclusions differ from those of the undisturbed comparison."""
    calm = computed() / "results" / "whole"
    for name in ("records.parquet", "contrasts.json"):
        assert (whole / name).read_bytes() == (calm / name).read_bytes(), name
