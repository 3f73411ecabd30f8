"""The primary contrasts as a table, with their pictures."""

from __future__ import annotations

from bench.report import sentences
from bench.report.facts.costs import arm_cost_text
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Pictures, Table, Text, drawn
from bench.results.conclusions.contrast import Contrast
from bench.results.summary import RunSummary
from bench.results.wording import NONE, describe_metric, estimate, interval, per_seed, percent

FIGURES = ("forest", "win_rate_matrix", "seed_spread")
COST_COLUMNS = (("flops", "training FLOPs"), ("trained_tokens", "trained tokens"), ("seconds", "time"))


def results_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the table of the primary contrasts: uncertainty first, then estimate, test, seeds and cost; their picture.

    Task and judge are columns where they differ or a judge is an arm's own reward; else they stand above.
    """
    seeds = ", ".join(str(seed) for seed in inputs.summary.seeds)
    costs = tuple(title for _, title in COST_COLUMNS)
    own = any(item.own_reward for item in inputs.primary)
    where = own or not sentences.context_of(inputs.primary, ()).shared
    first = (
        "method",
        "versus",
        *(("task", "judge") if where else ()),
        "adjusted interval",
        "estimate",
        "adjusted p",
        "verdict",
    )
    columns = (*first, f"per seed ({seeds})", *costs)
    rows = tuple(
        (
            item.a,
            item.b,
            *((item.task, sentences.judge(item)) if where else ()),
            *_numbers(item),
            per_seed(item),
            *_costs(inputs.summary, item.a),
        )  # fmt: skip
        for item in inputs.primary
    )
    if not rows:
        return []
    words = describe_metric(inputs.primary[0].metric)
    level = percent(inputs.comparison.statistics.level)
    note = (
        f"Intervals are adjusted within their family as p is, so at the {level} level they exclude no difference "
        "exactly where a contrast is decided (contrasts.json has the single ones too, as low and high). The cost is "
        "that of the method in the first column, per training seed, "
        "with the stages it shares with other arms counted in full."
    )
    if any(item.own_reward for item in inputs.conclusions.contrasts):
        note += f" {sentences.OWN_REWARD}"
    align = ("llll" if where else "ll") + "rrrl" + "r" * (1 + len(costs))
    table = Table(columns, align, rows)
    return [Heading(2, words.capitalize()), table, Text(note), *drawn(pictures, *FIGURES)]


def _numbers(contrast: Contrast) -> tuple[str, str, str, str]:
    """Return interval, estimate, p-value and verdict."""
    return interval(contrast), estimate(contrast), sentences.p_cell(contrast), sentences.verdict_cell(contrast)


def _costs(summary: RunSummary, arm: str) -> tuple[str, ...]:
    """Return an arm's mean cost in the table's cost columns, dashes for an arm that has no finished run."""
    if arm not in summary.arms:
        return (NONE,) * len(COST_COLUMNS)
    return tuple(arm_cost_text(summary, arm, axis) for axis, _ in COST_COLUMNS)
