"""The claims of one prompt's responses in the terminal, each with what was found about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bench.core.claim import IRRELEVANT, NOT_SUPPORTED, SUPPORTED
from bench.report.terminal import clean

STYLES = {SUPPORTED: "blue", NOT_SUPPORTED: "dark_orange", IRRELEVANT: "dim"}
WORDS = {SUPPORTED: "supported", NOT_SUPPORTED: "not supported", IRRELEVANT: "irrelevant"}


def claims_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the claims, one per line, by method and draw in the order of the rows."""
    table = Table(box=box.SIMPLE_HEAD, title=Text("Claims", style="bold"), title_justify="left")
    for title in ("method", "draw", "claim", "label", "evidence"):
        table.add_column(title)
    for row in sorted(rows, key=lambda row: (row["method"], row["draw"], row["index"])):
        label = Text(WORDS[row["label"]], style=STYLES[row["label"]])
        table.add_row(
            Text(clean(row["method"])), str(row["draw"]), Text(clean(row["text"])), label, Text(clean(row["evidence"]))
        )
    return table
