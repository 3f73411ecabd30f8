"""The report's results, as blocks: the main table, gate, judging, cost, responses, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.gate.criteria import CriterionResult
from bench.gate.decide import overall
from bench.gate.sentences import sentence
from bench.report import sentences
from bench.report.figures.costs import AXES, mean_cost, seconds_per_token
from bench.report.figures.style import Picture
from bench.report.inputs import Inputs
from bench.report.page.blocks import Block, Bullets, Figure, Folded, Heading, Table, Text, Tone, Verdict, Verdicts
from bench.report.sections.response_counts import audit_arms
from bench.results.conclusions.contrast import Contrast
from bench.results.wording import (
    NONE,
    amount,
    counted,
    duration,
    estimate,
    interval,
    metric_words,
    number,
    p_value,
    per_run,
    percent,
    verdict_words,
)

ANSWER_FIGURES = ("forest", "win_rate_matrix", "seed_spread")
COST_COLUMNS = (("flops", "training FLOPs"), ("trained_tokens", "trained tokens"), ("seconds", "time"))


def shown(pictures: Mapping[str, Picture], *names: str) -> list[Block]:
    """Return the figures of those names that were drawn."""
    return [Figure(pictures[name]) for name in names if name in pictures]


def main_table(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the table of the primary contrasts: uncertainty first, then estimate, test, seeds and cost; their picture.

    Task and judge are columns where they differ or a judge is an arm's own reward; else the sentences above said them.
    """
    seeds = ", ".join(str(seed) for seed in inputs.summary.seeds)
    costs = tuple(title for _, title in COST_COLUMNS)
    own = any(item.own_reward for item in inputs.primary)
    where = own or not sentences.told_once(inputs.primary, ()).once
    first = ("method", "versus", *(("task", "judge") if where else ()), "interval", "estimate", "adjusted p", "verdict")
    columns = (*first, f"per seed ({seeds})", *costs)
    rows = tuple(
        (
            item.a,
            item.b,
            *((item.task, sentences.judge(item)) if where else ()),
            *_numbers(item),
            per_run(item),
            *_costs(inputs, item.a),
        )  # fmt: skip
        for item in inputs.primary
    )
    if not rows:
        return []
    words = metric_words(inputs.primary[0].metric)
    level = percent(inputs.comparison.statistics.level)
    note = (
        f"Intervals are at the {level} level. The cost is that of the method in the first column, per training seed, "
        "with the stages it shares with other arms counted in full."
    )
    if any(item.own_reward for item in inputs.conclusions.contrasts):
        note += f" {sentences.OWN_REWARD}"
    align = ("llll" if where else "ll") + "rrrl" + "r" * (1 + len(costs))
    table = Table(columns, align, rows)
    return [Heading(2, words.capitalize()), table, Text(note), *shown(pictures, *ANSWER_FIGURES)]


def _numbers(contrast: Contrast) -> tuple[str, str, str, str]:
    """Return interval, estimate, adjusted p and verdict; an unadjusted p-value is marked as such."""
    if contrast.p_adjusted is None and contrast.p is not None:
        p = f"{p_value(contrast.p, contrast.level)} (not adjusted)"
    else:
        p = p_value(contrast.p_adjusted, contrast.level)
    said = f"{verdict_words(contrast)} (A/A control)" if contrast.is_control else verdict_words(contrast)
    return interval(contrast), estimate(contrast), p, said


def _costs(inputs: Inputs, arm: str) -> tuple[str, ...]:
    """Return an arm's mean cost in the table's cost columns, dashes for an arm that has no finished run."""
    if arm not in inputs.summary.arms:
        return (NONE,) * len(COST_COLUMNS)
    return tuple(cost_text(axis, mean_cost(inputs.summary, arm, axis)) for axis, _ in COST_COLUMNS)


def cost_text(axis: str, value: float | None) -> str:
    """Return a cost with its prefix, or as a time for seconds."""
    return duration(value) if axis == "seconds" else amount(value)


def speed(seconds: float | None) -> str:
    """Return the time of one token in milliseconds with three significant digits, or a dash."""
    return NONE if seconds is None else f"{1000 * seconds:.3g} ms"


