"""What every arm and the evaluation consumed."""

from __future__ import annotations

from bench.report.facts.costs import AXES, arm_cost_text, cost_text, evaluation_costs, mean_cost, seconds_per_token
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Pictures, Table, Text, drawn
from bench.results.wording import NONE


def cost_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return what every arm consumed, what the evaluation consumed, and the cost pictures."""
    summary = inputs.summary
    arms = [(arm, {axis: mean_cost(summary, arm, axis) for axis, _ in AXES}) for arm in summary.arms]
    kinds = evaluation_costs(summary)
    used = [
        axis for axis, _ in AXES if any(costs[axis] for _, costs in arms) or any(k.get(axis) for k in kinds.values())
    ]
    if not used:
        return []
    rows = [
        (arm, *(arm_cost_text(summary, arm, axis) for axis in used), _speed(seconds_per_token(summary, arm)))
        for arm, _ in arms
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
    if any(facts.brought for facts in summary.arms.values()):
        note += " What was made elsewhere has a cost that is not known here, and is in no picture of costs."
    columns = ("arm", *(titles[axis] for axis in used), "time per answer token")
    table = Table(columns, "l" + "r" * (len(used) + 1), tuple(rows))
    return [Heading(2, "Cost"), table, Text(note), *drawn(pictures, "cost", "quality_and_cost")]


def _speed(seconds: float | None) -> str:
    """Return the time of one token in milliseconds with three significant digits, or a dash."""
    return NONE if seconds is None else f"{1000 * seconds:.3g} ms"
