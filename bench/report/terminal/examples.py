"""Rows of data in the terminal: who wrote what, and what is trained on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from bench.core.lengths import ShownRow, Stretch
from bench.report.terminal.clean import clean

STYLES = {"template": "dim", "system": "magenta", "user": "cyan", "assistant": "green"}
LEARNT = "bold"
# Without colour the same is said by marks around what is trained on.
OPENS, CLOSES = "⟦", "⟧"


def examples(rows: Sequence[ShownRow]) -> RenderableType:
    """Return rows one below the other, with a legend; what is trained on stands in ⟦ ⟧ too, for want of colour."""
    legend = Text("by colour: ")
    for who, style in STYLES.items():
        legend.append(f"{who} ", style=style)
    legend.append("; trained on: ")
    legend.append(f"{OPENS}bold{CLOSES}", style=LEARNT)
    parts: list[RenderableType] = [legend]
    for number, row in enumerate(rows, start=1):
        parts.append(Text(f"row {number}", style="bold underline"))
        parts.append(_joined(row.prompt))
        for name, stretches in row.responses:
            parts.append(Text(f"{name}:", style="underline").append_text(Text(" ")).append_text(_joined(stretches)))
    return Group(*parts)


def _joined(stretches: Sequence[Stretch]) -> Text:
    found = Text()
    for one in stretches:
        text = clean(one.text)
        style = f"{STYLES[one.who]} {LEARNT}" if one.learnt else STYLES[one.who]
        found.append(f"{OPENS}{text}{CLOSES}" if one.learnt else text, style=style)
    return found
