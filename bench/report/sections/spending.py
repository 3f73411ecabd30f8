"""What was asked of models behind an API: requests, tokens and money, and which models answered."""

from __future__ import annotations

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Heading, Table, Text
from bench.results.wording import NONE, listed

# The meter's counts of requests to models behind an API.
SPENT = ("api_calls", "api_tokens", "usd")
COLUMNS = ("stages", "requests", "tokens", "USD")


def spending_section(inputs: Inputs) -> list[Block]:
    """Return what each kind of stage spent on such models, and the names under which servers answered for others.

    Nothing where nothing was spent and every server gave the name that was asked for.
    """
    kinds: dict[str, list[float]] = {}
    for stage in inputs.summary.stages.values():
        spent = [stage.cost.get(axis, 0.0) for axis in SPENT]
        if any(spent):
            so_far = kinds.get(stage.kind, [0.0] * len(SPENT))
            kinds[stage.kind] = [a + b for a, b in zip(so_far, spent, strict=True)]
    told = [*(_spent(kinds) if kinds else []), *_served(inputs)]
    return [Heading(3, "Models behind an API"), *told] if told else []


def _served(inputs: Inputs) -> list[Block]:
    """Return a sentence for every model whose server gave it another name."""
    return [
        Text(
            f"{asked} was asked for, and the server says that the answers were written by "
            f"{listed([f'{name} ({count:,})' for name, count in served.items()])}. An alias may stand for a dated "
            "model, or a router may have chosen another one; `version` in the comparison file says which is meant."
        )
        for asked, served in inputs.summary.served_models.items()
    ]


def _spent(kinds: dict[str, list[float]]) -> list[Block]:
    lines = dict(sorted(kinds.items()))
    if len(lines) > 1:
        lines["together"] = [sum(column) for column in zip(*lines.values(), strict=True)]
    rows = tuple((kind, f"{calls:,.0f}", f"{tokens:,.0f}", _usd(usd)) for kind, (calls, tokens, usd) in lines.items())
    note = (
        "Requests answered for this comparison's stages when they were computed, each stage counted once. What the "
        "store of answers knew already cost nothing and is not counted. A server that counts no tokens is taken to "
        f"have used the most it could. USD by the prices in the comparison file; {NONE} where it names none."
    )
    return [Table(COLUMNS, "lrrr", rows), Text(note)]


def _usd(spent: float) -> str:
    """Return cents, or two digits of what is less than a dollar."""
    return NONE if not spent else f"{spent:,.2f}" if spent >= 1 else f"{spent:.2g}"
