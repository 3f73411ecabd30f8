"""How well judges label the preference data."""

from __future__ import annotations

from bench.report.facts.labellers import labeller_name, variant
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Heading, Pictures, Table, Text, drawn
from bench.results.conclusions.all import LabellerAgreement, Proportion
from bench.results.summary import LabellerFacts
from bench.results.wording import NONE, amount, counted, p_value, percent


def labellers_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return agreement, flips, retest and confidence of every labeller; nothing where none was asked about."""
    facts = {(item.judge, item.run): item for item in inputs.summary.labellers}
    if not facts:
        return []
    columns = (
        "labeller", "asks", "parameters", "pairs", "agrees with labels", "agrees with gold", "shown first only",
        "flips with the order", "flips to the first", "p of one half", "same on a second call", "confidence",
    )  # fmt: skip
    rows = []
    for item in inputs.conclusions.labellers:
        known = facts[item.judge, item.run]
        name = labeller_name(item.judge, item.run)
        size = amount(known.parameters) if known.parameters else NONE
        rows.append((name, variant(known, inputs.summary.labellers), size, *_numbers(item, known)))
    blocks: list[Block] = [Heading(2, "Labellers")]
    if rows:
        level = percent(inputs.comparison.statistics.level)
        note = (
            "A label is the mean preference over both presentation orders; it agrees when it names the response that "
            f"the data (or gold utilities) call better. Intervals are Wilson's at {level}. A pair flips when the same "
            "position wins in both orders; p tests whether flips go to the first position half of the time. The second "
            "call has other noise; a deterministic labeller draws none. Confidence is the mean probability of the "
            "preferred response."
        )
        blocks += [Table(columns, "llr" + "r" * 9, tuple(rows)), Text(note)]
    missing = tuple(f"{item.judge} has no labels: {item.missing}" for item in inputs.summary.labellers if item.missing)
    if missing:
        blocks.append(Bullets(missing))
    return [*blocks, *drawn(pictures, "labellers")]


def _numbers(item: LabellerAgreement, known: LabellerFacts) -> tuple[str, ...]:
    pairs = f"{item.usable:,}" if item.usable == item.pairs else f"{item.usable:,} of {item.pairs:,}"
    to_first = percent(item.flips_to_first.share)
    return (
        pairs,
        proportion(item.labels),
        proportion(item.gold),
        percent(item.first_order.share),
        proportion(item.flips),
        f"{to_first} of {counted(item.flips_to_first.n, 'flip')}" if item.flips_to_first.n else NONE,
        p_value(item.position_p, item.level),
        proportion(item.retest) if known.samples else "deterministic",
        percent(item.confidence),
    )


def proportion(found: Proportion | None) -> str:
    """Return a share with its interval, or a dash where there is none."""
    if found is None or found.share is None:
        return NONE
    return f"{percent(found.share)} [{percent(found.low)}, {percent(found.high)}]"
