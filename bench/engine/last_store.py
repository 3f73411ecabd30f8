"""Where the stages lie that the last run of a comparison rests on."""

from __future__ import annotations

from pathlib import Path

from bench.config.comparison import Comparison
from bench.engine.store import Store, store_of
from bench.results.lock import LOCK


def store_of_last_run(comparison: Comparison, given: Path | None = None) -> Store:
    """Return the store, the ``given`` one where one is, or its portable part where the last run took that.

    Raises DataError for a damaged lock.
    """
    store, folder = store_of(comparison, given), Path(comparison.path).parent
    if not LOCK.path(folder).is_file():
        return store
    on = LOCK.read(folder).computed_on
    return store.portable if on is not None and on.kernels_from == "portable" else store
