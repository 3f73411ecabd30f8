"""The responses themselves: the sample browser, or how to get it."""

from __future__ import annotations

import pyarrow.compute as pc

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, SampleBrowser, Text
from bench.report.samples.prompt_view import INCIDENTAL, Tables
from bench.report.samples.sample import named, take_samples
from bench.results.wording import counted

TITLE = "Read the responses"


def samples_section(inputs: Inputs) -> list[Block]:
    """Return the sample browser; for a run without stored responses, a sentence how to get it."""
    responses, verdicts = inputs.responses, inputs.verdicts
    if responses is None or verdicts is None:
        note = (
            "The responses are not beside the records, because an earlier version ran this comparison. bench run "
            "writes them, without computing again what is in the store; then they can be searched here."
        )
        return [Heading(2, TITLE), Text(note)]
    if not responses.num_rows:
        return []
    samples = take_samples(Tables(responses, inputs.records, verdicts, inputs.claims))
    present = {name: set(pc.unique(responses[name]).to_pylist()) for name in ("method", "run", "task", "kind")}
    methods = tuple(arm for arm in inputs.summary.arms if arm in present["method"])
    pairs = [(item.a, item.b) for item in inputs.primary if {item.a, item.b} <= set(methods)]
    won = [(item.a, item.b) for item in inputs.primary if item.verdict == "a better" and (item.a, item.b) in pairs]
    browser = SampleBrowser(
        samples=samples,
        methods=methods,
        seeds=tuple(sorted(present["run"])),
        tasks=tuple(sorted(present["task"])),
        kinds=tuple(sorted(present["kind"])),
        pair=(won or pairs or [(methods[0], methods[-1])])[0],
        incidental=tuple(sorted(named(name, None) for name in INCIDENTAL)),
    )
    note = f"All {counted(samples.of, 'prompt')} with every response, score and verdict."
    if samples.shown < samples.of:
        note = (
            f"{samples.shown:,} of {counted(samples.of, 'prompt')}, a sample in which every task and kind has its "
            "share; bench show shows any other in the terminal."
        )
    return [Heading(2, TITLE), Text(note), browser]
