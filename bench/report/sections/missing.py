"""What a comparison lacks: cells without rows, and contrasts without single values."""

from __future__ import annotations

from bench.report import sentences
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Folded, Heading, Text
from bench.results.wording import counted


def missing_section(inputs: Inputs) -> list[Block]:
    """Return the cells of the crossing that have no rows, and why; then the contrasts that lack single values."""
    blocks: list[Block] = [Heading(2, "What is missing")]
    cells = inputs.summary.lacking()
    values = [
        f"{item.a} against {item.b} on {sentences.measured(item)}: {counted(item.n_missing, 'value')} missing"
        for item in inputs.conclusions.contrasts
        if item.n_missing
    ]
    if not cells:
        blocks.append(Text("No cell: every arm, seed and task has its rows."))
    if cells:
        blocks.append(Bullets(tuple(cells)))
    if values:
        summary = (
            f"{counted(len(values), 'contrast')} {'lacks' if len(values) == 1 else 'lack'} single values: those that a "
            "judge did not give, or that are not defined for a response"
        )
        blocks.append(Folded(summary, (Bullets(tuple(values)),)))
    return blocks
