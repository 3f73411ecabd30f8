"""The gate: each criterion of a comparison as a one-sided test on its contrast, with three possible verdicts.

A gate passes when **every** criterion passes. That is an intersection-union test (Berger 1982, Technometrics 24:295):
the chance to pass although some criterion is false is at most alpha without any correction, so no Holm adjustment is
made here; it would only make the gate deaf. One criterion over several tasks or judges asks for all of them likewise.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree as ET

from bench.config.comparison import Comparison, Criterion
from bench.core.contrast import Contrast
from bench.core.errors import BenchError, did_you_mean
from bench.core.frozen import Frozen
from bench.core.wording import decimals_for, markdown, metric_words, p_clause, percent, signed
from bench.statistics.confidence import Confidence
from bench.statistics.margin_tests import advantage as advantage_law
from bench.statistics.margin_tests import (
    equivalence_p,
    non_inferiority_p,
    one_sided_bounds,
    superiority_p,
)

CriterionVerdict = Literal["pass", "regression", "undecided"]
Claim = Literal["superior_by", "not_worse_by", "equivalent_within"]
POWER = 0.8
EXIT_CODES: dict[CriterionVerdict, int] = {"pass": 0, "regression": 1, "undecided": 3}


class CriterionResult(Frozen):
    """What one criterion concludes from one contrast.

    ``advantage`` is the estimate turned so that positive means that the criterion's method is better (for a metric
    without a better side: higher). ``lower`` and ``upper`` are its one-sided bounds, each at ``level``; None where the
    contrast allows no test, with the reason in ``reason``. ``p`` tests what the criterion claims.
    ``smallest_detectable`` is the advantage (for equivalence: the margin) at which this criterion would pass with a
    power of 80%.
    """

    criterion: Criterion
    claim: Claim
    margin: float
    task: str
    judge: str | None
    verdict: CriterionVerdict
    advantage: float | None
    lower: float | None
    upper: float | None
    level: float
    p: float | None
    smallest_detectable: float | None
    reason: str

    @property
    def name(self) -> str:
        """What the criterion demands, in one line."""
        demand = {
            "superior_by": f"is better than {self.criterion.versus} by more than {self.margin:g}",
            "not_worse_by": f"is worse than {self.criterion.versus} by less than {self.margin:g}",
            "equivalent_within": f"differs from {self.criterion.versus} by less than {self.margin:g}",
        }[self.claim]
        by = f"{self.judge} judge, {self.task}" if self.judge else self.task
        return f"{self.criterion.method} {demand} on {metric_words(self.criterion.metric)} ({by})"


def check(comparison: Comparison, contrasts: Sequence[Contrast]) -> list[CriterionResult]:
    """Return one result per criterion and contrast it speaks of, in the order of the file.

    Raises BenchError for a comparison without a gate, and for a criterion that no contrast answers.
    """
    if not comparison.gate:
        raise BenchError(
            f"{comparison.path}: there is no gate to check. Add `gate:` with at least one criterion, for example "
            "{metric: win_rate, method: dpo, versus: sft, superior_by: 0}"
        )
    level = comparison.statistics.level
    return [
        judged(criterion, contrast, level)
        for criterion in comparison.gate
        for contrast in answering(criterion, contrasts)
    ]


def exit_code(results: Sequence[CriterionResult]) -> int:
    """Return 1 when any criterion found a regression, 0 when all pass, else 3 (undecided)."""
    return EXIT_CODES[overall(results)]


def overall(results: Sequence[CriterionResult]) -> CriterionVerdict:
    """Return the verdict of the whole gate; no results at all decide nothing."""
    verdicts = {result.verdict for result in results}
    if "regression" in verdicts:
        return "regression"
    return "pass" if verdicts == {"pass"} else "undecided"


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
    swap = {"a better": "b better", "b better": "a better", "undecided": "undecided"}
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
            "verdict": swap[contrast.verdict],
        }
    )


def judged(criterion: Criterion, contrast: Contrast, level: float) -> CriterionResult:
    """Return what a criterion concludes from its contrast.

    With L and U the one-sided bounds of the advantage at ``level``, and m the margin:

    - ``superior_by``: pass when L > m; regression when U < 0, that is, significantly worse;
    - ``not_worse_by``: pass when L > -m; regression when U < -m;
    - ``equivalent_within``: pass when -m < L and U < m (two one-sided tests, Schuirmann 1987); regression when the
      whole interval lies outside.

    Everything else is undecided. Raises BenchError for a one-sided claim on a metric without a better side.
    """
    claim, margin = claim_of(criterion)
    if contrast.higher_is_better is None and claim != "equivalent_within":
        raise BenchError(
            f"gate criterion on {criterion.metric}: the metric has no better side, so `{claim}` means nothing. "
            "Use `equivalent_within`."
        )
    sign = -1.0 if contrast.higher_is_better is False else 1.0
    advantage = None if contrast.estimate is None else sign * (contrast.estimate - contrast.null_value)
    law = law_of(contrast)
    bounds = interval_of(contrast, sign) if law is None else one_sided_bounds(law, level)
    lower, upper = bounds or (None, None)
    verdict: CriterionVerdict = "undecided"
    if lower is not None and upper is not None:
        verdict = decided(claim, margin, (lower, upper))
    return CriterionResult(
        criterion=criterion,
        claim=claim,
        margin=margin,
        task=contrast.task,
        judge=contrast.judge,
        verdict=verdict,
        advantage=advantage,
        lower=lower,
        upper=upper,
        level=level,
        p=None if law is None else p_of(claim, margin, law),
        smallest_detectable=detectable(claim, margin, contrast, level),
        reason=contrast.note or ("" if bounds else "the contrast has neither a standard error nor an interval"),
    )


def claim_of(criterion: Criterion) -> tuple[Claim, float]:
    """Return the one claim of a criterion and its margin; raises BenchError unless exactly one margin is set."""
    claims: dict[Claim, float | None] = {
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


def decided(claim: Claim, margin: float, bounds: tuple[float, float]) -> CriterionVerdict:
    """Return the verdict from the one-sided bounds (lower, upper) of the advantage."""
    lower, upper = bounds
    passes, fails = {
        "superior_by": (lower > margin, upper < 0),
        "not_worse_by": (lower > -margin, upper < -margin),
        "equivalent_within": (-margin < lower and upper < margin, lower > margin or upper < -margin),
    }[claim]
    if passes:
        return "pass"
    return "regression" if fails else "undecided"


def law_of(contrast: Contrast) -> Confidence | None:
    """Return the law of the advantage, None without a standard error above zero.

    A standard error of zero says that all values were equal, not that nothing is uncertain. Where a metric has no
    better side, the advantage is the difference itself.
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


