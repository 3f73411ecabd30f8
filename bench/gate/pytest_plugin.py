"""A pytest plug-in: assert a criterion about a finished run inside a team's own test suite.

    def test_dpo_still_beats_sft(alignment_bench):
        run = alignment_bench("results/quickstart")
        run.assert_passes(metric="win_rate", method="dpo", versus="sft", superior_by=0.0)

pytest loads this file in every project where the program is installed, so it imports nothing of it before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.gate.assertions import FinishedRun


@pytest.fixture(scope="session")
def alignment_bench(pytestconfig: pytest.Config) -> Callable[..., FinishedRun]:
    """Return a function from a comparison (the folder or the file, from pytest's root) to its finished run."""
    opened: dict[Path, FinishedRun] = {}

    def open_run(path: str | Path) -> FinishedRun:
        from bench.gate.assertions import finished_run  # noqa: PLC0415 - see above

        place = pytestconfig.rootpath / path
        if place not in opened:
            opened[place] = finished_run(place)
        return opened[place]

    return open_run
