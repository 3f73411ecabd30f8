"""``bench report``: conclusions and report of a finished run, made again from its rows."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import BenchError
from bench.gate.decide import evidence_between
from bench.pipeline.conclude import conclude
from bench.pipeline.standing import Standing
from bench.report.page.markdown import write_report
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.records import RECORDS

KEPT = "contrasts.json is as the run left it: it was not concluded from the comparison as it is now"
NO_GATE = "the gate is not checked: a criterion of it names what was not run"


def report_again(standing: Standing, folder: Path, told: tuple[str, ...]) -> Path:
    """Return the path of ``report.md`` after writing conclusions, report and pictures of a run into a folder.

    The run's rows lie there already. ``told`` stands at the top of the report. Where the rows cannot be concluded from
    as they were, the conclusions that lie there are shown; the report says so.
    """
    comparison = standing.comparison
    if standing.concludes:
        conclude(comparison, standing.summary, RECORDS.read(folder), folder)
    elif told:
        told = (*told, KEPT)
    if standing.stale:
        try:
            evidence_between(comparison, CONCLUSIONS.read(folder).contrasts)
        except BenchError:
            comparison, told = comparison.model_copy(update={"gate": ()}), (*told, NO_GATE)
    return write_report(folder, comparison, told)
