"""What a criterion claims, the contrasts that answer it, and the result it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.config.comparison import Criterion
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import Frozen
from bench.results.conclusions.contrast import Contrast, VerdictOnPair
from bench.results.wording import describe_metric

CriterionVerdict = Literal["pass", "regression", "undecided"]
MarginClaim = Literal["superior_by", "not_worse_by", "equivalent_within"]
# The verdict on a pair that is turned round.
TURNED: dict[VerdictOnPair, VerdictOnPair] = {
    "a better": "b better", "b better": "a better", "a higher": "b higher", "b higher": "a higher",
    "undecided": "undecided",
}  # fmt: skip


class DataNeeded(Frozen):
    """How much data would let an undecided criterion pass with POWER, if the advantage seen were the true one.

    ``prompts`` at the seeds there are, ``seeds`` at the prompts there are; None where no number of these alone is
    enough. ``distance``: how far the advantage lies on the passing side of its margin; not above 0 means that more
    data with this advantage would not pass either.
    """

    distance: float
    prompts: int | None
    seeds: int | None


class CriterionResult(Frozen):
    """What one criterion concludes from one contrast.

    ``advantage`` is the estimate turned so that positive means that the criterion's method is better (for a metric
    without a better side: higher). ``lower`` and ``upper`` are its one-sided bounds, each at ``level``, uncorrected;
    None where the contrast allows no test, with the reason in ``reason``. ``p`` tests what the criterion claims,
    ``p_regression`` that the method is on the wrong side; ``p_adjusted`` and ``p_regression_adjusted`` are corrected
    over the gate and decide. ``smallest_detectable`` is the advantage (for equivalence: the margin) at which this
    criterion would pass with a power of 80%. ``against``: what the method is held against, in words;
    ``opponent``: the arm that win rates are against which are compared with those of an earlier run.
    """

    criterion: Criterion
    claim: MarginClaim
    margin: float
    task: str
    judge: str | None
    against: str
    opponent: str | None
    verdict: CriterionVerdict
    advantage: float | None
    lower: float | None
    upper: float | None
    level: float
    p: float | None
    p_adjusted: float | None
    p_regression: float | None
    p_regression_adjusted: float | None
    smallest_detectable: float | None
    needed: DataNeeded | None = None
    n_prompts: int
    n_runs: int
    reason: str

    @property
    def name(self) -> str:
        """What the criterion demands, in one line."""
        demand = {
            "superior_by": f"is better than {self.against} by more than {self.margin:g}",
            "not_worse_by": f"is worse than {self.against} by less than {self.margin:g}",
            "equivalent_within": f"differs from {self.against} by less than {self.margin:g}",
        }[self.claim]
        by = f"{self.judge} judge, {self.task}" if self.judge else self.task
        over = f" against {self.opponent}" if self.opponent else ""
        return f"{self.criterion.method} {demand} on {describe_metric(self.criterion.metric)}{over} ({by})"


def claim_of(criterion: Criterion) -> tuple[MarginClaim, float]:
    """Return the one claim of a criterion and its margin; raises BenchError unless exactly one margin is set."""
    claims: dict[MarginClaim, float | None] = {
        "superior_by": criterion.superior_by,
        "not_worse_by": criterion.not_worse_by,
        "equivalent_within": criterion.equivalent_within,
    }
    given = [(claim, margin) for claim, margin in claims.items() if margin is not None]
    if len(given) != 1:
        raise BenchError(
            f"gate criterion on {criterion.metric}, {criterion.method} versus {criterion.versus}: "
            f"give exactly one of {', '.join(claims)}, not {len(given)}"
        )
    return given[0]


def answering(criterion: Criterion, contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Return the contrasts a criterion speaks of, each turned so that ``a`` is the criterion's method.

    Raises BenchError when there is none, saying which of its parts is unknown.
    """
    pair = {criterion.method, criterion.versus}
    found = [
        turned(contrast, criterion.method)
        for contrast in contrasts
        if {contrast.a, contrast.b} == pair
        and contrast.metric == criterion.metric
        and criterion.judge in (None, contrast.judge)
        and criterion.task in (None, contrast.task)
    ]
    if found:
        return found
    about = f"gate criterion on {criterion.metric}, {criterion.method} versus {criterion.versus}"
    pairs = {f"{contrast.a} versus {contrast.b}" for contrast in contrasts}
    if not any({contrast.a, contrast.b} == pair for contrast in contrasts):
        raise BenchError(
            f"{about}: no contrast compares these two. Name the pair under `contrasts`. "
            + did_you_mean(f"{criterion.method} versus {criterion.versus}", pairs)
        )
    same_pair = [contrast for contrast in contrasts if {contrast.a, contrast.b} == pair]
    if not any(contrast.metric == criterion.metric for contrast in same_pair):
        known = {contrast.metric for contrast in same_pair}
        raise BenchError(f"{about}: no such metric was measured. {did_you_mean(criterion.metric, known)}")
    measured = {f"{contrast.judge or 'no judge'} on {contrast.task}" for contrast in same_pair}
    wanted = f"{criterion.judge or 'any judge'} on {criterion.task or 'any task'}"
    raise BenchError(f"{about}: nothing was measured by {wanted}. {did_you_mean(wanted, measured)}")


def turned(contrast: Contrast, method: str) -> Contrast:
    """Return the contrast with ``method`` in the place of ``a``: all values mirrored at the null value."""
    if contrast.a == method:
        return contrast
    twice = 2 * contrast.null_value
    return contrast.model_copy(
        update={
            "a": contrast.b,
            "b": contrast.a,
            "estimate": None if contrast.estimate is None else twice - contrast.estimate,
            "low": None if contrast.high is None else twice - contrast.high,
            "high": None if contrast.low is None else twice - contrast.low,
            "mean_a": contrast.mean_b,
            "mean_b": contrast.mean_a,
            "per_run": tuple(None if value is None else twice - value for value in contrast.per_run),
            "support": tuple((twice - value, share) for value, share in reversed(contrast.support)),
            "verdict": TURNED[contrast.verdict],
        }
    )
