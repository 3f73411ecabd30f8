"""The whole report as blocks, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gating.judging import check
from bench.plots.style import Picture
from bench.report import sections
from bench.report.answer import answer, opening
from bench.report.factuality_section import factuality_section
from bench.report.further_section import further_section
from bench.report.inputs import Inputs
from bench.report.judging_section import judging_section
from bench.report.labellers_section import labellers_section
from bench.report.length_section import length_section
from bench.report.methods_section import methods_section
from bench.report.moved_section import gap_section, moved_section
from bench.report.page import Block
from bench.report.ranking_section import ranking_section
from bench.report.samples_section import samples_section
from bench.report.spending_section import spending_section
from bench.report.tax_section import tax_section
from bench.report.tokens_section import tokens_section
from bench.report.told_once import told_once
from bench.report.training_section import training_section
from bench.report.variance_section import variance_section


def compose(inputs: Inputs, pictures: Sequence[Picture]) -> list[Block]:
    """Return the report: the question first, then what was concluded, then everything it rests on."""
    by_name = {picture.name: picture for picture in pictures}
    between = any(not criterion.against_baseline for criterion in inputs.comparison.gate)
    checkable = between and not inputs.summary.missing
    results = check(inputs.comparison, inputs.contrasts) if checkable else []
    blocks = [
        *opening(inputs),
        *answer(inputs),
        *sections.main_table(inputs, by_name),
        *sections.gate_section(inputs, results),
        *length_section(inputs, by_name),
        *ranking_section(inputs, by_name),
        *factuality_section(inputs, by_name),
        *tax_section(inputs, by_name),
        *further_section(inputs),
        *sections.cost_section(inputs, by_name),
        *spending_section(inputs),
        *samples_section(inputs),
        *judging_section(inputs, by_name),
        *variance_section(inputs),
        *moved_section(inputs, by_name),
        *gap_section(inputs),
        *labellers_section(inputs, by_name),
        *sections.responses_section(inputs, by_name),
        *training_section(inputs, by_name),
        *tokens_section(inputs, by_name),
        *sections.missing_section(inputs),
        *methods_section(inputs),
    ]
    return told_once(blocks, inputs)
