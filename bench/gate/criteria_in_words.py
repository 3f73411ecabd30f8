"""The gate's results as sentences and as Markdown for a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.gate.criteria import CriterionResult
from bench.gate.decide import overall
from bench.results.wording import NONE, counted, decimals_for, markdown, p_clause, p_value, percent, signed
from bench.statistics.power.detectable import POWER
from bench.statistics.tests.corrections import alpha_of

WORDS = {
    "pass": "The gate passes: every criterion is met.",
    "regression": "The gate fails: at least one criterion found a regression.",
    "undecided": "The gate is undecided: no regression was found, and not every criterion is met.",
}
# Between which characters GitHub would find a name, an issue or an address.
_CALLED = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=www)(?=\.)|(?<=GH)(?=-\d)")


def sentence(result: CriterionResult) -> str:
    """Return the verdict of one criterion with its numbers, in one sentence without the criterion's name."""
    if result.advantage is None or result.lower is None or result.upper is None:
        return f"{result.verdict}: {result.reason}"
    decimals = decimals_of(result)
    side = "advantage" if result.claim != "equivalent_within" else "difference"
    parts = [
        f"{side} {signed(result.advantage, decimals)}",
        f"one-sided {percent(result.level)} bounds {bounds(result)}",
        *tests(result),
    ]
    if result.verdict == "undecided":
        parts += what_would_decide(result)
    return f"{result.verdict}: {', '.join(parts)}"


def tests(result: CriterionResult) -> list[str]:
    """Return the p-value that the verdict rests on, and where correction changes it, both."""
    p, p_adjusted, what = result.p, result.p_adjusted, ""
    if result.verdict == "regression":
        p, p_adjusted, what = result.p_regression, result.p_regression_adjusted, " for a regression"
    if p is None:
        return []
    parts = [f"{p_clause(p, result.level)}{what}"]
    if p_adjusted is not None and p_adjusted != p:
        parts.append(f"Holm-adjusted {p_clause(p_adjusted, result.level)}")
    return parts


def what_would_decide(result: CriterionResult) -> list[str]:
    """Return what an undecided criterion lacks: the smallest detectable effect, and the prompts or seeds needed."""
    parts = []
    decimals = decimals_of(result)
    lost, adjusted = result.p_regression, result.p_regression_adjusted
    if lost is not None and adjusted is not None and lost < alpha_of(result.level) <= adjusted:
        parts.append(f"a regression by itself ({p_clause(lost, result.level)}), not after correction over the gate")
    if result.smallest_detectable is not None:
        reach = signed(result.smallest_detectable, decimals)
        wanted = f"a margin of {reach[1:]}" if result.claim == "equivalent_within" else f"a true advantage of {reach}"
        parts.append(f"would pass with {percent(POWER)} power at {wanted}")
    needed = result.needed
    if needed is None:
        return parts
    seen = "difference" if result.claim == "equivalent_within" else "advantage"
    if needed.distance <= 0:
        return [*parts, f"the {seen} seen is not within what is demanded, so more of the same data would not pass"]
    ways = []
    if needed.prompts is not None:
        ways.append(f"{counted(needed.prompts, 'prompt')} at {counted(result.n_runs, 'seed')}")
    if needed.seeds is not None:
        ways.append(f"{counted(needed.seeds, 'seed')} at {counted(result.n_prompts, 'prompt')}")
    if not ways:
        return [*parts, f"if the {seen} seen is the true one, neither prompts alone nor seeds alone would decide"]
    only = "; no number of prompts is enough at these seeds" if needed.prompts is None and result.n_runs > 1 else ""
    return [*parts, f"if the {seen} seen is the true one it needs {' or '.join(ways)}{only}"]


def decimals_of(result: CriterionResult) -> int:
    """Return the decimals for a result's numbers, by the width of its bounds."""
    if result.lower is None or result.upper is None:
        return 3
    return decimals_for((result.upper - result.lower) / 2)


def bounds(result: CriterionResult) -> str:
    """Return ``[lower, upper]``, or a dash."""
    if result.lower is None or result.upper is None:
        return NONE
    decimals = decimals_of(result)
    return f"[{signed(result.lower, decimals)}, {signed(result.upper, decimals)}]"


def as_markdown(results: Sequence[CriterionResult], notes: Sequence[str] = ()) -> str:
    """Return a summary for a pull request: the verdict, a table with a row per criterion, what would decide, notes."""
    columns = ("verdict", "criterion", "advantage", f"bounds ({_level(results)}, one-sided)", "p", "adjusted p")
    rows = [
        (
            f"**{result.verdict}**" if result.verdict != "pass" else "pass",
            _said(result.name),
            signed(result.advantage, decimals_of(result)),
            markdown(bounds(result)),
            *deciding_p(result),
        )
        for result in results
    ]
    table = [f"| {' | '.join(row)} |" for row in (columns, ("---",) * len(columns), *rows)]
    verdict = overall(results)
    lines = [f"### Gate: {verdict}", "", WORDS[verdict], "", *table]
    details = [f"- {_said(result.name)}: {_said(sentence(result))}" for result in results if result.verdict != "pass"]
    return "\n".join([*lines, *_block(details), *_block([f"- {_said(note)}" for note in notes])]) + "\n"


def _said(text: str) -> str:
    """Return a text for a comment on a pull request: nobody in it is called, nothing in it is linked.

    GitHub looks for names, numbers of issues and addresses in what Markdown has become, so escapes do not keep it from
    them; a comment between the characters does.
    """
    return _CALLED.sub("<!-- -->", markdown(text))


def _block(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _level(results: Sequence[CriterionResult]) -> str:
    return percent(results[0].level) if results else NONE


def deciding_p(result: CriterionResult) -> tuple[str, str]:
    """Return the p-value that the verdict rests on, raw and adjusted, as text."""
    lost = result.verdict == "regression"
    p = result.p_regression if lost else result.p
    p_adjusted = result.p_regression_adjusted if lost else result.p_adjusted
    return markdown(p_value(p, result.level)), markdown(p_value(p_adjusted, result.level))