def p_of(claim: Claim, margin: float, law: Confidence) -> float:
    """Return the p-value of the claim's test."""
    tests = {"superior_by": superiority_p, "not_worse_by": non_inferiority_p, "equivalent_within": equivalence_p}
    return tests[claim](law, margin)


def detectable(claim: Claim, margin: float, contrast: Contrast, level: float) -> float | None:
    """Return the smallest true advantage at which the claim passes with POWER; for equivalence the smallest margin.

    For equivalence it is taken at a true difference of zero, where both one-sided tests must reject, so each of them
    needs the power ``(1 + POWER) / 2``.
    """
    if not contrast.standard_error:
        return None
    from bench.statistics.power import smallest_detectable  # noqa: PLC0415 - loads scipy.optimize

    degrees = math.inf if contrast.degrees_of_freedom is None else contrast.degrees_of_freedom
    power = (1 + POWER) / 2 if claim == "equivalent_within" else POWER
    # A one-sided test at `level` is the matching side of a two-sided test at 2 * level - 1.
    reach = smallest_detectable(contrast.standard_error, degrees, 2 * level - 1, power)
    return {"superior_by": margin + reach, "not_worse_by": reach - margin, "equivalent_within": reach}[claim]


def sentence(result: CriterionResult) -> str:
    """Return the verdict of one criterion with its numbers, in one sentence without the criterion's name."""
    if result.advantage is None or result.lower is None or result.upper is None:
        return f"{result.verdict}: {result.reason}"
    decimals = decimals_for((result.upper - result.lower) / 2)
    side = "advantage" if result.claim != "equivalent_within" else "difference"
    bounds = f"[{signed(result.lower, decimals)}, {signed(result.upper, decimals)}]"
    parts = [f"{side} {signed(result.advantage, decimals)}", f"one-sided {percent(result.level)} bounds {bounds}"]
    if result.p is not None:
        parts.append(p_clause(result.p, result.level))
    if result.verdict == "undecided" and result.smallest_detectable is not None:
        reach = signed(result.smallest_detectable, decimals)
        wanted = f"a margin of {reach[1:]}" if result.claim == "equivalent_within" else f"a true advantage of {reach}"
        parts.append(f"would pass with {percent(POWER)} power at {wanted}")
    return f"{result.verdict}: {', '.join(parts)}"


def as_markdown(results: Sequence[CriterionResult]) -> str:
    """Return the results as Markdown: the overall verdict and one item per criterion."""
    lines = [f"**Gate: {overall(results)}**", ""]
    lines += [f"- {markdown(result.name)}: {markdown(sentence(result))}" for result in results]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[CriterionResult]) -> str:
    """Return ``{"verdict": ..., "exit_code": ..., "criteria": [...]}``."""
    body = {
        "verdict": overall(results),
        "exit_code": exit_code(results),
        "criteria": [{"name": result.name, **result.model_dump()} for result in results],
    }
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def as_junit(results: Sequence[CriterionResult]) -> str:
    """Return JUnit XML with one test case per result: a regression is a failure, an undecided criterion an error.

    An undecided criterion is not a skipped one: the test ran, and the gate is not passed.
    """
    verdicts = [result.verdict for result in results]
    counts = {
        "tests": str(len(results)),
        "failures": str(verdicts.count("regression")),
        "errors": str(verdicts.count("undecided")),
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "alignment-bench gate", **counts})
    for result in results:
        where = f"gate.{result.criterion.metric}"
        case = ET.SubElement(suite, "testcase", {"classname": printable(where), "name": printable(result.name)})
        told = printable(sentence(result))
        if result.verdict == "pass":
            ET.SubElement(case, "system-out").text = told
        else:
            tag = "failure" if result.verdict == "regression" else "error"
            ET.SubElement(case, tag, {"type": result.verdict, "message": told}).text = told
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def printable(text: str) -> str:
    """Return the text without the characters that XML 1.0 forbids even when escaped."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
