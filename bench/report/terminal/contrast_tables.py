"""What the terminal shows at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.report.facts.costs import arm_cost_text
from bench.report.sentences import measured
from bench.report.terminal.clean import clean
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import RunSummary
from bench.results.wording import (
    NONE,
    decisive_p,
    describe_verdict,
    estimate,
    interval,
    p_value,
    skewed,
)

STYLES = {
    "a better": "bold blue", "b better": "bold dark_orange", "a higher": "bold", "b higher": "bold", "undecided": ""
}  # fmt: skip


def summary_table(contrasts: Sequence[Contrast], summary: RunSummary) -> RenderableType:
    """Return what the end of a run shows: the question, and a table per metric, judge and task.

    The primary ones come first. Each has one line per contrast; the cost is that of the first-named arm. Readable from
    80 columns on.
    """
    groups: dict[tuple[str, str | None, str], list[Contrast]] = {}
    for item in sorted(contrasts, key=lambda item: item.role == "secondary"):
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
    for name in ("estimate", "adj. interval", "adj. p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=10)
    for name in ("FLOPs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in contrasts:
        verdict = f"{describe_verdict(item)}, A/A control" if item.is_control else describe_verdict(item)
        verdict += ", own reward" if item.own_reward else ""
        table.add_row(
            Text(clean(f"{item.a} vs {item.b}")),
            estimate(item),
            interval(item),
            p_value(decisive_p(item), item.level),
            Text(clean(verdict), style=STYLES[item.verdict]),
            *_cost(summary, item.a),
        )
    if told := skewed(contrasts):
        table.caption = Text(clean("\n".join(told)))
        table.caption_justify = "left"
    return table


def _cost(summary: RunSummary, arm: str) -> tuple[str, str]:
    """Return an arm's mean cost per seed in FLOPs and time, dashes for an arm without a finished run."""
    if arm not in summary.arms:
        return NONE, NONE
    return arm_cost_text(summary, arm, "flops", "elsewhere"), arm_cost_text(summary, arm, "seconds", NONE)
