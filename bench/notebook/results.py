"""A comparison's results as DataFrames."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config.document.merged import comparison_file
from bench.core.errors import BenchError, did_you_mean
from bench.pipeline.concluded import with_conclusions
from bench.pipeline.standing import Standing, standing_of
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.conclusions.contrast import Contrast, shown_interval
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS
from bench.results.tables import TableFile
from bench.results.writing import wait_for_writers

if TYPE_CHECKING:
    import pandas as pd

Overrides = Mapping[str, Any] | Sequence[str]


@dataclass(frozen=True)
class Results:
    """What a run left beside its comparison file.

    ``records``: a row per task, prompt, method, training seed, draw, metric (verdicts: and order); ``responses``: every
    response with its prompt; ``verdicts``: every verdict with the judge's words; their columns are those of
    docs/results.md. ``contrasts``: a row per pair of methods, metric and judge, with every field of contrasts.json;
    ``interval`` is the pair (low, high) that agrees with ``verdict``, corrected for the other contrasts of its family;
    None where there is none. ``told``: a line for whatever is stale, missing, or not here.
    """

    name: str
    question: str
    folder: Path
    records: pd.DataFrame
    responses: pd.DataFrame
    verdicts: pd.DataFrame
    contrasts: pd.DataFrame
    told: tuple[str, ...]

    @property
    def report(self) -> Path:
        """The one-page report of the run."""
        return self.folder / "report.html"

    def contrast(self, a: str, b: str, metric: str = "win_rate", **where: str) -> pd.Series:
        """Return the one contrast of ``a`` against ``b``; ``where`` says ``task`` or ``judge`` if there are several.

        It has ``.verdict``, ``.interval``, ``.estimate``, ``.p_adjusted`` and every other field. A contrast is there in
        one order of the two only: its estimate is of its ``a`` against its ``b``. Raises BenchError where there is none
        or more than one, with what there is.
        """
        table = self.contrasts
        pair = ((table["a"] == a) & (table["b"] == b)) | ((table["a"] == b) & (table["b"] == a))
        found = table[pair & (table["metric"] == metric)]
        for column, value in where.items():
            if column not in table.columns:
                raise BenchError(f"contrasts have no column '{column}'. {did_you_mean(column, table.columns)}")
            found = found[found[column] == value]
        if len(found) == 1:
            return found.iloc[0]
        there = found if len(found) else table
        kinds = {f"{row.a} - {row.b}, {row.metric}, {row.task}, {row.judge}" for row in there.itertuples()}
        raise BenchError(
            f"{len(found)} contrasts of '{a}' and '{b}' on {metric} in {self.folder}: give task= or judge= as well, or "
            f"choose from Results.contrasts. There are: {'; '.join(sorted(kinds)[:10])}"
        )


def load(path: str | PathLike[str], overrides: Overrides = ()) -> Results:
    """Return the results of the last run of a comparison: a folder of ``results/``, or its comparison file.

    Nothing is computed and no code of the comparison is executed; neither its model nor its data need be here. What is
    stale or missing is in ``Results.told``, and is a warning. Raises BenchError where there is no run, or one whose
    files are not what it wrote.
    """
    place = Path(path)
    wait_for_writers(comparison_file(place).parent, tell)
    return results_of(with_conclusions(standing_of(place, as_options(overrides))))


def results_of(standing: Standing) -> Results:
    """Return the results of a run; a line that its reader must know is a warning."""
    folder = standing.folder
    told = (*standing.lines, *(f"missing: {line}" for line in standing.summary.lacking()))
    for line in told:
        warnings.warn(line, stacklevel=3)
    return Results(
        name=standing.summary.name,
        question=standing.summary.question,
        folder=folder,
        records=_frame(RECORDS, folder),
        responses=_frame(RESPONSES, folder),
        verdicts=_frame(VERDICTS, folder),
        contrasts=_contrasts(CONCLUSIONS.read(folder).contrasts),
        told=told,
    )


def as_options(overrides: Overrides) -> list[str]:
    """Return overrides as ``--set`` takes them: ``{"given.seeds": [0]}`` is ``given.seeds=[0]``."""
    if isinstance(overrides, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    if isinstance(overrides, str):
        raise BenchError(f"overrides must be a mapping or a list, not the text '{overrides}': write [{overrides!r}]")
    return list(overrides)


def tell(line: str) -> None:
    """Print a line beside what a program prints."""
    sys.stderr.write(f"{line}\n")


def _frame(file: TableFile, folder: Path) -> pd.DataFrame:
    return file.read(folder).to_pandas()


def _contrasts(contrasts: Iterable[Contrast]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - heavy

    rows = [{**one.model_dump(), "interval": shown_interval(one)} for one in contrasts]
    columns = ["a", "b", "task", "metric", "judge", "verdict", "estimate", "interval"]
    further = [name for name in Contrast.model_fields if name not in columns]
    return pd.DataFrame(rows, columns=[*columns, *further])
