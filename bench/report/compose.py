"""The whole report as blocks, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gate.decide import check
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Picture
from bench.report.page.same_columns import without_common_columns
from bench.report.sections.answer import answer, opening
from bench.report.sections.cost import cost_section
from bench.report.sections.divergence import divergence_section
from bench.report.sections.factuality import factuality_section
from bench.report.sections.gap_closed import gap_closed_section
from bench.report.sections.gate import gate_section
from bench.report.sections.imitations import imitations_section
from bench.report.sections.judges import judges_section
from bench.report.sections.labellers import labellers_section
from bench.report.sections.length import length_section
from bench.report.sections.methods import methods_section
from bench.report.sections.missing import missing_section
from bench.report.sections.other_metrics import other_metrics_section
from bench.report.sections.ranking import ranking_section
from bench.report.sections.response_counts import responses_section
from bench.report.sections.results import results_section
from bench.report.sections.samples import samples_section
from bench.report.sections.spending import spending_section
from bench.report.sections.standing import standing_section
from bench.report.sections.tax import tax_section
from bench.report.sections.tokens import tokens_section
from bench.report.sections.training import training_section
from bench.report.sections.variance import variance_section


def compose(inputs: Inputs, pictures: Sequence[Picture]) -> list[Block]:
    """Return the report: the question first, then what was concluded, then everything it rests on."""
    by_name = {picture.name: picture for picture in pictures}
    between = any(not criterion.against_baseline for criterion in inputs.comparison.gate)
    checkable = between and not inputs.summary.missing
    results = check(inputs.comparison, inputs.conclusions.contrasts) if checkable else []
    blocks = [
        *opening(inputs),
        *standing_section(inputs),
        *answer(inputs),
        *results_section(inputs, by_name),
        *gate_section(inputs, results),
        *length_section(inputs, by_name),
        *ranking_section(inputs, by_name),
        *factuality_section(inputs, by_name),
        *tax_section(inputs, by_name),
        *other_metrics_section(inputs),
        *cost_section(inputs, by_name),
        *spending_section(inputs),
        *samples_section(inputs),
        *judges_section(inputs, by_name),
        *imitations_section(inputs),
        *variance_section(inputs),
        *divergence_section(inputs, by_name),
        *gap_closed_section(inputs),
        *labellers_section(inputs, by_name),
        *responses_section(inputs, by_name),
        *training_section(inputs, by_name),
        *tokens_section(inputs, by_name),
        *missing_section(inputs),
        *methods_section(inputs),
    ]
    return without_common_columns(blocks, inputs)
