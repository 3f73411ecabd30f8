"""What the terminal shows: the table at the end of a run, and one prompt side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bench.core.contrast import Contrast
from bench.core.summary import RunSummary
from bench.core.wording import (
    NONE,
    amount,
    decisive_p,
    duration,
    estimate,
    interval,
    metric_words,
    number,
    p_value,
    value_text,
    verdict_words,
)
from bench.plots.costs import mean_cost
from bench.report.sentences import measured

STYLES = {"a better": "bold blue", "b better": "bold dark_orange", "undecided": ""}
NARROWEST = 36


@dataclass(frozen=True)
class Response:
    """One arm's answer to the prompt at one training seed and draw, with the values of its own metrics."""

    arm: str
    run: int
    draw: int
    text: str
    finish: str
    scores: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class Ballot:
    """One judge's verdict on the prompt: its preference for ``method`` over ``versus``, or why there is none."""

    judge: str
    method: str
    versus: str
    run: int
    draw: int
    order: str
    value: float | None
    status: str


@dataclass(frozen=True)
class PromptView:
    """Everything recorded about one prompt of one task."""

    task: str
    prompt: str
    text: str
    responses: tuple[Response, ...]
    verdicts: tuple[Ballot, ...]


def summary_table(contrasts: Sequence[Contrast], summary: RunSummary) -> RenderableType:
    """Return what the end of a run shows: the question, and a table per metric, judge and task.

    Each has one line per contrast; the cost is that of the first-named arm. Readable from 80 columns on.
    """
    groups: dict[tuple[str, str | None, str], list[Contrast]] = {}
    for item in contrasts:
        groups.setdefault((item.metric, item.judge, item.task), []).append(item)
    titles = [measured(items[0].model_copy(update={"own_reward": ()})) for items in groups.values()]
    tables = [_table(title, items, summary) for title, items in zip(titles, groups.values(), strict=True)]
    return Group(Text(clean(summary.question), style="italic"), *tables)


def _table(title: str, contrasts: Sequence[Contrast], summary: RunSummary) -> Table:
    """Return the table of contrasts that measure the same."""
    table = Table(
        box=box.SIMPLE_HEAD, title=Text(clean(title), style="bold"), title_justify="left", padding=(0, 1, 0, 0)
    )
    table.add_column("contrast", min_width=12)
    for name in ("estimate", "interval", "adj. p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=10)
    for name in ("FLOPs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in contrasts:
        said = f"{verdict_words(item)}, A/A control" if item.is_control else verdict_words(item)
        said += ", own reward" if item.own_reward else ""
        table.add_row(
            Text(clean(f"{item.a} vs {item.b}")),
            estimate(item),
            interval(item),
            p_value(decisive_p(item), item.level),
            Text(clean(said), style=STYLES[item.verdict]),
            *_cost(summary, item.a),
        )
    return table


def _cost(summary: RunSummary, arm: str) -> tuple[str, str]:
    """Return an arm's mean cost per seed in FLOPs and time, dashes for an arm without a finished run."""
    if arm not in summary.arms:
        return NONE, NONE
    return amount(mean_cost(summary, arm, "flops")), duration(mean_cost(summary, arm, "seconds"))


def prompt_view(
    prompt: tuple[str, str, str], completions: Iterable[Mapping[str, Any]], records: pa.Table
) -> PromptView:
    """Return what is known of one prompt, given as (task, prompt id, text).

    ``completions`` are rows with ``method``, ``run``, ``draw``, ``text`` and ``finish``, for this prompt alone; scores
    and verdicts come from the records.
    """
    task, name, text = prompt
    rows = records.filter(pc.and_(pc.equal(records["task"], task), pc.equal(records["prompt"], name))).to_pylist()
    responses = tuple(
        Response(
            arm=row["method"],
            run=row["run"],
            draw=row["draw"],
            text=row["text"],
            finish=row["finish"],
            scores=tuple(
                (score["metric"], score["value"])
                for score in rows
                if score["versus"] is None
                and (score["method"], score["run"], score["draw"]) == (row["method"], row["run"], row["draw"])
            ),
        )  # fmt: skip
        for row in completions
    )
    verdicts = tuple(
        Ballot(
            judge=row["source"],
            method=row["method"],
            versus=row["versus"],
            run=row["run"],
            draw=row["draw"],
            order=row["order"] or NONE,
            value=row["value"],
            status=row["status"],
        )  # fmt: skip
        for row in rows
        if row["versus"] is not None
    )
    return PromptView(task, name, text, responses, verdicts)


def show_prompt(view: PromptView, width: int) -> RenderableType:
    """Return one prompt: its text, the arms' answers side by side per seed and draw, then the judges' verdicts.

    ``width`` is the terminal's; answers stand below each other where a column would be narrower than 36 characters.
    """
    parts: list[RenderableType] = [
        Panel(Text(clean(view.text)), title=Text(clean(f"{view.task}: {view.prompt}")), title_align="left")
    ]
    for run, draw in sorted({(response.run, response.draw) for response in view.responses}):
        answers = [response for response in view.responses if (response.run, response.draw) == (run, draw)]
        across = max(1, min(len(answers), width // NARROWEST))
        grid = Table.grid(expand=True)
        for _ in range(across):
            grid.add_column(ratio=1)
        for start in range(0, len(answers), across):
            grid.add_row(*(_answer(response) for response in answers[start : start + across]))
        parts += [Text(f"seed {run}, draw {draw}", style="bold"), grid]
    parts.append(_verdict_table(view))
    return Group(*parts)


def _answer(response: Response) -> Panel:
    """Return one answer in a frame, its scores below it."""
    text = Text(clean(response.text) or "(empty)", style="" if response.text.strip() else "dim")
    if response.finish != "end":
        text.append(f" [cut off: {response.finish}]", style="dim")
    scores = ", ".join(f"{metric_words(name)} {value_text(value)}" for name, value in response.scores)
    if scores:
        text.append(f"\n\n{clean(scores)}", style="dim")
    return Panel(text, title=Text(clean(response.arm), style="bold"), title_align="left", padding=(0, 1))


def _verdict_table(view: PromptView) -> RenderableType:
    """Return the judges' verdicts, one line per judge, pair, seed and draw, both orders beside each other."""
    if not view.verdicts:
        return Text("no judge compared answers to this prompt", style="dim")
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("judge", "pair", "seed", "draw", "shown first", "shown second", "says"):
        table.add_column(title)
    cells: dict[tuple[str, str, str, int, int], list[Ballot]] = {}
    for item in view.verdicts:
        cells.setdefault((item.judge, item.method, item.versus, item.run, item.draw), []).append(item)
    for (judge, method, versus, run, draw), items in sorted(cells.items()):
        by_order = {item.order: item for item in items}
        values = [item.value for item in items if item.value is not None]
        table.add_row(
            Text(clean(judge)),
            Text(clean(f"{method} vs {versus}")),
            str(run),
            str(draw),
            _preference(by_order.get("first")),
            _preference(by_order.get("second")),
            Text(clean(_winner(method, versus, values))),
        )
    return table


def _preference(item: Ballot | None) -> str:
    """Return the preference for the first-named method in one order, or why there is none."""
    if item is None:
        return NONE
    return item.status if item.value is None else number(item.value, 2)


def _winner(method: str, versus: str, values: Sequence[float]) -> str:
    """Return whom the mean of the orders prefers."""
    if not values:
        return "no usable verdict"
    mean = sum(values) / len(values)
    if mean == 0.5:
        return "tie"
    return method if mean > 0.5 else versus


def clean(text: str) -> str:
    """Return the text without control characters, so that a completion cannot steer the terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
