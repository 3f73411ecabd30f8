"""How factual the responses are: error rates, coverage, and what each pair differs by."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.metrics import FACTUAL_ERROR_RATE
from bench.report import sentences
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Folded, Heading, Pictures, Table, Text, drawn
from bench.results.conclusions.contrast import Contrast
from bench.results.conclusions.factuality import ErrorReduction, Estimate, FactualRates
from bench.results.wording import (
    NONE,
    counted,
    decimals_for,
    decisive_p,
    estimate,
    interval,
    number,
    p_value,
    percent,
    signed,
)


def factuality_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the rates of every arm, the reductions of every pair, and the picture; nothing where none were asked."""
    rates = inputs.conclusions.factual_rates
    if inputs.comparison.evaluation.factuality is None or not rates:
        return []
    columns = (
        "arm", "task", "error rate", "correct per response", "wrong per response", "answered", "claims",
        "FActScore",
    )  # fmt: skip
    rows = tuple(_rates(item) for item in rates)
    blocks: list[Block] = [Heading(2, "Factual errors"), Table(columns, "ll" + "r" * 6, rows), Text(_note(inputs))]
    beside = tuple(_irrelevant(item) for item in rates if item.error_rate_with_irrelevant is not None)
    if beside:
        title = f"With irrelevant claims counted as errors, the error rate of {counted(len(beside), 'arm')}"
        blocks.append(Folded(title, (Bullets(beside),)))
    blocks.append(_beside(rates))
    return [*blocks, *drawn(pictures, "factuality"), *_reductions(inputs)]


def _rates(item: FactualRates) -> tuple[str, ...]:
    return (
        item.arm,
        item.task,
        share(item.error_rate),
        mean(item.correct),
        mean(item.incorrect),
        share(item.answered),
        f"{item.n_claims:,}",
        share(item.factscore),
    )


def _beside(rates: Sequence[FactualRates]) -> Folded:
    """Return what only some readers look for: FActScore without its penalty, and the error rate of every seed."""
    columns = ("arm", "task", "FActScore without its penalty", "error rate per seed")
    rows = tuple(
        (
            item.arm,
            item.task,
            percent(item.factscore_without_penalty),
            ", ".join(percent(value) for value in item.per_run),
        )
        for item in rates
    )
    return Folded("FActScore without its penalty, and the error rate of every seed", (Table(columns, "llrr", rows),))


def _note(inputs: Inputs) -> str:
    first = inputs.conclusions.factual_rates[0]
    factuality = inputs.comparison.evaluation.factuality
    by = "" if factuality is None else (
        f" Claims come from the extractor {factuality.extractor.NAME} and are checked by the verifier "
        f"{factuality.verifier.NAME}."
    )  # fmt: skip
    about = "the training procedure" if first.n_runs > 1 else "these trained models"
    return (
        "The error rate is the unsupported claims of all responses over their supported and unsupported ones: a ratio "
        "of sums, whose error is linearised and counts prompts, clusters of prompts and training seeds as they are "
        f"crossed. It speaks about {about}. Read it beside the claims per response, over all responses: an arm that "
        "says less makes fewer errors. A response without a claim counts as an abstention. FActScore is the mean share "
        f"of supported claims over the answered responses, lowered for fewer than {first.gamma:g} claims. Intervals "
        f"are at the {percent(first.level)} level.{by}"
    )


def _irrelevant(item: FactualRates) -> str:
    return f"{item.arm} on {item.task}: {share(item.error_rate_with_irrelevant)} instead of {share(item.error_rate)}"


def _reductions(inputs: Inputs) -> list[Block]:
    """Return the table of pairs: the difference and its test, and the relative reduction."""
    found = inputs.conclusions.error_reductions
    if not found:
        return []
    rates = [item for item in inputs.conclusions.contrasts if item.metric == FACTUAL_ERROR_RATE.name]
    contrasts = {(item.a, item.b, item.task): item for item in rates}
    columns = (
        "method", "versus", "task", "difference of error rates", "adjusted p", "verdict", "relative reduction",
        "difference where both answer", "prompts both answer",
    )  # fmt: skip
    rows = tuple(_reduction(item, contrasts.get((item.a, item.b, item.task))) for item in found)
    note = (
        "The relative reduction is 1 minus the ratio of the error rates, its interval from the law of the logarithm of "
        "that ratio. Where both answer: only prompts to which both methods make a claim in every seed and draw, so "
        "that silence on hard prompts cannot help."
    )
    notes = tuple(f"{item.a} versus {item.b} on {item.task}: {item.note}." for item in found if item.note)
    table = Table(columns, "lllrrlrrr", rows)
    return [Heading(3, "Between methods"), table, Text(note), *([Bullets(notes)] if notes else [])]


def _reduction(item: ErrorReduction, contrast: Contrast | None) -> tuple[str, ...]:
    difference = p = verdict = NONE
    if contrast is not None:
        difference = f"{estimate(contrast)} {interval(contrast)}"
        p = p_value(decisive_p(contrast), contrast.level)
        verdict = sentences.verdict_cell(contrast)
    relative = NONE
    if item.reduction is not None:
        bounds = NONE if item.low is None else f"[{percent(item.low)}, {percent(item.high)}]"
        relative = f"{percent(item.reduction)} {bounds}"
    both = NONE
    if item.both_answered is not None:
        decimals = decimals_for(item.both_answered.standard_error)
        both = signed(item.both_answered.value, decimals)
        if item.both_answered.low is not None:
            low, high = (signed(bound, decimals) for bound in (item.both_answered.low, item.both_answered.high))
            both += f" [{low}, {high}]"
    return item.a, item.b, item.task, difference, p, verdict, relative, both, f"{item.n_both_answered:,}"


def share(found: Estimate | None) -> str:
    """Return a share with its interval as percentages, a dash where there is none."""
    if found is None:
        return NONE
    bounds = "" if found.low is None else f" [{percent(found.low)}, {percent(found.high)}]"
    return f"{percent(found.value)}{bounds}"


def mean(found: Estimate) -> str:
    """Return a mean with its interval, with the digits that its error deserves."""
    decimals = decimals_for(found.standard_error)
    bounds = "" if found.low is None else f" [{number(found.low, decimals)}, {number(found.high, decimals)}]"
    return f"{number(found.value, decimals)}{bounds}"
