"""What a score holds, whichever kind of file it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """One method's score. Win rates and their errors are in percent; None where the kind of file has none.

    ``judge`` is the one that the file names, ``category`` that of the prompts (Arena-Hard); None for none.
    ``n`` units were scored and ``n_missing`` were not, by reason in ``missing``. ``noted`` counts what was repaired or
    left out besides. ``details`` depend on the kind of file; ``columns`` names those that the table shows.
    """

    name: str
    reference: str | None
    win_rate: float | None
    standard_error: float | None
    length_controlled_win_rate: float | None
    length_controlled_standard_error: float | None
    n: int
    n_missing: int
    missing: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    columns: Sequence[str] = ()
    judge: str | None = None
    category: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return the score as plain data, the details beside the rest."""
        return {
            "name": self.name,
            "reference": self.reference,
            "judge": self.judge,
            "category": self.category,
            "win_rate": self.win_rate,
            "standard_error": self.standard_error,
            "length_controlled_win_rate": self.length_controlled_win_rate,
            "length_controlled_standard_error": self.length_controlled_standard_error,
            "n": self.n,
            "n_missing": self.n_missing,
            "missing": dict(self.missing),
            "noted": dict(self.noted),
            "warnings": list(self.warnings),
            **self.details,
        }
