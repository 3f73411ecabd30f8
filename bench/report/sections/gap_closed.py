"""Which share of a gap between two arms a third closes."""

from __future__ import annotations

from bench.report.facts.names import OWN
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Table, Text
from bench.results.wording import NONE, counted, listed, number, percent


def gap_closed_section(inputs: Inputs) -> list[Block]:
    """Return the shares of gaps that were asked for; nothing without any."""
    if not inputs.conclusions.gap_closed:
        return []
    columns = ("arm", "gap", "metric", "share closed", "Fieller interval", "bootstrap interval", "gain", "size of gap")
    rows = []
    for item in inputs.conclusions.gap_closed:
        own = f"; {OWN} of {listed(list(item.own_reward))}" if item.own_reward else ""
        by = f"{item.judge} judge, {item.task}{own}" if item.judge else item.task
        closed = item.status == "ok"
        rows.append(
            (
                item.of,
                f"{item.start} to {item.goal}",
                f"{item.metric.replace('_', ' ')} ({by})",
                percent(item.share) if closed else "undefined",
                f"[{percent(item.low)}, {percent(item.high)}]" if closed else "unbounded",
                f"[{percent(item.bootstrap_low)}, {percent(item.bootstrap_high)}]" if closed else NONE,
                number(item.gain, 3),
                f"{number(item.gap, 3)} [{number(item.gap_low, 3)}, {number(item.gap_high, 3)}]",
            )
        )
    note = [
        "The share of a gap is the arm's gain over where the gap starts, divided by the gap; both are means over the "
        "same prompts and training seeds."
    ]
    undefined = sum(item.status == "undefined" for item in inputs.conclusions.gap_closed)
    if undefined:
        note.append(
            f"{counted(undefined, 'share')} {'is' if undefined == 1 else 'are'} undefined: the interval of the gap "
            "contains 0, so there may be no gap of which a share could be closed, and Fieller's interval is unbounded."
        )
    if any(item.n_runs == 1 for item in inputs.conclusions.gap_closed):
        note.append("With one training seed a share speaks about these trained models only.")
    table = Table(columns, "lllrrrrr", tuple(rows))
    return [Heading(2, "Share of the gap closed"), table, Text(" ".join(note))]
