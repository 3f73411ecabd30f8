"""Which prompts a reader asks for, and how the terminal shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group, RenderableType

from bench.config.comparison import Comparison
from bench.core.errors import BenchError, DataError
from bench.report.samples.prompt_view import PromptView, Tables, prompt_views
from bench.report.terminal.prompt import list_prompts, show_prompt
from bench.results.claims import CLAIMS
from bench.results.records import RECORDS
from bench.results.responses import RESPONSES, VERDICTS, last_turn, without_responses


@dataclass(frozen=True)
class Wanted:
    """Which prompts: one by its id or all with a text, of one kind, only those on which methods disagree.

    ``seed``: the training seed, the first of the comparison by default. ``methods``: only these, all where empty.
    """

    prompt: str | None = None
    seed: int | None = None
    kind: str | None = None
    disagree: bool = False
    methods: tuple[str, ...] = ()


def show(folder: Path, comparison: Comparison, wanted: Wanted, width: int) -> RenderableType:
    """Return the one prompt that is wanted with everything known of it, or the list of several.

    Raises BenchError for a seed, kind, method or prompt that is not there, DataError for a run without responses.
    """
    seed = comparison.given.seeds[0] if wanted.seed is None else wanted.seed
    tables = _tables(folder, comparison, seed, wanted.methods)
    kinds = sorted(set(tables.responses["kind"].to_pylist()))
    if wanted.kind is not None and wanted.kind not in kinds:
        raise BenchError(f"there is no kind {wanted.kind!r}; the prompts are of {', '.join(kinds)}")
    found = _found(tables.responses, wanted)
    views = prompt_views(found, tables)
    if wanted.disagree:
        views = [view for view in views if view.disagree()]
    if not views:
        raise BenchError(_nothing(wanted))
    if len(views) > 1 and any(view.prompt != wanted.prompt for view in views):
        return list_prompts(views)
    return Group(*(show_prompt(view, width, _reference(comparison, view)) for view in views))


def _tables(folder: Path, comparison: Comparison, seed: int, methods: tuple[str, ...]) -> Tables:
    """Return the tables of one training seed and those methods."""
    if seed not in comparison.given.seeds:
        raise BenchError(f"there is no run {seed}; the comparison has {list(comparison.given.seeds)}")
    arms = [arm.name for arm in comparison.arms]
    unknown = sorted(set(methods) - set(arms))
    if unknown:
        raise BenchError(f"there is no method {', '.join(unknown)}; the comparison has {', '.join(arms)}")
    responses, verdicts = RESPONSES.find(folder), VERDICTS.find(folder)
    if responses is None or verdicts is None:
        raise DataError(without_responses(folder))
    kept = methods or tuple(arms)

    def of(table: pa.Table) -> pa.Table:
        rows = table.filter(pc.and_(pc.equal(table["run"], seed), _is_one_of(table["method"], kept)))
        return rows.filter(_is_one_of(rows["versus"], kept)) if table is verdicts else rows

    tables = Tables(responses, RECORDS.read(folder), verdicts, CLAIMS.read(folder))
    return replace(
        tables, responses=of(responses), records=of(tables.records), verdicts=of(verdicts), claims=of(tables.claims)
    )


def _is_one_of(column: pa.ChunkedArray, names: tuple[str, ...]) -> pa.ChunkedArray:
    """Return where a column holds one of the names; without ``pa.array``, which loads pandas for a list."""
    return reduce(pc.or_, (pc.equal(column, name) for name in names))


def _found(responses: pa.Table, wanted: Wanted) -> list[tuple[str, str]]:
    """Return (task, id) of the prompts with that id; without one of those with that text in them, of that kind."""
    rows = responses.select(["task", "prompt", "kind", "chat"]).to_pylist()
    prompts = {(row["task"], row["prompt"]): row for row in rows if wanted.kind in (None, row["kind"])}
    named = [place for place in prompts if place[1] == wanted.prompt]
    if named or wanted.prompt is None:
        return named or list(prompts)
    text = wanted.prompt.lower()
    return [place for place, row in prompts.items() if text in last_turn(row["chat"]).lower()]


def _nothing(wanted: Wanted) -> str:
    """Return why there is no prompt to show."""
    reason = "no prompt" if wanted.prompt is None else f"no prompt has the id {wanted.prompt!r} or this text in it"
    reason += f", is of kind {wanted.kind}" if wanted.kind else ""
    return reason + (", on which methods disagree" if wanted.disagree else "")


def _reference(comparison: Comparison, view: PromptView) -> str:
    """Return the method whose answer the others are compared with: what contrasts compare with, or the first."""
    there = [response.method for response in view.responses]
    return next((b for _, b in comparison.evaluation.contrasts if b in there), there[0])
