"""The table of ``docs/families.md``, made of what the checks found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.families.checks import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
BEGIN, END = "<!-- families -->\n", "<!-- end of families -->\n"
KINDS = {
    "attention": "keys and values",
    "window": "keys and values, some layers within a window",
    "chunks": "keys and values, some layers within a chunk",
    "distance": "keys and values, a bias by distance",
    "experts": "keys and values, experts",
    "length": "keys and values, frequencies by length",
    "state": "a state",
    "hybrid": "a state, and keys and values",
    "encoder": "the encoder's states, and keys and values",
}
SCORING = {
    "packed": "packed",
    "shared prompts": "prompt once",
    "encoded": "prompt once",
    "rows": "a row per response",
}
DECODING = {
    "cached": "fast",
    "own cache": "fast",
    "encoded": "fast",
    "level": "fallback: rows of equal length together",
    "staying": "fallback: rows of equal length together, kept to the end",
    "reread": "fallback: no cache, a pass over the text per token",
}


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table in Markdown, a line per family."""
    lines = [
        "| family | it remembers | scoring and training | decoding | what the log says |",
        "|---|---|---|---|---|",
    ]
    for one in outcomes:
        said = "; ".join(text.replace("|", "/").replace("\n", " ") for text in one.said)
        row = (one.family.name, KINDS[one.family.kind], SCORING.get(one.scoring, "-"), DECODING.get(one.decoding, "-"))
        lines.append(f"| {' | '.join(row)} | {said} |")
    return "\n".join(lines) + "\n"


def written(text: str, made: str) -> str:
    """Return the page with its table replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"
