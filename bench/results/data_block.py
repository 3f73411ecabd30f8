"""What a plan says of each data set, in one block."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.lengths import DataFindings, LengthCounts
from bench.results.lengths import cut_in_words, quantiles_in_words
from bench.results.wording import counted, listed

_ROWS = {
    "demonstrations": ("demonstration", "demonstrations"),
    "preferences": ("pair", "pairs"),
    "unpaired": ("response with a label of its own", "responses with a label of their own"),
    "prompts": ("prompt", "prompts"),
}
MOST_TOLD = 8
_NOT_USED = "left out"


def block_of(found: DataFindings, lengths: Sequence[str]) -> list[str]:
    """Return a block: what the files are, what was counted of their rows, and ``lengths``, a line for each reading."""
    counts, what = found.counts, _ROWS[found.rows_are]
    rows = f"{counted(counts.read, 'row')} read" if counts.read != counts.rows else ""
    lines = [
        f"{found.rows_of}: {found.files}: format {found.format} ({found.why})",
        listed(
            [part for part in (rows, counted(counts.rows, *what), counted(counts.prompts, "different prompt")) if part]
        ),
    ]
    # What is not used comes first: no crowd of other remarks hides it.
    told = sorted(counts.told.items(), key=lambda item: (not item[0].startswith(_NOT_USED), -item[1]))
    lines += [f"{count:,} x {words}" for words, count in told[:MOST_TOLD]]
    lines += [f"and {counted(len(told) - MOST_TOLD, 'other remark')}"] if len(told) > MOST_TOLD else []
    if odd := odd_in_words(found):
        lines.append(odd)
    if found.unused:
        lines.append(
            f"columns that nobody reads: {', '.join(name if name.strip() else repr(name) for name in found.unused)}"
        )
    return [lines[0], *(f"  {line}" for line in (*lines[1:], *lengths))]


def odd_in_words(found: DataFindings) -> str:
    """Return what is odd about rows, and which labels pairs have; empty where there is nothing."""
    counts = found.counts
    says_nothing = "prompt" if found.rows_of == "prompts" else "response"
    parts = [
        counted(counts.duplicates, "duplicate row") if counts.duplicates else "",
        f"{counted(counts.identical, 'pair')} of the same text twice, left out of training" if counts.identical else "",
        f"{counted(counts.empty, says_nothing)} without a word" if counts.empty else "",
        f"{counted(counts.soft, 'pair')} with a soft label" if counts.soft else "",
        f"{counted(counts.margins, 'pair')} with a margin" if counts.margins else "",
        f"{counts.rows - counts.bad:,} good and {counts.bad:,} bad" if found.rows_are == "unpaired" else "",
    ]
    return "; ".join(part for part in parts if part)


def length_line(counts: LengthCounts, read: str) -> str:
    """Return how long the rows of data are as one model reads them, and what is cut; ``read`` says by which and how."""
    cut = cut_in_words(counts) or f"nothing is cut at {counts.max_length:,} tokens"
    return f"{f'{read}: ' if read else ''}{quantiles_in_words(counts)}; {cut}"
