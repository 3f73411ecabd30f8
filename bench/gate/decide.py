"""The gate: each criterion of a comparison as a one-sided test on its contrast, with three possible verdicts.

A gate passes when **every** criterion passes. That is an intersection-union test (Berger 1982, Technometrics 24:295):
the chance to pass although some criterion is false is at most alpha without any correction. Two things need one
(Holm 1979), because any one of several may happen by chance: a **regression**, which alone fails the gate, is corrected
over all criteria; and a **superiority claim**, which a reader takes by itself, over all superiority claims. With
``correction: none`` neither is. Non-inferiority and equivalence are never corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.config.comparison import Comparison, Criterion
from bench.core.errors import BenchError
from bench.gate.criteria import CriterionResult, CriterionVerdict, DataNeeded, MarginClaim, answering, claim_of
from bench.results.conclusions.contrast import Contrast
from bench.statistics.power.detectable import POWER
from bench.statistics.power.sample_size import design_of, detectable, prompts_needed, seeds_needed
from bench.statistics.tests.confidence import Confidence
from bench.statistics.tests.corrections import Correction, adjusted, alpha_of
from bench.statistics.tests.margin_tests import advantage as advantage_law
from bench.statistics.tests.margin_tests import (
    equivalence_p,
    inferiority_p,
    non_inferiority_p,
    one_sided_bounds,
    superiority_p,
)

EXIT_CODES: dict[CriterionVerdict, int] = {"pass": 0, "regression": 1, "undecided": 3}


@dataclass(frozen=True)
class Evidence:
    """A criterion, the contrast that answers it with the method as ``a``, and the law of its advantage.

    ``law`` is None without a standard error; ``bounds`` are then the contrast's own interval, None without one.
    """

    criterion: Criterion
    claim: MarginClaim
    margin: float
    contrast: Contrast
    against: str
    opponent: str | None
    level: float
    law: Confidence | None
    bounds: tuple[float, float] | None

    @property
    def sign(self) -> float:
        """-1 where less of the metric is better."""
        return -1.0 if self.contrast.higher_is_better is False else 1.0

    @property
    def alpha(self) -> float:
        """The error rate."""
        return alpha_of(self.level)


def check(comparison: Comparison, contrasts: Sequence[Contrast]) -> list[CriterionResult]:
    """Return one result per criterion between methods and contrast it speaks of, in the order of the file.

    Raises BenchError for a comparison without a gate, and for a criterion that no contrast answers.
    """
    refuse_no_gate(comparison)
    return decide(evidence_between(comparison, contrasts), comparison.gate_settings.correction)


def refuse_no_gate(comparison: Comparison) -> None:
    """Raise BenchError, with what to declare, for a comparison that declares nothing to hold a run against."""
    if not comparison.gate:
        raise BenchError(
            f"{comparison.path}: there is no gate to check. Add `gate:` with at least one criterion, for example "
            "{metric: win_rate, method: dpo, versus: sft, superior_by: 0}"
        )


def evidence_between(comparison: Comparison, contrasts: Sequence[Contrast]) -> list[Evidence]:
    """Return what there is to judge the criteria between methods by; raises BenchError where nothing answers one."""
    level = comparison.statistics.level
    return [
        evidence(criterion, contrast, level, criterion.versus)
        for criterion in comparison.gate
        if not criterion.against_baseline
        for contrast in answering(criterion, contrasts)
    ]


def evidence(
    criterion: Criterion, contrast: Contrast, level: float, against: str, opponent: str | None = None
) -> Evidence:
    """Return what there is to judge one criterion by; raises BenchError for a one-sided claim without a better side."""
    claim, margin = claim_of(criterion)
    if contrast.higher_is_better is None and claim != "equivalent_within":
        raise BenchError(
            f"gate criterion on {criterion.metric}: the metric has no better side, so `{claim}` means nothing. "
            "Use `equivalent_within`."
        )
    law = law_of(contrast)
    sign = -1.0 if contrast.higher_is_better is False else 1.0
    bounds = interval_of(contrast, sign) if law is None else one_sided_bounds(law, level)
    return Evidence(criterion, claim, margin, contrast, against, opponent, level, law, bounds)


def foregone(one: Evidence) -> str | None:
    """Return that the bounds of the metric alone decide a margin, such as 5 (%) on a scale to 1; None where not."""
    support, null = one.contrast.support, one.contrast.null_value
    if not support:
        return None
    sign = -1.0 if one.contrast.higher_is_better is False else 1.0
    ends = sorted(sign * (value - null) for value in (support[0][0], support[-1][0]))
    most = {"superior_by": ends[1], "not_worse_by": -ends[0], "equivalent_within": max(ends[1], -ends[0])}[one.claim]
    if one.margin < most:
        return None
    never = "pass" if one.claim == "superior_by" else "fail"
    return (
        f"`{one.claim}: {one.margin:g}` on {one.criterion.metric} can never {never}: an advantage on this metric lies "
        f"between {ends[0]:g} and {ends[1]:g}; give a margin below {most:g}"
    )


def decide(found: Sequence[Evidence], correction: Correction) -> list[CriterionResult]:
    """Return the results, p-values corrected over all of them: over superiority claims, and over regressions."""
    claims = [None if one.law is None else claim_p(one.claim, one.margin, one.law) for one in found]
    losses = [None if one.law is None else regression_p(one.claim, one.margin, one.law) for one in found]
    superior = [one.claim == "superior_by" for one in found]
    corrected = _corrected([p if yes else None for p, yes in zip(claims, superior, strict=True)], correction)
    claims_adjusted = [new if yes else p for p, new, yes in zip(claims, corrected, superior, strict=True)]
    losses_adjusted = _corrected(losses, correction)
    parts = zip(found, claims, claims_adjusted, losses, losses_adjusted, strict=True)
    return [judged(one, (p, p_adjusted), (loss, loss_adjusted)) for one, p, p_adjusted, loss, loss_adjusted in parts]


def judged(
    one: Evidence, claim: tuple[float | None, float | None], loss: tuple[float | None, float | None]
) -> CriterionResult:
    """Return the result of one criterion; ``claim`` and ``loss`` are its p-values, raw and adjusted.

    With L and U the one-sided bounds of the advantage, and m the margin:

    - ``superior_by``: pass when L > m; regression when U < 0, that is, significantly worse;
    - ``not_worse_by``: pass when L > -m; regression when U < -m;
    - ``equivalent_within``: pass when -m < L and U < m (two one-sided tests, Schuirmann 1987); regression when the
      whole interval lies outside.

    Everything else is undecided. L > m is the same as a one-sided p below alpha, and the adjusted p decides.
    """
    contrast = one.contrast
    verdict: CriterionVerdict = "undecided"
    if claim[1] is not None and loss[1] is not None:
        verdict = "pass" if claim[1] < one.alpha else "regression" if loss[1] < one.alpha else "undecided"
    elif one.bounds is not None:
        verdict = decided(one.claim, one.margin, one.bounds)
    lower, upper = one.bounds or (None, None)
    estimate = None if contrast.estimate is None else one.sign * (contrast.estimate - contrast.null_value)
    return CriterionResult(
        criterion=one.criterion,
        claim=one.claim,
        margin=one.margin,
        task=contrast.task,
        judge=contrast.judge,
        against=one.against,
        opponent=one.opponent,
        verdict=verdict,
        advantage=estimate,
        lower=lower,
        upper=upper,
        level=one.level,
        p=claim[0],
        p_adjusted=claim[1],
        p_regression=loss[0],
        p_regression_adjusted=loss[1],
        smallest_detectable=smallest_passing(one),
        needed=data_needed(one, estimate) if verdict == "undecided" and estimate is not None else None,
        n_prompts=contrast.n_prompts,
        n_runs=contrast.n_runs,
        reason=contrast.note or ("" if one.bounds else "the contrast has neither a standard error nor an interval"),
    )


def exit_code(results: Sequence[CriterionResult]) -> int:
    """Return 1 when any criterion found a regression, 0 when all pass, else 3 (undecided)."""
    return EXIT_CODES[overall(results)]


def overall(results: Sequence[CriterionResult]) -> CriterionVerdict:
    """Return the verdict of the whole gate; no results at all decide nothing."""
    verdicts = {result.verdict for result in results}
    if "regression" in verdicts:
        return "regression"
    return "pass" if verdicts == {"pass"} else "undecided"


def decided(claim: MarginClaim, margin: float, bounds: tuple[float, float]) -> CriterionVerdict:
    """Return the verdict from bounds (lower, upper) of the advantage, where there is nothing better than these."""
    lower, upper = bounds
    passes, fails = {
        "superior_by": (lower > margin, upper < 0),
        "not_worse_by": (lower > -margin, upper < -margin),
        "equivalent_within": (-margin < lower and upper < margin, lower > margin or upper < -margin),
    }[claim]
    if passes:
        return "pass"
    return "regression" if fails else "undecided"


def claim_p(claim: MarginClaim, margin: float, law: Confidence) -> float:
    """Return the p-value of what the criterion claims."""
    tests = {"superior_by": superiority_p, "not_worse_by": non_inferiority_p, "equivalent_within": equivalence_p}
    return tests[claim](law, margin)


def regression_p(claim: MarginClaim, margin: float, law: Confidence) -> float:
    """Return the p-value of "a regression": worse at all, worse by more than the margin, or beyond it on one side.

    The two sides of an equivalence cannot both be true, so each is tested at alpha.
    """
    if claim == "superior_by":
        return inferiority_p(law)
    below = inferiority_p(law, margin)
    return below if claim == "not_worse_by" else min(below, superiority_p(law, margin))


def law_of(contrast: Contrast) -> Confidence | None:
    """Return the law of the advantage, None without a standard error: nothing is known from values without variation.

    Where a metric has no better side, the advantage is the difference itself.
    """
    if not contrast.standard_error:
        return None
    directed = contrast.higher_is_better is not None
    return advantage_law(contrast if directed else contrast.model_copy(update={"higher_is_better": True}))


def interval_of(contrast: Contrast, sign: float) -> tuple[float, float] | None:
    """Return the contrast's own two-sided interval of ``sign * (estimate - null value)``, None where it has none.

    Its bounds are one-sided ones at a higher level, so they err towards undecided.
    """
    if contrast.low is None or contrast.high is None:
        return None
    ends = sorted(sign * (end - contrast.null_value) for end in (contrast.low, contrast.high))
    return ends[0], ends[1]


def smallest_passing(one: Evidence) -> float | None:
    """Return the smallest true advantage at which the claim passes with POWER; for equivalence the smallest margin.

    For equivalence it is taken at a true difference of zero. Without the correction over several claims. None where no
    variance was seen to plan with.
    """
    if one.law is None or not float(one.law.standard_error):
        return None
    reach = detectable(one.law, one.level, power_wanted(one.claim))
    return {"superior_by": one.margin + reach, "not_worse_by": reach - one.margin, "equivalent_within": reach}[
        one.claim
    ]


def data_needed(one: Evidence, advantage: float) -> DataNeeded | None:
    """Return how much data would decide at the advantage seen; None where the contrast has no parts of a variance."""
    design = design_of(one.contrast)
    if design is None:
        return None
    distance = {
        "superior_by": advantage - one.margin,
        "not_worse_by": advantage + one.margin,
        "equivalent_within": one.margin - abs(advantage),
    }[one.claim]
    if distance <= 0:
        return DataNeeded(distance=distance, prompts=None, seeds=None)
    power = power_wanted(one.claim)
    return DataNeeded(
        distance=distance,
        prompts=prompts_needed(design, distance, one.level, power),
        seeds=seeds_needed(design, distance, one.level, power),
    )


def power_wanted(claim: MarginClaim) -> float:
    """Return POWER, or for equivalence, where two one-sided tests must both reject, what each of them needs."""
    return (1 + POWER) / 2 if claim == "equivalent_within" else POWER


def _corrected(p_values: Sequence[float | None], correction: Correction) -> list[float | None]:
    """Return the adjusted p-values, None where there is none."""
    places = [place for place, p in enumerate(p_values) if p is not None]
    found: list[float | None] = [None] * len(p_values)
    for place, p in zip(places, adjusted([p for p in p_values if p is not None], correction), strict=True):
        found[place] = p
    return found
