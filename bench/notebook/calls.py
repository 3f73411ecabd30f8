"""Commands as functions: run a comparison, score outputs, name plug-ins."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.cli.options import Printed
from bench.cli.run import EngineChoice, computed
from bench.cli.score import asked_scores
from bench.config.load import load_comparison
from bench.core.errors import BenchError
from bench.core.plugins import EXTRACTOR, JUDGE, METHOD, RETRIEVER, TASK, VERIFIER, WORLD, Kind, listing
from bench.engine.store import store_of
from bench.notebook.results import Overrides, Results, as_options, results_of
from bench.pipeline.standing import standing_of
from bench.scoring.score import FilesToScore
from bench.scoring.score import score as scored

if TYPE_CHECKING:
    import pandas as pd

    from bench.scoring.annotation_rows import PreferenceScale

KINDS: tuple[Kind[Any], ...] = (METHOD, TASK, WORLD, JUDGE, EXTRACTOR, RETRIEVER, VERIFIER)


def run(
    path: str | PathLike[str],
    overrides: Overrides = (),
    *,
    workers: int | None = None,
    store: str | PathLike[str] | None = None,
) -> Results:
    """Return the results of a comparison after running what of it is not in the store, as ``bench run`` does.

    ``overrides``: what ``--set`` says, as a mapping (``{"given.seeds": [0]}``) or a list. ``workers``: processes, one
    per core by default. Progress is printed to standard error. Stages that fail are in ``Results.told``. Raises
    BenchError for a comparison that cannot be run.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - of this call only

    options = as_options(overrides)
    comparison = load_comparison(Path(path), overrides=options)
    where = store_of(comparison, None if store is None else Path(store))
    # As in every command: with two threads a sum has other last digits, and conclusions are the same on any machine.
    with threadpool_limits(1, user_api="blas"):
        computed(comparison, where, EngineChoice("processes", workers), Printed(stderr=True))
    return results_of(standing_of(Path(path), options))


def score(  # noqa: PLR0913 - one parameter per option of the command
    outputs: Sequence[str | PathLike[str]] = (),
    reference: str | PathLike[str] | None = None,
    annotations: Sequence[str | PathLike[str]] = (),
    *,
    difficulty: str | None = None,
    calibration: str | PathLike[str] | None = None,
    preference_scale: PreferenceScale | None = None,
    judges: Literal["apart", "together"] = "apart",
    judge: Sequence[str | Mapping[str, Any]] = (),
    store: str | PathLike[str] | None = None,
) -> pd.DataFrame:
    """Return a row per method, and per judge: scores of outputs made elsewhere, as ``bench score --json`` has them.

    The parameters are the options of ``bench score`` (docs/score.md). ``judge``: who judges outputs without verdicts,
    each a name, a mapping of settings with ``judge``, or a ``.yaml`` file with one; verdicts are kept in ``store``, and
    progress is printed to standard error. Raises DataError for files that cannot be used or do not belong together,
    BenchError for a judge that cannot be asked.
    """
    import pandas as pd  # noqa: PLC0415 - heavy

    if any(isinstance(one, str | PathLike | Mapping) for one in (outputs, annotations, judge)):
        raise BenchError("outputs, annotations and judge are lists, also of one: judge=['longer_wins'].")
    files = FilesToScore(
        outputs=[Path(one) for one in outputs],
        reference=None if reference is None else os.fspath(reference),
        annotations=[Path(one) for one in annotations],
        difficulty=difficulty,
        calibration=None if calibration is None else Path(calibration),
        preference_scale=preference_scale,
        judges=judges,
    )
    if judge:
        asked = [json.dumps(dict(one)) if isinstance(one, Mapping) else os.fspath(one) for one in judge]
        found = asked_scores(asked, files, None if store is None else Path(store))
    else:
        found = scored(files)
    return pd.DataFrame([one.as_data() for one in found])


def plugins() -> dict[str, list[str]]:
    """Return the names of everything that a comparison can name, by kind: methods, tasks, worlds, judges, checkers."""
    return {kind.word: sorted(listing(kind)) for kind in KINDS}
