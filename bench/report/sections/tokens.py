"""Which tokens a proxied policy writes more and less often than its base would."""

from __future__ import annotations

from bench.report.facts.names import readable
from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Pictures, Table, Text, drawn
from bench.results.summary import TokenFacts
from bench.results.wording import NONE, counted, number, percent

ROWS_EACH_WAY = 5


def tokens_section(inputs: Inputs, pictures: Pictures) -> list[Block]:
    """Return the tokens that changed most for every proxied arm and task; nothing without such an arm."""
    shifts = inputs.summary.shifts
    if not shifts:
        return []
    rows = [
        (one.arm, one.task, *_row(token))
        for one in shifts
        for token in (*one.raised[:ROWS_EACH_WAY], *reversed(one.lowered[:ROWS_EACH_WAY]))
    ]
    overall = " ".join(
        f"{one.arm} on {one.task}: over {counted(one.positions, 'token')} that it wrote, their log-probability is "
        f"{number(one.logprob_change, 2)} nats higher on average than under the base alone, and the base would have "
        f"chosen another token at {percent(one.other_choice)} of them."
        for one in shifts
    )
    note = (
        "The change per 1,000 is the sum of a token's change of probability over all positions. The last column is the "
        "mean change of log-probability where the token was written."
    )
    columns = ("arm", "task", "token", "written", "change per 1,000", "change where written (nats)")
    return [
        Heading(2, "Tokens that proxy-tuning changed"),
        Text(overall),
        *drawn(pictures, "token_shifts"),
        Table(columns, "lllrrr", tuple(rows)),
        Text(note),
    ]


def _row(token: TokenFacts) -> tuple[str, str, str, str]:
    change = NONE if token.logprob_change is None else number(token.logprob_change, 2)
    return readable(token.text), f"{token.written:,}", number(token.per_thousand, 2), change
