"""The gate's verdict, and that of every criterion."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gate.criteria import CriterionResult
from bench.gate.criteria_in_words import sentence
from bench.gate.decide import overall
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Text, Tone, VerdictLine, VerdictList
from bench.results.wording import counted


def gate_section(inputs: Inputs, results: Sequence[CriterionResult]) -> list[Block]:
    """Return the gate's verdict and each criterion's, nothing for a comparison without a gate.

    A run that lacks cells is not held against its gate: what is left could pass by what is missing.
    """
    if inputs.comparison.gate and inputs.summary.missing:
        count = len(inputs.summary.missing)
        note = f"Not checked: {counted(count, 'cell')} of the run {'is' if count == 1 else 'are'} missing (see below)."
        return [Heading(2, "Gate"), Text(note)]
    later = [criterion for criterion in inputs.comparison.gate if criterion.against_baseline]
    note = f"{counted(len(later), 'criterion', 'criteria')} against an earlier run are checked by bench check."
    further = [Text(note)] if later else []
    if not results:
        return [Heading(2, "Gate"), *further] if later else []
    tones: dict[str, Tone] = {"pass": "control", "regression": "alarm", "undecided": "undecided"}
    words = {
        "pass": "The gate passes: every criterion, declared before the run, is met.",
        "regression": "The gate fails: at least one criterion found a regression.",
        "undecided": "The gate is undecided: no regression was found, and not every criterion is met.",
    }
    lines = tuple(VerdictLine(item.name, sentence(item), tones[item.verdict]) for item in results)
    return [Heading(2, "Gate"), Text(words[overall(results)]), VerdictList(lines), *further]