def gate_section(inputs: Inputs, results: Sequence[CriterionResult]) -> list[Block]:
    """Return the gate's verdict and each criterion's, nothing for a comparison without a gate.

    A run that lacks cells is not held against its gate: what is left could pass by what is missing.
    """
    if inputs.comparison.gate and inputs.summary.missing:
        told = f"Not checked: {counted(len(inputs.summary.missing), 'cell')} of the run are missing (see below)."
        return [Heading(2, "Gate"), Text(told)]
    later = [criterion for criterion in inputs.comparison.gate if criterion.against_baseline]
    told = f"{counted(len(later), 'criterion', 'criteria')} against an earlier run are checked by bench check."
    further = [Text(told)] if later else []
    if not results:
        return [Heading(2, "Gate"), *further] if later else []
    tones: dict[str, Tone] = {"pass": "control", "regression": "alarm", "undecided": "undecided"}
    words = {
        "pass": "The gate passes: every criterion, declared before the run, is met.",
        "regression": "The gate fails: at least one criterion found a regression.",
        "undecided": "The gate is undecided: no regression was found, and not every criterion is met.",
    }
    lines = tuple(Verdict(item.name, sentence(item), tones[item.verdict]) for item in results)
    return [Heading(2, "Gate"), Text(words[overall(results)]), Verdicts(lines), *further]


def cost_section(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return what every arm consumed, what the evaluation consumed, and the cost pictures."""
    summary = inputs.summary
    arms = [(arm, {axis: mean_cost(summary, arm, axis) for axis, _ in AXES}) for arm in summary.arms]
    arm_keys = {key for facts in summary.arms.values() for run in facts.runs.values() for key in run.stages}
    kinds: dict[str, dict[str, float]] = {}
    for key, stage in summary.stages.items():
        if key not in arm_keys:
            total = kinds.setdefault(stage.kind, {})
            for axis, spent in stage.cost.items():
                total[axis] = total.get(axis, 0.0) + spent
    used = [
        axis for axis, _ in AXES if any(costs[axis] for _, costs in arms) or any(k.get(axis) for k in kinds.values())
    ]
    if not used:
        return []
    rows = [
        (arm, *(cost_text(axis, costs[axis]) for axis in used), speed(seconds_per_token(summary, arm)))
        for arm, costs in arms
    ]
    rows += [
        (f"evaluation: {kind}", *(cost_text(axis, kinds[kind].get(axis)) for axis in used), NONE) for kind in kinds
    ]
    titles = {axis: "time" if axis == "seconds" else title for axis, title in AXES}
    note = (
        "Each arm's cost is per training seed and counts every stage its policy rests on in full, shared or not. "
        "Evaluation is the sum over all arms and seeds. FLOPs are model FLOPs, counted from parameters and tokens. "
        "The time per answer token is what writing the scored answers took, loading the policy included."
    )
    columns = ("arm", *(titles[axis] for axis in used), "time per answer token")
    table = Table(columns, "l" + "r" * (len(used) + 1), tuple(rows))
    return [Heading(2, "Cost"), table, Text(note), *shown(pictures, "cost", "quality_and_cost")]


def responses_section(inputs: Inputs, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return how each arm's responses look, with their lengths."""
    lines = audit_arms(inputs.records, list(inputs.summary.arms))
    blocks: list[Block] = []
    if lines:
        rows = tuple(
            (
                line.arm,
                f"{line.responses:,}",
                number(line.mean_tokens, 1),
                percent(line.ended),
                ", ".join(f"{count:,} {status}" for status, count in line.unscored.items()) or "0",
            )  # fmt: skip
            for line in lines
        )
        columns = ("arm", "responses", "mean tokens", "ended by itself", "values not there")
        blocks += [Heading(2, "Responses"), Table(columns, "lrrrr", rows), *shown(pictures, "response_length")]
    return blocks


def missing_section(inputs: Inputs) -> list[Block]:
    """Return the cells of the crossing that have no rows, and why; then the contrasts that lack single values."""
    blocks: list[Block] = [Heading(2, "What is missing")]
    cells = inputs.summary.lacking()
    values = [
        f"{item.a} against {item.b} on {sentences.measured(item)}: {counted(item.n_missing, 'value')} missing"
        for item in inputs.conclusions.contrasts
        if item.n_missing
    ]
    if not cells:
        blocks.append(Text("No cell: every arm, seed and task has its rows."))
    if cells:
        blocks.append(Bullets(tuple(cells)))
    if values:
        told = (
            f"{counted(len(values), 'contrast')} {'lacks' if len(values) == 1 else 'lack'} single values: those that a "
            "judge did not give, or that are not defined for a response"
        )
        blocks.append(Folded(told, (Bullets(tuple(values)),)))
    return blocks
