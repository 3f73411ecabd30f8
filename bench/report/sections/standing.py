"""Whether the results are those of the comparison as it is now."""

from __future__ import annotations

from bench.report.inputs import Inputs
from bench.report.page.content import Block, Bullets, Text

STALE = "stale: "
LEAD = (
    "These results are stale: the comparison is no longer what was run. What is shown is the run; bench run computes "
    "what has changed since."
)


def standing_section(inputs: Inputs) -> list[Block]:
    """Return what differs from what was run and what is not here, nothing where the results are the comparison's."""
    if not inputs.standing:
        return []
    lead = [Text(LEAD)] if any(line.startswith(STALE) for line in inputs.standing) else []
    return [*lead, Bullets(inputs.standing)]
