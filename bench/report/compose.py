"""The whole report as blocks, in reading order."""

from __future__ import annotations

from collections.abc import Sequence

from bench import gate
from bench.plots.style import Picture
from bench.report import sections
from bench.report.inputs import Inputs
from bench.report.labellers_section import labellers_section
from bench.report.length_section import length_section
from bench.report.methods_section import methods_section
from bench.report.moved_section import gap_section, moved_section
from bench.report.page import Block, Heading, Quote
from bench.report.tokens_section import tokens_section
from bench.report.training_section import training_section


def compose(inputs: Inputs, pictures: Sequence[Picture]) -> list[Block]:
    """Return the report: the question first, then what was concluded, then everything it rests on."""
    by_name = {picture.name: picture for picture in pictures}
    checkable = bool(inputs.comparison.gate) and not inputs.summary.missing
    results = gate.check(inputs.comparison, inputs.contrasts) if checkable else []
    return [
        Heading(1, inputs.summary.name),
        Quote(inputs.summary.question),
        *sections.answer(inputs, by_name),
        *sections.main_table(inputs),
        *sections.gate_section(inputs, results),
        *sections.further_table(inputs),
        *sections.judging_section(inputs),
        *length_section(inputs, by_name),
        *moved_section(inputs, by_name),
        *gap_section(inputs),
        *labellers_section(inputs, by_name),
        *sections.cost_section(inputs, by_name),
        *sections.responses_section(inputs, by_name),
        *training_section(inputs, by_name),
        *tokens_section(inputs, by_name),
        *sections.missing_section(inputs),
        *methods_section(inputs),
    ]
