"""Whether ``contrasts.json`` is what the comparison as it is now concludes from the rows."""

from __future__ import annotations

from dataclasses import replace

from bench.pipeline.conclude import concluded_from
from bench.pipeline.standing import Standing
from bench.pipeline.verify import leaves_differ
from bench.results.conclusions.all import CONCLUSIONS
from bench.results.records import RECORDS
from bench.statistics.contrasts.contrasts import compute_contrasts


def with_conclusions(standing: Standing) -> Standing:
    """Return the standing of a run with its conclusions: stale too where the comparison concludes something else.

    A comparison that was not edited is not concluded from again: its contrasts are those of the run.
    """
    if not (standing.edited and standing.concludes):
        return standing
    summary = standing.summary
    whole, records, metrics = concluded_from(standing.comparison, summary, RECORDS.read(standing.folder))
    now = [item.model_dump() for item in compute_contrasts(records, whole, metrics, summary.own_rewards)]
    then = [item.model_dump() for item in CONCLUSIONS.read(standing.folder).contrasts]
    first = next(leaves_differ(as_lists(then), as_lists(now), "contrasts"), None)
    if first is None:
        return standing
    line = f"{CONCLUSIONS.name} was concluded otherwise ({first}); bench report {standing.folder} makes it again"
    return replace(standing, stale=(*standing.stale, line))


def as_lists(value: object) -> object:
    """Return a value with its tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {name: as_lists(item) for name, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list | tuple) else value
