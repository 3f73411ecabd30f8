"""Text in a cell of a CSV file, so that no spreadsheet takes it for a formula, and back."""

from __future__ import annotations

import re

# With what a cell begins that a spreadsheet computes or strips (also in the wide forms that it takes for the narrow
# ones), and the guards before it: a text that begins like a guarded one is guarded too, so that it comes back.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def guarded(text: str) -> str:
    """Return the text with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text of a cell that ``guarded`` wrote; a formula without a guard is the text that it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
