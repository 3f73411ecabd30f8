"""What arms and the evaluation consumed."""

from __future__ import annotations

from bench.results.summary import RunSummary
from bench.results.wording import amount, duration

AXES = (
    ("flops", "training FLOPs"),
    ("trained_tokens", "trained tokens"),
    ("generated_tokens", "generated tokens"),
    ("read_tokens", "read tokens"),
    ("examples", "examples"),
    ("labels", "labels"),
    ("judgements", "judgements"),
    ("seconds", "seconds"),
)
TITLES = dict(AXES)
ELSEWHERE = "made elsewhere"


def mean_cost(summary: RunSummary, arm: str, axis: str) -> float | None:
    """Return what one arm consumed on one axis, shared stages in full, averaged over its finished seeds; else None."""
    costs = [summary.cost_of(arm, int(seed)).get(axis, 0.0) for seed in summary.arms[arm].runs]
    return sum(costs) / len(costs) if costs else None


def known_cost(summary: RunSummary, arm: str, axis: str) -> float | None:
    """Return the same, None for an arm that rests on what was made elsewhere: what that cost is not known."""
    return None if summary.arms[arm].brought else mean_cost(summary, arm, axis)


def arm_cost_text(summary: RunSummary, arm: str, axis: str, elsewhere: str = ELSEWHERE) -> str:
    """Return what an arm consumed; where it rests on what was made elsewhere this says so, beside what was spent here.

    ``elsewhere``: the words for it.
    """
    cost = mean_cost(summary, arm, axis)
    if not summary.arms[arm].brought:
        return cost_text(axis, cost)
    return f"{cost_text(axis, cost)} + {elsewhere}" if cost else elsewhere


def cost_by_kind(summary: RunSummary, arm: str, axis: str) -> dict[str, float]:
    """Return the same by kind of stage, in the order in which the stages stand in the summary; zeros left out."""
    facts = summary.arms[arm]
    total: dict[str, float] = {}
    for trained in facts.runs.values():
        for key in trained.stages:
            stage = summary.stages[key]
            total[stage.kind] = total.get(stage.kind, 0.0) + stage.cost.get(axis, 0.0) / len(facts.runs)
    return {kind: cost for kind, cost in total.items() if cost > 0}


def evaluation_costs(summary: RunSummary) -> dict[str, dict[str, float]]:
    """Return what the stages that no policy rests on consumed, summed by kind of stage and axis."""
    of_arms = {key for facts in summary.arms.values() for trained in facts.runs.values() for key in trained.stages}
    kinds: dict[str, dict[str, float]] = {}
    for key, stage in summary.stages.items():
        if key not in of_arms:
            total = kinds.setdefault(stage.kind, {})
            for axis, spent in stage.cost.items():
                total[axis] = total.get(axis, 0.0) + spent
    return kinds


def seconds_per_token(summary: RunSummary, arm: str) -> float | None:
    """Return the seconds that one generated token of an arm's answers took, loading the policy included.

    Over all seeds and tasks together; None where no answer was generated.
    """
    keys = [key for trained in summary.arms[arm].runs.values() for key in trained.answers]
    tokens = sum(summary.stages[key].cost.get("generated_tokens", 0.0) for key in keys)
    return sum(summary.stages[key].cost.get("seconds", 0.0) for key in keys) / tokens if tokens else None


def cost_text(axis: str, value: float | None) -> str:
    """Return a cost with its prefix, or as a time for seconds."""
    return duration(value) if axis == "seconds" else amount(value)
